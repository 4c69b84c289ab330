/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP. tcp_transport() is all that the bring-up needs; the rest is its parts, for those who have a
 * connected socket already.
 */
#ifndef SSIHV_TRANSPORT_TCP_H
#define SSIHV_TRANSPORT_TCP_H

#include "transport/fabric.h"

/** tcp_transport() - the one TCP; it has no state and is never freed. */
const struct transport *tcp_transport(void);

/**
 * tcp_tune() - options of every socket of the mesh: non-blocking, no delay of small segments, and
 * a host that vanished is noticed within 5 s
 *
 * Return: 0; negative errno of fcntl(2) or setsockopt(2).
 */
int tcp_tune(int fd);

/**
 * tcp_conn_new() - make a connection of the connected stream socket @fd
 * @fd: belongs to the connection on success; set up as by tcp_tune()
 *
 * Return: 0; -ENOMEM.
 */
int tcp_conn_new(int fd, const struct conn_config *cfg, struct conn **ret);

#endif
