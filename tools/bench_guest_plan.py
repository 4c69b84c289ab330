# SPDX-License-Identifier: Apache-2.0
"""The loads of `make bench-guest`, what they are run on, and what they are to reach.

A load is a list of lines of the guest's plan (bench/guest/guest.h). The first program of a line is
built into /init or from a package of the group load in tools/packages.
"""
import dataclasses
import re

import bench_report

# Iterations of a loop in user mode: about a second of an emulated CPU in slow motion.
SECOND = 3_000_000_000
PLACES = bench_report.GUEST_PLACES
HOSTS = {"one-1": 1, "one-2": 1, "two": 2, "three": 3, "four": 4}


@dataclasses.dataclass
class Load:
    name: str
    about: str
    lines: list
    seconds: int = 60       # of the guest, after which it is given up

    def plan(self):
        return "".join("\t".join(map(str, line)) + "\n"
                       for line in (("load", self.name, self.seconds), *self.lines))

    def programs(self):
        """Paths in the guest of what it starts."""
        return set(re.findall(r"(?:^|\s)(/(?:usr/)?bin/[\w-]+)", self.plan(), re.M))


def run(cpu, *words):
    return ("run", cpu, *words)


def prepare(*words):
    return ("prepare", "-", *words)


SPIN = ("/init", "spin", SECOND)
FORKS = ("/init", "forks", 60, "/bin/busybox", "true")
ROWS = ("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, size INTEGER); "
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000) "
        "INSERT INTO t SELECT x, 'file number ' || x, x * 37 % 1001 FROM c; "
        "CREATE INDEX i ON t(size); SELECT sum(size), count(*) FROM t WHERE size > 500;")
UNITS = [f"/tmp/unit{number}" for number in range(4)]
# Dependencies alone: the rule is make's own, and the compiler is told on the command line.
COMPILE = [*(prepare("/init", "source", 60, f"{unit}.c") for unit in UNITS),
           run("-", "/usr/bin/make", "-r", "-s", "-j2", "-C", "/tmp", "--eval",
               "%.o: %.c; /usr/bin/tcc -nostdinc -c -o $@ $<", *(f"{unit[5:]}.o"
                                                              for unit in UNITS))]
STRESS = ("/usr/bin/stress-ng", "--no-rand-seed", "--temp-path", "/tmp", "-q")


def loads(node_mib):
    """All of them, for nodes of so many MiB."""
    return [
        Load("cpu-0", "a CPU-bound program alone on vCPU 0", [run(0, *SPIN)]),
        Load("cpu-1", "the same on vCPU 1", [run(1, *SPIN)]),
        Load("cpu-both", "the same on both at once", [run(0, *SPIN), run(1, *SPIN)]),
        Load("short-1", "a tenth of it on vCPU 1", [run(1, "/init", "spin", SECOND // 10)]),
        Load("forks-1", "60 fork and exec on vCPU 1", [run(1, *FORKS)]),
        Load("forks-both", "the same on both at once", [run(0, *FORKS), run(1, *FORKS)]),
        Load("sqlite", "20 000 rows and an index, on vCPU 1",
             [run(1, "/usr/bin/sqlite3", "/tmp/rows.db", ROWS)]),
        Load("pigz", "2 MiB, pigz -p 2",
             [prepare("/init", "data", 2048, "/tmp/log"),
              run("-", "/usr/bin/pigz", "-p", 2, "-k", "-f", "/tmp/log")]),
        Load("pipe", "300 times a byte to and fro between both", [run(0, "/init", "pipe", 300, 0, 1)]),
        Load("redis", "500 SET, 500 GET; the server on vCPU 0, its client on 1",
             [("server", 0, 6379, "/usr/bin/redis-server", "--save", "", "--appendonly", "no"),
              run(1, "/usr/bin/redis-benchmark", "-n", 500, "-c", 4, "-t", "set,get", "-q")]),
        Load("memcached", "200 sets and as many gets, likewise",
             [("server", 0, 11211, "/usr/bin/memcached", "-u", "root", "-l", "127.0.0.1", "-t", 1,
               "-m", 16),
              run(1, "/usr/bin/memcslap", "--servers=127.0.0.1:11211", "--concurrency=1",
                  "--execute-number=200", "--initial-load=200", "--test=get")]),
        Load("compile", "four files, make -j2, tcc", COMPILE),
        Load("stress-memory", "stress-ng: vm, malloc, mremap, memcpy, mmap",
             [run("-", *STRESS, "--vm", 1, "--vm-bytes", "1m", "--vm-ops", 100, "--malloc", 2,
                  "--malloc-ops", 300, "--mremap", 1, "--mremap-bytes", "1m", "--mremap-ops", 10,
                  "--memcpy", 1, "--memcpy-ops", 2, "--mmap", 1, "--mmap-bytes", "256k",
                  "--mmap-ops", 2)]),
        Load("stress-sched", "stress-ng: switch, futex, pipe, context, poll",
             [run("-", *STRESS, "--switch", 2, "--switch-ops", 200, "--futex", 2, "--futex-ops",
                  200, "--pipe", 1, "--pipe-ops", 100, "--context", 1, "--context-ops", 20,
                  "--poll", 1, "--poll-ops", 10)]),
        Load("scan", "1.5 times a host's memory written once and read twice, by vCPU 0",
             [run(0, "/init", "scan", node_mib * 3 // 2, 2)], seconds=120),
    ]


def targets(node_mib):
    """What two hosts are to reach, and more hosts against two."""
    found = [bench_report.Target("cpu-both, throughput to one host, one vCPU", "cpu-both", "two",
                                 "throughput.one-1", 1.7, least=True)]
    for load, base in (("short-1", "one-2"), ("forks-both", "one-2"), ("sqlite", "one-2"),
                       ("pigz", "one-2"), ("pipe", "one-2"), ("redis", "one-1")):
        found.append(bench_report.Target(f"{load}, time to {PLACES[base]}", load, "two",
                                         f"ratio.{base}", 1.5))
    for more in ("three", "four"):
        for load in loads(node_mib):
            found.append(bench_report.Target(f"{load.name}, time to two hosts", load.name, more,
                                             "ratio.two", 1.1))
    return found
