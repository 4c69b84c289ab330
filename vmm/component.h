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
 * save() and load() go down the table while the guest is paused: what a part of this node holds of
 * the guest, apart from its memory. The bytes are for a process of the same build: they are checked
 * as a vCPU's state of a peer is, devices are taken as they are. Time has none, it is the
 * cluster's; memory has none, since the pages of a guest are spread over all nodes and need a home
 * each.
 *
 * Threads: the main thread.
 */
#ifndef SSIHV_VMM_COMPONENT_H
#define SSIHV_VMM_COMPONENT_H

#include "base/blob.h"
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
	/* Return: 0; negative errno, then @n is as it was (save), or cannot run before another
	 * load. */
	int (*save)(struct node *n, struct blob *to);
	int (*load)(struct node *n, struct blob *from);
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

/**
 * components_save() - append what this node holds of the paused guest
 *
 * Return: 0; -EBUSY while the guest is not paused; another negative errno.
 */
int components_save(struct node *n, struct blob *to);

/**
 * components_load() - make this node what components_save() has seen; the guest is paused
 *
 * Return: 0; -EBUSY while the guest is not paused; -EBADMSG for what is of another node or cut off;
 * another negative errno.
 */
int components_load(struct node *n, struct blob *from);

#endif
