/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time from a 64-byte request to its 4 KiB answer over TCP: what a remote page costs at least.
 * Usage: netlat serve PORT | netlat ask ADDRESS PORT COUNT.  Blocks, never spins.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char request[64], answer[4096];

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int tcp_socket(const char *address, const char *port, struct sockaddr_in *ret)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	if (inet_pton(AF_INET, address, &ret->sin_addr) != 1)
		errx(2, "%s is no address", address);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		err(1, "socket");
	return fd;
}

static void serve(const char *port)
{
	struct sockaddr_in address;
	int fd = tcp_socket("0.0.0.0", port, &address);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		err(1, "listen");
	int peer = accept(fd, NULL, NULL);
	while (recv(peer, request, sizeof(request), MSG_WAITALL) == sizeof(request))
		if (write(peer, answer, sizeof(answer)) != sizeof(answer))
			err(1, "write");
}

static void ask(const char *where, const char *port, int count)
{
	struct sockaddr_in address;
	double *times = calloc((size_t)count, sizeof(*times));
	int fd = tcp_socket(where, port, &address);

	if (!times || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "connect");
	for (int i = 0; i < count; i++) {
		double begun = now_us();
		if (write(fd, request, sizeof(request)) != sizeof(request) ||
		    recv(fd, answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
			err(1, "exchange");
		times[i] = now_us() - begun;
	}
	qsort(times, (size_t)count, sizeof(*times), by_value);
	printf("median %.0f us, p99 %.0f us\n", times[count / 2], times[count * 99 / 100]);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(argv[2]);
	else if (argc == 5 && !strcmp(argv[1], "ask") && atoi(argv[4]) > 0)
		ask(argv[2], argv[3], atoi(argv[4]));
	else
		errx(2, "usage: netlat serve PORT | netlat ask ADDRESS PORT COUNT");
	return 0;
}
