/* SPDX-License-Identifier: Apache-2.0 */
/* A run as a person sees it: a cluster_run with a terminal, a time limit, logs and a report. */
#ifndef SSIHV_CLI_SESSION_H
#define SSIHV_CLI_SESSION_H

#include "config/cluster.h"

struct run_options {
	const char *report; /* file, or NULL */
	const char *keep_logs;
	const char *node_program; /* NULL: this program */
	double timeout_s;	  /* 0: none */
	bool json, quiet, verbose;
};

/** session_run() - from a checked cluster to its end. Return: the exit status. */
int session_run(struct cluster_config *cfg, const struct run_options *opts);

#endif
