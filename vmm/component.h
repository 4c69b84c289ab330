/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a node, one table. Up in its order, down in the opposite one; a pause goes down the
 * table, too, and the resume up.
 *
 * down() is called for every component whose up() was, also when that failed half-way or the ones
 * behind it never came; so it bears with what is not there. A NULL means that there is nothing to
 * do.
 *
 * pause() is called again and again, until it returns 0: the main thread never waits for a
 * component, since one of another node may wait for the main thread.
 *
 * To save and load a node's parts is no operation here yet: nothing stores what they would give.
 * The parts have it: vcpu_save() (cpu/vcpu_image.h), platform_save() (vmm/platform_image.h).
 *
 * Threads: the main thread.
 */
#ifndef SSIHV_VMM_COMPONENT_H
#define SSIHV_VMM_COMPONENT_H

#include "base/err.h"

struct node;

struct component {
	const char *name;
	const char *phase; /* what the user is told while it comes up */
	/* Return: 0; negative errno with @err, or because the VM is stopping. */
	int (*up)(struct node *n, struct err *err);
	void (*down)(struct node *n);
	/* Return: 0: it stands still; -EINPROGRESS: it was told to, ask again. */
	int (*pause)(struct node *n);
	void (*resume)(struct node *n);
};

/**
 * components_up() - bring up all, in order
 *
 * Return: 0; negative with the reason told to node_stop().
 */
int components_up(struct node *n);

/** components_down() - take down what is up, or half up. */
void components_down(struct node *n);

/** components_pause() - see component.pause. Return: 0 when all stand still; -EINPROGRESS. */
int components_pause(struct node *n);

/** components_resume() - the opposite. */
void components_resume(struct node *n);

#endif
