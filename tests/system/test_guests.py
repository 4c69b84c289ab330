#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole runs on several emulated hosts: a stock Debian kernel boots, proves its case, powers off.

Usage: test_guests.py SSIHV.  Prints TAP.  SSIHV_TEST_KERNEL names the guest's kernel (default: the
lab's). The proof's work is cut down to what page transfers at emulated speed allow; the whole of it
is `make demo ARGS=--full`.
"""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from guest_runs import SMALL, cases, debian_kernel, exact, no_forbidden_outcome  # noqa: E402


class Node:
    """A host of the lab: MiB of the guest's memory, CPUs, MiB that may be on it."""

    def __init__(self, memory, limit, vcpus=1):
        self.memory, self.limit, self.vcpus = memory, limit, vcpus


def room_for_copies(node, told):
    """In bytes: memory that went to live elsewhere leaves its room, what came has taken it."""
    moved = told["dsm"]["regions_left"] - told["dsm"]["regions_came"]
    return (node.limit - node.memory + 2 * moved) << 20


def kept_the_rules(world, directory, nodes):
    """The traces of all nodes lie here, are whole, and tell of nothing wrong."""
    told = []
    for verb in "check", "top":
        done = subprocess.run([world.ssihv, "trace", verb, directory, "-o", "json",
                               *(["--pages", "1000"] if verb == "top" else [])],
                              stdout=subprocess.PIPE, check=False)
        told.append(json.loads(done.stdout))
        assert done.returncode == 0, (verb, told)
    check, top = told
    print(f"# traces: {check}")
    assert [node["name"] for node in check["nodes"]] == nodes, check
    assert all(node["ended"] and not node["lost"] for node in check["nodes"]), check
    assert check["unchecked"] == 0 and check["findings"] == [], check
    assert top["pages"] and top["pages"][0]["waited_ms"] > 0 and top["pages"][0]["moves"], top
    # The kernel's own tables tell the names of its pages.
    names = [page["what"] for page in top["pages"]]
    print(f"# hot: {names[:20]}")
    assert all(names), names
    for name in ("table 2 of kernel: level2_kernel_pgt", "per-CPU 0: ", "per-CPU 1: "):
        assert any(page.startswith(name) for page in names), (name, names)


def guest_on(world, nodes, words, limit, homes=0):
    """Runs a guest on these hosts, with memory that does not fit; returns what it reports.

    @homes: by so many requests memory moves, which it then does; 0: as by default.
    """
    moves = f", homes: {homes}" if homes else ""
    cluster = world.path / "guest.yaml"
    cluster.write_text("cluster: {name: guest}\nplacement: lab\nnodes:\n" +
                       "".join(f"  - {{name: node{number}, memory: {node.memory}M, "
                               f"vcpus: {node.vcpus}, limit: {node.limit}M}}\n"
                               for number, node in enumerate(nodes)) +
                       f"pager: {{hold_us: 8000, spin_us: 0{moves}}}\n"
                       "lab: {slow_motion: 10}\n", encoding="ascii")
    cpus = [number for number, node in enumerate(nodes) for _ in range(node.vcpus)]
    status, report = world.run(
        "--cluster", cluster, "--append",
        f"{SMALL} {words} proof.expect_cpus={len(cpus)} proof.expect_nodes={len(nodes)} "
        f"proof.cpu_nodes={','.join(map(str, cpus))} proof.distance=100 "
        f"proof.node_mib={','.join(str(node.memory) for node in nodes)}", limit=limit)
    assert status == 0 and report["failed"] == [], (status, report.get("failed"))
    assert report["hosts"] == report["numa_nodes"] == len(nodes), report
    assert report["cpus"] == len(cpus), report
    for number, (node, told) in enumerate(zip(nodes, report["nodes"])):
        # vCPUs start on the first node; what is proved between hosts needs them on their own.
        assert told["vcpus_arrived"] == (node.vcpus if number else 0), told
        assert told["vcpus_left"] == (0 if number else len(cpus) - node.vcpus), told
        assert told["faults_remote"] > 0 or not node.vcpus, told
        assert told["copies"]["bytes"] <= room_for_copies(node, told), told
        print(f"# node{number} copies: {told['copies']}")
    moved = sum(told["dsm"]["regions_left"] for told in report["nodes"])
    print(f"# {moved} regions moved")
    assert moved > 0 or not homes
    return report


def swept(report, *nodes, share=0.9):
    """All memory was used, and these nodes could not keep what they fetched."""
    assert report["swept_fraction"] > share and report["bad_pages"] == 0, report
    for number in nodes:
        assert report["nodes"][number]["copies"]["evicted"] > 0, report["nodes"][number]


def two_hosts_are_one_machine(world):
    """Half of the guest's memory is all that the first host may have."""
    report = guest_on(world, (Node(192, 256), Node(320, 336)), "", limit=1200)
    exact(report, "xadd", "cmpxchg16b", "mutex")
    swept(report, 0, 1)
    no_forbidden_outcome(report)
    # A batch whose runs all ended alike had one host go after the other.
    assert sum(test["mixed"] for test in report["litmus"].values()) > 0, "nothing overlapped"
    for name in ("pipe", "futex", "mprotect", "munmap"):
        assert report[name]["rounds"] > 0, (name, report[name])
    assert report["execs"] > 0 and report["exec_errors"] == 0
    assert report["signals_received"] == report["signals_sent"] > 0
    assert report["timers_fired"] > 0 and report["timers_early"] == 0
    assert report["clock_violations"] == 0 and report["kernel_bad"] == 0


def await_text(master, screen, text, seconds):
    """Reads the terminal until it shows @text; returns what comes behind it."""
    end = time.monotonic() + seconds
    while text not in screen:
        assert time.monotonic() < end, f"no {text!r} in {screen[-600:]!r}"
        if select.select([master], [], [], 1)[0]:
            screen = screen[-4000:] + os.read(master, 4096)
    return screen.partition(text)[2]


def the_proof_passes_across_twenty_pauses(world):
    """By Ctrl-A p on the terminal of the run: each key is answered when all nodes have done it."""
    report = world.path / "report.json"
    words = world.command("--lab", 2, "--memory-per-node", "256M", "--report", report, "--timeout",
                          900, "--append", f"{SMALL} proof.only=numa,atomics,clock,litmus "
                          "proof.expect_cpus=2 proof.expect_nodes=2 proof.distance=100 "
                          "proof.node_mib=256")
    pid, master = pty.fork()
    if pid == 0:
        os.execve(words[0], words, world.env)
    try:
        screen = await_text(master, b"", b"PROOF-START", 600)
        for _ in range(20):
            os.write(master, b"\x01p")
            screen = await_text(master, screen, b"the guest is paused", 120)
            os.write(master, b"\x01p")
            screen = await_text(master, screen, b"the guest goes on", 120)
        await_text(master, screen, b"PROOF {", 600)
        while os.read(master, 4096):
            pass
    except OSError:  # the terminal ends with the run
        pass
    except AssertionError:
        os.kill(pid, signal.SIGTERM)
        while select.select([master], [], [], 60)[0]:
            try:
                os.read(master, 4096)
            except OSError:
                break
        os.waitpid(pid, 0)
        raise
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    report = json.loads(report.read_text(encoding="utf-8"))
    assert status == 0 and report["failed"] == [], (status, report.get("failed"))
    exact(report, "xadd", "cmpxchg16b", "mutex")
    assert report["clock_violations"] == 0
    no_forbidden_outcome(report)


def three_hosts_are_one_machine(world):
    """Each may have half of the guest's memory, which goes to live where it is used."""
    report = guest_on(world, [Node(128, 192)] * 3, "proof.only=numa,atomics,clock,sweep "
                      "proof.sweep_passes=1 proof.sweep_percent=85", limit=1200, homes=4)
    exact(report, "xadd", "cmpxchg16b", "mutex")
    # Of nodes so small the guest's kernel keeps more for itself.
    swept(report, 0, 1, 2, share=0.85)
    assert report["clock_violations"] == 0


def one_host_has_the_memory_of_two(world):
    """A node without CPUs gives memory to the other's."""
    report = guest_on(world, (Node(192, 208), Node(192, 208, vcpus=0)), "proof.only=numa,sweep",
                      limit=600)
    swept(report, 0)


def four_hosts_see_writes_in_one_order(world):
    """IRIW: two hosts write, two others must not see the writes in opposite orders."""
    report = guest_on(world, [Node(192, 384)] * 4, "proof.only=numa,litmus-iriw proof.seconds=40",
                      limit=700)
    assert set(report["litmus"]) == {"iriw.same", "iriw.diff"}, report["litmus"]
    assert all(test["runs"] > 0 for test in report["litmus"].values()), report["litmus"]
    no_forbidden_outcome(report)


def a_cluster_file_gives_each_host_its_size(world):
    """Nodes of different memory, CPU models, numbers of CPUs and distances, under another kernel
    than the other tests. What their pagers did is recorded."""
    cluster = world.path / "mixed.yaml"
    cluster.write_text("cluster: {name: mixed}\nplacement: lab\nnodes:\n"
                       "  - {name: small, memory: 192M, vcpus: 1}\n"
                       "  - {name: large, memory: 320M, vcpus: 2}\n"
                       "numa: {distances: [[10, 31], [40, 10]]}\n"
                       "pager: {hold_us: 8000, spin_us: 0, trace: traces}\n"
                       "lab: {slow_motion: 10, unlike_cpus: 1}\n",
                       encoding="ascii")
    status, report = world.run("--cluster", cluster, "--append",
                               f"{SMALL} proof.only=numa,xadd proof.expect_cpus=3 "
                               "proof.expect_nodes=2 proof.cpu_nodes=0,1,1 "
                               "proof.node_mib=192,320 proof.distances=10,31,40,10",
                               limit=400, kernel=debian_kernel("host"))
    assert status == 0 and report["failed"] == [], (status, report.get("failed"))
    exact(report, "xadd")
    assert [node["vcpus_arrived"] for node in report["nodes"]] == [0, 2], report["nodes"]
    kept_the_rules(world, world.path / "traces", ["small", "large"])
    # One vCPU stays, two move: they have a row on the first node, too.
    first, second = (node["vcpu_times"] for node in report["nodes"])
    print(f"# {first} {second}")
    assert [[row["vcpu"] for row in rows] for rows in (first, second)] == [[0, 1, 2], [1, 2]]
    assert all(0 < row["ran_ms"] < row["alive_ms"] for row in first + second)
    assert all(row["waited_ms"] > 0 for row in first[:1] + second)
    assert all(row["away_ms"] > 0 for row in first[1:] + second)


def unlike_clocks(world, ppm, free, limit):
    """Two hosts, the second one's TSC faster by so many ppm; the proof compares their clocks."""
    cluster = world.path / "clocks.yaml"
    cluster.write_text("cluster: {name: clocks}\nplacement: lab\nnodes:\n"
                       "  - {name: slow, memory: 256M, vcpus: 1}\n"
                       "  - {name: fast, memory: 256M, vcpus: 1}\n"
                       "pager: {hold_us: 8000, spin_us: 0}\n"
                       f"lab: {{slow_motion: 10, skew_ppm: {ppm}, free_clocks: {free}}}\n",
                       encoding="ascii")
    return world.run("--cluster", cluster, "--append",
                     f"{SMALL} proof.only=numa,clock proof.clock_delay=5 proof.expect_cpus=2 "
                     "proof.expect_nodes=2 proof.distance=100 proof.node_mib=256", limit=limit)


def clocks_of_unlike_crystals_are_one(world):
    status, report = unlike_clocks(world, 400, 0, limit=400)
    assert status == 0 and report["failed"] == [], (status, report.get("failed"))
    assert report["clock_violations"] == report["tsc_violations"] == 0, report
    kept = report["nodes"][1]["clock"]
    print(f"# {kept}")
    assert 350 < kept["tsc_ppm"] < 450 and kept["corrections"] > 0, kept


def clocks_that_nobody_corrects_are_caught(world):
    """The same without servo and stamps: so the proof's clock check can fail."""
    status, report = unlike_clocks(world, 400, 2, limit=400)
    assert report["failed"] == ["clock"], (status, report.get("failed"))
    assert report["clock_violations"] > 0 and report["tsc_violations"] > 0, report


def clocks_too_far_apart_are_refused(world):
    status, report = unlike_clocks(world, 2000, 0, limit=200)
    assert status != 0 and re.search(r"TSC runs at [0-9.]+ MHz, node 0's at [0-9.]+ MHz",
                                     report["reason"]), (status, report["reason"])


def loss_ends_the_run(world, victim, *words):
    """Kills the process victim(run) once the guest runs; the others must end and name node1."""
    with subprocess.Popen(world.command(*words, "-v", "--timeout", 90), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=world.env,
                          text=True) as run:
        try:
            seen = ""
            while "node0: running" not in seen:
                line = run.stderr.readline()
                assert line, f"the run ended early: {seen}"
                seen += line
            pid = victim(run)
            started = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            while "was lost" not in seen:
                line = run.stderr.readline()
                assert line, f"nobody was said to be lost: {seen}"
                seen += line
            took = time.monotonic() - started
            seen += run.stderr.read()
            status = run.wait(timeout=30)
        finally:
            run.kill()
    print(f"# told after {took:.1f} s: {seen.strip().splitlines()[-2:]}")
    assert status not in (0, 124), status
    assert re.search(r"node1\b.* was lost", seen) and "cannot go on" in seen, seen
    assert not children_named(str(world.path)), "a node was left running"


def kill_of_one_node_ends_the_others(world):
    """Nodes on this machine: its /dev/kvm may emulate, so the guest gets nowhere, but it runs."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "no access to /dev/kvm"
    loss_ends_the_run(world, lambda run: node_process(run.pid, "node1"),
                      "--local", 2, "--memory-per-node", "128M")
    return None


def a_host_that_vanishes_ends_the_others(world):
    """Its emulator is killed: no connection is closed, packets just go nowhere."""
    def emulator(_):
        return int(next(world.path.glob("*/lab/host1.pid")).read_text(encoding="ascii"))

    cluster = world.path / "two.yaml"
    cluster.write_text("cluster: {name: two}\nplacement: lab\nlab: {slow_motion: 1}\nnodes:\n"
                       "  - {name: node0, memory: 128M, vcpus: 1}\n"
                       "  - {name: node1, memory: 128M, vcpus: 1}\n", encoding="ascii")
    loss_ends_the_run(world, emulator, "--cluster", cluster)


def command_lines():
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            yield int(entry.name), (entry / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue


def node_process(parent, name):
    for pid, words in command_lines():
        if "node" in words and name in words and parent_of(pid) == parent:
            return pid
    raise AssertionError(f"no process of {name}")


def parent_of(pid):
    try:
        status = pathlib.Path("/proc", str(pid), "stat").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(status.rsplit(")", 1)[1].split()[1])


def children_named(text):
    return [pid for pid, words in command_lines()
            if pid != os.getpid() and "node" in words and any(text in word for word in words)]


TESTS = (kill_of_one_node_ends_the_others, a_host_that_vanishes_ends_the_others,
         two_hosts_are_one_machine,
         the_proof_passes_across_twenty_pauses,
         a_cluster_file_gives_each_host_its_size, clocks_of_unlike_crystals_are_one,
         clocks_that_nobody_corrects_are_caught, clocks_too_far_apart_are_refused,
         one_host_has_the_memory_of_two, three_hosts_are_one_machine,
         four_hosts_see_writes_in_one_order)


if __name__ == "__main__":
    sys.exit(cases(sys.argv[1], TESTS))
