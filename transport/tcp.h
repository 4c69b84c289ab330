/* SPDX-License-Identifier: Apache-2.0 */
/* A connection over a TCP socket. The hello has been exchanged before (mesh.h, hello.h). */
#ifndef SSIHV_TRANSPORT_TCP_H
#define SSIHV_TRANSPORT_TCP_H

#include "transport/transport.h"

struct tcp_config {
	uint16_t self, peer; /* node numbers */
	uint16_t shard;
	enum wire_class class_;
	uint32_t epoch;
};

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
int tcp_conn_new(int fd, const struct tcp_config *cfg, struct conn **ret);

#endif
