#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program from outside, without a run: every wrong use is one line and a status.

Usage: test_cli.py SSIHV.  Prints TAP. Needs no guest.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

from world import (EXAMPLE, HERE, SSIHV, Skip, bzimage, free_port, last_line, main,
                   one_line)


# --- no guest, no node ---

def test_help_lists_every_verb(w):
    done = w.ssihv("help")
    assert done.returncode == 0 and not done.err
    for verb in ("run", "node", "acpi", "lab", "check-kvm", "config"):
        assert f"ssihv {verb} " in done.out
    done = w.ssihv("help", "run")
    for option in ("--lab N", "--kernel BZIMAGE", "--report FILE.json", "-q, --quiet"):
        assert option in done.out, done.out
    assert "node-program" not in done.out


def test_every_verb_has_help(w):
    for verb, option in (("run", "--kernel BZIMAGE"), ("node", "--epoch N"),
                         ("acpi", "--output DIR"), ("lab", "up N"),
                         ("check-kvm", "--output json"), ("config", "check FILE"),
                         ("trace", "check DIR")):
        texts = {w.ssihv(*args).out for args in ([verb, "--help"], [verb, "-h"], ["help", verb])}
        assert len(texts) == 1 and option in texts.copy().pop(), (verb, texts)
        done = w.ssihv(verb, "--help")
        assert done.returncode == 0 and not done.err, (verb, done.err)
    # What else is on the line, or what the verb misses, does not matter.
    assert w.ssihv("run", "--local", "2", "--help").returncode == 0
    assert w.ssihv("config", "check", "-h").returncode == 0
    assert w.ssihv("-h").out == w.ssihv("help").out == w.ssihv("--help").out
    # The value of an option is no option.
    one_line(w.ssihv("run", "--local", 1, "--kernel", "--help"), 1, "kernel --help")
    one_line(w.ssihv("acpi", "--", "--help"), 2, "-o DIR")


def test_version(w):
    assert re.fullmatch(r"ssihv \d+\.\d+\.\d+\n", w.ssihv("--version").out)


def test_wrong_command_lines(w):
    kernel = str(w.kernel)
    for args, word in (
            ([], "no verb"), (["fly"], "'fly'"), (["help", "fly"], "'fly'"), (["--wat"], "'--wat'"),
            (["run", "--wat"], "'--wat'"), (["run", "-x"], "'-x'"), (["run", "--lab"], "--lab"),
            (["run", "stray"], "'stray'"), (["run", "--quiet=1"], "--quiet"),
            (["run", "--kernel", kernel], "exactly one of"),
            (["run", "--lab", "2", "--cluster", "f", "--kernel", kernel], "exactly one of"),
            (["run", "--lab", "2", "--local", "2", "--kernel", kernel], "exactly one of"),
            (["run", "--local", "2", "--local", "3"], "twice"),
            (["run", "--cluster", "f", "--memory-per-node", "1G"], "--memory-per-node"),
            (["run", "--cluster", "f", "--vcpus-per-node", "1"], "--vcpus-per-node"),
            (["run", "--local", "2", "--slow", "2"], "--slow"),
            (["run", "--local", "2", "-o", "xml"], "'xml'"),
            (["run", "--local", "2", "-q", "-v"], "contradict"),
            (["run", "--local", "2", "--timeout", "soon"], "--timeout soon"),
            (["run", "--local", "2", "--timeout", "-1"], "--timeout -1"),
            (["run", "--local", "2", "--timeout", "1e11"], "at most 1e+09"),
            (["acpi"], "-o DIR"), (["acpi", "f"], "-o DIR"), (["acpi", "f", "g", "-o", "d"], "'g'"),
            (["check-kvm", "now"], "'now'"), (["check-kvm", "-o", "xml"], "'xml'"),
            (["node"], "--cluster"), (["config"], "check FILE"),
            (["config", "check"], "check FILE"), (["config", "keys", "f"], "check FILE"),
            (["config", "check", "f", "-o", "xml"], "'xml'"), (["lab"], "up, run"),
            (["trace", "top", "d", "--pages", "0"], "--pages 0"),
            (["trace", "tip", "d"], "top DIR"), (["trace"], "check DIR"), (["trace", "check"], "check DIR"),
            (["trace", "check", "d", "e"], "check DIR"),
            (["trace", "check", "d", "-o", "xml"], "'xml'"),
            (["lab", "sideways"], "up, run")):
        one_line(w.ssihv(*args), 2, word)


def test_numbers_out_of_range(w):
    for args, word in (
            (["--local", "65"], "--local 65"), (["--lab", "0"], "--lab 0"),
            (["--local", "two"], "--local two"), (["--local", "1x"], "--local 1x"),
            (["--lab", "2", "--slow", "0"], "--slow 0"),
            (["--local", "2", "--memory-per-node", "much"], "much"),
            (["--local", "2", "--memory-per-node", "32M"], "32 MiB"),
            (["--local", "2", "--memory-per-node", "99999999999T"], "99999999999T"),
            (["--local", "2", "--memory-per-node", "513K"], "513 KiB"),
            (["--local", "2", "--vcpus-per-node", "0"], "--vcpus-per-node 0"),
            (["--local", "2", "--vcpus-per-node", "65"], "65")):
        one_line(w.ssihv("run", *args, "--kernel", w.kernel), 1, word)


def test_kernel_and_initrd_are_checked(w):
    one_line(w.ssihv("run", "--local", 1), 1, "--kernel")
    one_line(w.ssihv("run", "--local", 1, "--kernel", "/none"), 1, "kernel /none", "No such file")
    one_line(w.ssihv("run", "--local", 1, "--kernel", w.path), 1, str(w.path), "is a directory")
    one_line(w.ssihv("run", "--local", 1, "--kernel", "/dev/null"), 1, "is no regular file")
    one_line(w.ssihv("run", "--local", 1, "--kernel", w.file("empty", "")), 1, "is empty")
    one_line(w.ssihv("run", "--local", 1, "--kernel", w.kernel, "--initrd", "/none"), 1,
             "initrd /none", "No such file")
    if os.geteuid():
        w.kernel.chmod(0)
        one_line(w.ssihv("run", "--local", 1, "--kernel", w.kernel), 1, "Permission denied")
    w.assert_no_directory()


def test_what_cannot_boot_is_told_before_anything_starts(w):
    junk = w.file("junk", "no kernel " * 1000)
    image = w.path / "image"
    image.write_bytes(bzimage()[:1500])
    for args, words in (
            (["--kernel", junk], [junk, "not a Linux bzImage"]),
            (["--kernel", image], [str(image), "truncated"]),
            (["--initrd", EXAMPLE.parent], ["initrd", "is a directory"]),
            (["--initrd", w.file("none", "")], ["initrd", "is empty"]),
            (["--append", "x" * 2040], ["command line", "2047"])):
        argv, _ = w.fake("run", *args)
        if args[0] == "--kernel":
            del argv[argv.index("--kernel"):argv.index("--kernel") + 2]
        if args[0] == "--append":
            del argv[argv.index("--append"):argv.index("--append") + 2]
        one_line(w.ssihv(*argv), 1, *words)
    # 64 MiB hold this kernel, and no initrd of 48.
    large = w.path / "large"
    with open(large, "wb") as file:
        file.truncate(48 << 20)
    argv, _ = w.fake("run", "--initrd", large, "--memory-per-node", "64M")
    one_line(w.ssihv(*argv), 1, str(large), "48 MiB", "room for")
    one_line(w.ssihv("run", "--local", 17, "--vcpus-per-node", 64, "--kernel", w.kernel), 1,
             "1088 vCPUs")
    one_line(w.ssihv("run", "--local", 64, "--memory-per-node", "2T", "--kernel", w.kernel), 1,
             "128 TiB")
    assert not list(w.pids.iterdir()), "a node was started"
    w.assert_no_directory()


def test_cluster_files_are_checked(w):
    node = "  - {name: NAME, address: '127.0.0.1:1', memory: 64M, vcpus: 1}\n"
    for text, word in (
            ("cluster: {name: x", "syntax"), ("", "empty"),
            ("cluster: {name: x}\nnodes:\n" + node.replace("NAME", "a") * 2, "rename one"),
            ("cluster: {name: x}\nwings: 2\nnodes:\n" + node.replace("NAME", "a"), "wings")):
        path = w.file("bad.yaml", text)
        one_line(w.ssihv("config", "check", path), 1, path, word)
        one_line(w.ssihv("run", "--cluster", path, "--kernel", w.kernel), 1, path, word)
    one_line(w.ssihv("run", "--cluster", "/none.yaml", "--kernel", w.kernel), 1, "/none.yaml")
    w.assert_no_directory()


def test_the_example_is_right(w):
    done = w.ssihv("config", "check", EXAMPLE)
    assert done.returncode == 0, done.err
    assert "2 nodes, 6 vCPUs, 12 GiB" in done.out
    found = json.loads(w.ssihv("config", "check", EXAMPLE, "-o", "json").out)
    assert (found["cluster"], found["vcpus"], found["memory"]) == ("example", 6, 12 << 30), found
    assert [node["name"] for node in found["nodes"]] == ["alpha", "beta"], found


def test_the_manual_tells_every_key(w):
    manual = (HERE.parent.parent / "man" / "ssihv-cluster.5").read_text(encoding="utf-8")
    keys = re.findall(r"^([a-z]\S+) ", w.ssihv("config", "keys").out, re.M)
    assert len(keys) >= 20
    assert [key["key"] for key in json.loads(w.ssihv("config", "keys", "-o", "json").out)] == keys
    for key in keys:
        assert re.search(rf"^\.It Cm {re.escape(key)}( |$)", manual, re.M), key


def test_the_manual_tells_every_option(w):
    manual = (HERE.parent.parent / "man" / "ssihv.1").read_text(encoding="utf-8")
    options = re.findall(r"--([a-z-]+)", w.ssihv("help", "run").out.split("\n", 2)[2])
    assert len(options) >= 14
    for option in options:
        assert f"Fl -{option}" in manual, option


def test_traces_that_are_none_are_named(w):
    one_line(w.ssihv("trace", "check", "/none/there"), 1, "/none/there: No such file")
    empty = w.path / "traces"
    empty.mkdir()
    one_line(w.ssihv("trace", "check", empty), 1, "there is no trace in it")
    (empty / "a.trace").write_bytes(b"x" * 200)
    one_line(w.ssihv("trace", "check", empty), 1, "a.trace", "byte 0", "no trace")


def test_lab_hands_over_to_its_own_program(w):
    done = w.ssihv("lab", "status", "--dir", w.path / "nothing")
    assert done.returncode == 3 and done.out == "no lab runs\n", done.out + done.err
    assert "--owner-pid" in w.ssihv("lab", "up", "--help").out


def test_the_lab_is_not_installed(w):
    installed = w.path / "ssihv"
    shutil.copy(SSIHV, installed)
    for args in (["lab", "up", "1"], ["run", "--lab", "1", "--kernel", w.kernel]):
        done = subprocess.run([installed, *map(str, args)], env=w.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "the lab is not installed" in done.stderr, done.stderr
    w.assert_no_directory()


def test_acpi_tables_are_written(w):
    done = w.ssihv("acpi", EXAMPLE, "-o", w.path / "tables")
    assert done.returncode == 0 and not done.err, done.err
    names = {path.name for path in (w.path / "tables").iterdir()}
    assert {"srat.aml", "slit.aml", "madt.aml", "dsdt.aml"} <= names, names
    one_line(w.ssihv("acpi", "/none.yaml", "-o", w.path), 1, "/none.yaml")
    one_line(w.ssihv("acpi", EXAMPLE, "-o", "/none/there"), 1, "/none/there")
    one_line(w.ssihv("acpi", EXAMPLE, "-o", w.kernel), 1, str(w.kernel))


def test_check_kvm_says_the_same_in_both_forms(w):
    done = w.ssihv("check-kvm", "-o", "json")
    found = json.loads(done.out)
    assert found["usable"] == (done.returncode == 0) and found["reason"]
    assert bool(found["page_tables"]) == found["usable"] and found["walks_read"] in (False, True)
    text = w.ssihv("check-kvm")
    assert text.returncode == done.returncode
    lines = [f"/dev/kvm is {'usable' if found['usable'] else 'not usable'}: ", found["page_tables"]]
    shown = text.out.splitlines()
    assert shown[0].startswith(lines[0]) and shown[1:] == [line for line in lines[1:] if line], shown


# --- real nodes, as far as they come without a guest ---

def test_no_access_to_kvm_is_told(w):
    # As root in a mount namespace of its own; else this user may have no access anyway.
    argv = w.command("run", "--local", 1, "--memory-per-node", "64M", "--kernel", w.kernel,
                     "--timeout", 20)
    script = 'mount --bind /dev/null /dev/kvm && exec "$@"'
    if os.geteuid() or not os.path.exists("/dev/kvm"):
        script = '[ ! -w /dev/kvm ] && exec "$@"'
    wrap = ["unshare", "-m"] if os.geteuid() == 0 else []
    done = subprocess.run([*wrap, "sh", "-c", script, "sh", *argv], env=w.env, timeout=30,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == 32 or "unshare" in done.stderr:
        raise Skip("no mount namespace can be made here")
    assert done.returncode == 1, done.stderr
    assert re.search(r"^ssihv: .*/dev/kvm", done.stderr, re.M), done.stderr


# --- addresses ---

def cluster_file(w, *addresses, extra=""):
    nodes = "".join(f"  - {{name: n{i}, address: '{a}', memory: 64M, vcpus: 1{extra}}}\n"
                    for i, a in enumerate(addresses))
    return w.file("c.yaml", "cluster: {name: t}\nnodes:\n" + nodes)


def test_a_node_obeys_nohup(w):
    path = cluster_file(w, "127.0.0.1:1", f"127.0.0.1:{free_port()}")
    argv = ["nohup", *w.command("node", "--cluster", path, "--name", "n1")]
    with subprocess.Popen(argv, env=w.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as node:
        line = b"-"
        while line and b'"connecting"' not in line:
            started, line = line, node.stderr.readline()
        if not line:
            raise Skip(f"no node comes up here: {started}")
        os.kill(node.pid, signal.SIGHUP)
        os.kill(node.pid, signal.SIGTERM)
        told = node.stderr.read()  # not communicate(), which ends its input: that is a reason, too
    assert b"ended by signal 15" in told, told


def test_a_taken_port_is_told(w):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = w.ssihv("run", "--cluster", cluster_file(w, f"127.0.0.1:{port}"), "--kernel",
                       w.kernel)
    one_line(done, 1, "n0", f"127.0.0.1:{port}", "port taken")
    w.assert_no_directory()


def test_addresses_of_others_are_told(w):
    for address, word in (("192.0.2.7:50051", "no address of this machine"),
                          ("host.invalid:50051", "not known")):
        done = w.ssihv("run", "--cluster", cluster_file(w, address), "--kernel", w.kernel)
        one_line(done, 1, address, word)


def test_ports_are_picked_and_skip_those_taken(w):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in range(50051, 50101):
            try:
                taken.bind(("127.0.0.1", port))
                break
            except OSError:
                continue
        taken.listen()
        done = w.run("stop=poweroff:off", "-o", "json", node1="peers")
    assert done.returncode == 0, done.err
    addresses = [node["address"] for node in json.loads(last_line(done.out))["nodes"]]
    ports = [int(address.rpartition(":")[2]) for address in addresses]
    assert all(50051 <= picked <= 50100 and picked != port for picked in ports), (port, ports)
    assert len(set(ports)) == 2, ports


main(globals())
