/* SPDX-License-Identifier: Apache-2.0 */
/* The emulated hosts of a run: `lab.py up` before the nodes, `lab.py down` after them. */
#ifndef SSIHV_CLI_LAB_HOSTS_H
#define SSIHV_CLI_LAB_HOSTS_H

#include "config/cluster.h"

enum lab_wish { LAB_GO_ON, LAB_STOP, LAB_KILL };

/* Who waits for the hosts. */
struct lab_watch {
	int fd; /* ask() again when it is readable */
	/** Called five times a second and more. */
	enum lab_wish (*ask)(void *ctx);
	/** What lab.py says. */
	void (*line)(void *ctx, const char *text);
	void *ctx;
};

struct lab_hosts {
	const char *tool; /* lab.py */
	const char *dir;  /* the run's: the hosts see it, the lab is in its folder lab/ */
	bool up;
};

/**
 * lab_hosts_up() - start the emulated hosts
 *
 * Return: 0; -EINTR when @watch wished for an end; negative errno with @err.
 */
int lab_hosts_up(struct lab_hosts *lab, const struct cluster_config *cfg,
		 const struct lab_watch *watch, struct err *err);

/** lab_hosts_down() - end them, if they were started. Return: 0; negative errno. */
int lab_hosts_down(struct lab_hosts *lab, struct err *err);

#endif
