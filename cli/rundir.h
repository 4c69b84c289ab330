/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run's directory: cluster.yaml as every node reads it, one log a node, the guest's console,
 * and in the lab what the emulated hosts say and the copies of program, kernel and initrd that they
 * see.
 */
#ifndef SSIHV_CLI_RUNDIR_H
#define SSIHV_CLI_RUNDIR_H

#include <stdio.h>

#include "config/cluster.h"

struct rundir {
	char path[256]; /* "" before it was made */
};

/**
 * rundir_make() - make the directory and the effective cluster file in it
 * @cfg:     in the lab its kernel and initrd become the copies
 * @program: in the lab replaced by the copy; to be freed
 */
int rundir_make(struct rundir *dir, struct cluster_config *cfg, char **program, struct err *err);

/**
 * rundir_end() - copy the logs to @keep, if it is not NULL, and remove the directory
 * @stays: without @keep: leave the logs where they are; a line tells where
 * @say:   for that line
 */
void rundir_end(struct rundir *dir, const char *keep, bool stays, FILE *say);

#endif
