/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of keys: what each means for a reader, and for numbers the range, the default and
 * where the value goes. Help, validation and the manual's test are made from it.
 */
#include "config/schema.h"

#define STRING_OF(macro) #macro
#define STRING(macro)	 STRING_OF(macro)
#define TEXT(path, form, fallback, help)                                                           \
	{                                                                                          \
		.doc = { path, form, fallback, help }                                              \
	}
#define NUMBER_AT(path, lo, hi, dflt, to, in, help)                                                \
	{                                                                                          \
		.doc = {path, #lo ".." #hi, #dflt, help}, .number = true, .min = lo, .max = hi,    \
		.fallback = dflt, .file_offset = in, .config_offset = to                           \
	}
#define NUMBER(section, member, lo, hi, dflt, help)                                                \
	NUMBER_AT(#section "." #member, lo, hi, dflt,                                              \
		  offsetof(struct cluster_config, section.member),                                 \
		  offsetof(struct cluster_file, section.member), help)

static const struct key keys[] = {
	TEXT("cluster.name", "text", "required", "the cluster's name, for messages and reports"),
	TEXT("guest.kernel", "path", "none", "Linux bzImage to boot; --kernel overrides"),
	TEXT("guest.initrd", "path", "none", "initramfs; --initrd overrides"),
	TEXT("guest.append", "text", "none", "kernel command line; --append overrides"),
	TEXT("placement", "hosts | local | lab", "hosts",
	     "where the nodes run: on their hosts, all on this machine, on emulated hosts"),
	TEXT("nodes[].name", "text", "required", "unique; letters, digits, '-', '_', '.'"),
	TEXT("nodes[].address", "host:port", "picked by the run; required for hosts",
	     "where the node listens for its peers; unique"),
	TEXT("nodes[].memory", "size", "required",
	     "RAM that the node gives to the guest: at least 64M, a multiple of 2M"),
	TEXT("nodes[].vcpus", "0.." STRING(MAX_NODE_VCPUS), "required",
	     "virtual CPUs of the node; 0: it gives memory only (not the first node)"),
	TEXT("nodes[].limit", "size", "what the host has free",
	     "guest memory that may be on the host: its own, and copies of other nodes'"),
	TEXT("nodes[].ssh", "user@host", "none", "start the node there over ssh; only with hosts"),
	TEXT("nodes[].cpus", "list of CPU numbers", "not pinned", "one host CPU for every vCPU"),
	TEXT("transport.kind", "tcp", "tcp", "the fabric between the nodes"),
	/* ACPI 6.4, 5.2.17: 10 is the distance of a locality to itself, 255 means unreachable. */
	NUMBER_AT("numa.local_distance", 10, 10, 10, SIZE_MAX,
		  offsetof(struct cluster_file, numa.local_distance),
		  "distance of a node to itself, fixed by ACPI"),
	/* Linux refuses a SLIT whose remote distances are not above the local one. */
	/* Above 30 Linux leaves a task on its node when it forks, executes or wakes another. */
	NUMBER_AT("numa.remote_distance", 11, 254, 100, SIZE_MAX,
		  offsetof(struct cluster_file, numa.remote_distance),
		  "distance between any two nodes"),
	TEXT("numa.distances", "matrix", "from remote_distance",
	     "one row a node; 10 on the diagonal, 11..254 elsewhere; may be asymmetric"),
	NUMBER(pager, shards, 1, MAX_SHARDS, 1,
	       "threads that serve page faults, each a part of memory"),
	NUMBER(pager, hold_us, 0, 1000000, 2000,
	       "microseconds that a node runs with pages it fetched before it gives them up"),
	NUMBER(pager, spin_us, 0, 10000, 50,
	       "microseconds that a pager thread spins for an answer before it sleeps"),
	NUMBER(pager, homes, 0, MAX_HOMES_LEAD, HOMES_LEAD,
	       "requests by which a node must lead for 2 MiB to go to live there; 0: never"),
	TEXT("pager.trace", "path", "none",
	     "directory in which each node writes a trace of its pager; --trace overrides"),
	TEXT("pager.trace_size", "size", "128M", "bytes of a trace; what comes later is counted"),
	NUMBER(boot, together, 0, 1, 1,
	       "1: all vCPUs start on the first node and move to their own when they have work"),
	/* Linux keeps the TSC timer's frequency / 8 in 32 bits of hertz: 34 GHz at most. */
	NUMBER(lab, slow_motion, 1, 12, 1, "how many times slower the emulated hosts' clocks run"),
	NUMBER(lab, skew_ppm, 0, 100000, 0,
	       "the n-th emulated host's clocks run n times this many parts per million fast"),
	NUMBER(lab, unlike_cpus, 0, 1, 0, "1: every other emulated host has a newer CPU model"),
	NUMBER(lab, free_clocks, 0, 2, 0,
	       "for tests, 1: the hosts' clocks are not kept together; 2: nor do messages wait"),
	TEXT("lab.host_memory", "size", "picked by the run", "RAM of every emulated host"),
};

const struct key *key_at(size_t index)
{
	return index < ARRAY_SIZE(keys) ? &keys[index] : NULL;
}

const struct cluster_key *cluster_key(size_t index)
{
	return index < ARRAY_SIZE(keys) ? &keys[index].doc : NULL;
}
