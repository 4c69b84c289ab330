#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program from outside: every wrong use is one line and a status, and a run leaves nothing.

Usage: test_cli.py SSIHV.  Prints TAP. Needs no guest: nodes are tests/cli/fake_node.py, which
speaks a real node's contract; processes, pipes, signals, ports and terminals are real.
"""
import glob
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
FAKE = HERE / "fake_node.py"
EXAMPLE = HERE.parent.parent / "docs" / "cluster.example.yaml"
SSIHV = pathlib.Path(sys.argv[1]).resolve()


class Skip(Exception):
    """The reason why a test cannot run here."""


def bzimage(size=2048):
    """The smallest file that is a bzImage by its header (boot.rst): 1 KiB of setup, 1 KiB of code."""
    image = bytearray(size)
    image[:8] = b"a kernel"
    for at, form, value in ((0x1f1, "<B", 1), (0x1f4, "<I", 1024 // 16), (0x1fe, "<H", 0xaa55),
                            (0x201, "<B", 0x6a), (0x202, "<4s", b"HdrS"), (0x206, "<H", 0x20c),
                            (0x211, "<B", 1), (0x22c, "<I", 0x7fffffff), (0x230, "<I", 1 << 21),
                            (0x234, "<B", 1), (0x236, "<H", 1), (0x238, "<I", 2047),
                            (0x258, "<Q", 16 << 20), (0x260, "<I", 16 << 20)):
        struct.pack_into(form, image, at, value)
    return bytes(image)


class World:
    """A directory with what a run needs; XDG_RUNTIME_DIR is in it, so that leftovers are seen."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.kernel = self.path / "kernel"
        self.kernel.write_bytes(bzimage())
        self.runtime = self.path / "runtime"
        self.runtime.mkdir()
        self.pids = self.path / "pids"
        self.pids.mkdir()
        self.env = dict(os.environ, XDG_RUNTIME_DIR=str(self.runtime), FAKE_PIDS=str(self.pids))

    def file(self, name, text):
        path = self.path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def command(self, *args):
        return [str(SSIHV), *map(str, args)]

    def ssihv(self, *args, env=None, stdin=subprocess.DEVNULL, data=None, timeout=30):
        if data is not None:
            stdin = None
        done = subprocess.run(self.command(*args), env=dict(self.env, **(env or {})), stdin=stdin,
                              input=data, capture_output=True, timeout=timeout, check=False)
        done.out = done.stdout.decode("utf-8", "replace")
        done.err = done.stderr.decode("utf-8", "replace")
        return done

    def fake(self, plan, *args, nodes=2, node1=None):
        """Arguments and environment of a run of fake nodes."""
        for path in self.pids.iterdir():
            path.unlink()
        env = {} if node1 is None else {"FAKE_PLAN_node1": node1}
        return ["run", "--local", nodes, "--kernel", self.kernel, "--node-program", FAKE,
                "--append", plan, *args], env

    def run(self, plan, *args, nodes=2, node1=None, data=None):
        argv, env = self.fake(plan, *args, nodes=nodes, node1=node1)
        return self.ssihv(*argv, env=env, data=data)

    def start(self, plan, *args, node1=None, **kwargs):
        argv, env = self.fake(plan, *args, node1=node1)
        return subprocess.Popen(self.command(*argv), env=dict(self.env, **env), **kwargs)

    def pid(self, name, patience=30):
        path = self.pids / name
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if path.exists() and path.read_text(encoding="ascii"):
                return int(path.read_text(encoding="ascii"))
            time.sleep(0.02)
        raise AssertionError(f"{name} did not start")

    def assert_nothing_runs(self):
        for path in self.pids.glob("node[0-9]"):
            pid = int(path.read_text(encoding="ascii"))
            assert not os.path.exists(f"/proc/{pid}"), f"{path.name} (process {pid}) still runs"

    def assert_no_directory(self):
        left = glob.glob(f"{self.runtime}/*")
        assert not left, f"left behind: {left}"


def one_line(done, status, *words):
    """The whole message is one line with these words, and the status is this."""
    assert done.returncode == status, f"status {done.returncode}: {done.err}"
    assert done.err.startswith("ssihv: ") and done.err.count("\n") == 1, repr(done.err)
    for word in words:
        assert word in done.err, f"{word!r} not in {done.err!r}"


def has(done, status, *words):
    assert done.returncode == status, f"status {done.returncode}: {done.err}"
    for word in words:
        assert word in done.err, f"{word!r} not in {done.err!r}"


def read_until(stream, *words):
    """What a program writes until all words have come."""
    seen = ""
    while not all(word in seen for word in words):
        line = stream.readline()
        assert line, f"it ended early: {seen!r}"
        seen += line.decode("utf-8", "replace")
    return seen


def last_line(text):
    return text.strip().splitlines()[-1]


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
    for verb, option in (("run", "--kernel BZIMAGE"), ("node", "--epoch N"), ("acpi", "--output DIR"),
                         ("lab", "up N"), ("check-kvm", "--output json"), ("config", "check FILE")):
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
            (["acpi"], "-o DIR"), (["acpi", "f"], "-o DIR"), (["acpi", "f", "g", "-o", "d"], "'g'"),
            (["check-kvm", "now"], "'now'"), (["check-kvm", "-o", "xml"], "'xml'"),
            (["node"], "--cluster"), (["config"], "check FILE"),
            (["config", "check"], "check FILE"), (["config", "keys", "f"], "check FILE"),
            (["config", "check", "f", "-o", "xml"], "'xml'"), (["lab"], "up, run"),
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


def test_lab_hands_over_to_its_own_program(w):
    done = w.ssihv("lab", "status", "--dir", w.path / "nothing")
    assert done.returncode == 3 and done.out == "no lab runs\n", done.out + done.err
    assert "--owner-pid" in w.ssihv("lab", "up", "--help").out


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
    text = w.ssihv("check-kvm")
    assert text.returncode == done.returncode
    assert text.out.startswith("/dev/kvm is usable" if found["usable"] else "/dev/kvm is not")


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


# --- runs ---

def test_a_guest_that_powers_off(w):
    report = w.path / "report.json"
    done = w.run("run print=hello files proof report stop=poweroff:the~guest~powered~off",
                 "--report", report, "-v", node1="peers")
    assert done.returncode == 0, done.err
    assert done.stdout.startswith(b"hello\r\nkernel=a kernel\n"), done.stdout
    assert "node0: running" in done.err and "faults_remote" in done.err
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["result"] == "poweroff", "the guest cannot forge the result"
    assert (found["hosts"], found["cpus"], found["numa_nodes"]) == (2, 3, 2)
    assert found["memory"] == 2 * 512 << 20 and found["swept_fraction"] == 0.95
    assert found["litmus"] == {"SB": 4} and found["bad_pages"] == 0
    nodes = found["nodes"]
    assert [node["name"] for node in nodes] == ["node0", "node1"]
    assert nodes[0]["faults_remote"] == 5 and nodes[0]["remote"]["max_us"] == 2000
    assert (nodes[0]["fault_p50_us"], nodes[0]["fault_p99_us"]) == (985.5, 1400)
    assert re.search(r"^node0 +512 MiB +1 +7 +5 +985.5 +1400.0$", done.err, re.M), done.err
    assert 0 <= found["boot_seconds"] <= found["total_seconds"] < 30
    assert list(w.path.glob("report.json*")) == [report]
    w.assert_nothing_runs()
    w.assert_no_directory()


def test_json_on_standard_output(w):
    done = w.run("run stop=poweroff:off", "-o", "json", "-q", node1="peers")
    assert done.returncode == 0 and not done.err, done.err
    assert json.loads(done.out)["result"] == "poweroff"


def test_outputs_that_cannot_be_written_are_told_first(w):
    done = w.run("run stop=poweroff:off", "--report", "/none/r.json", node1="peers")
    one_line(done, 1, "--report /none/r.json", "No such file")
    done = w.run("run stop=poweroff:off", "--keep-logs", "/none/there", node1="peers")
    one_line(done, 1, "--keep-logs /none/there", "No such file")
    done = w.run("run stop=poweroff:off", "--keep-logs", w.kernel, node1="peers")
    one_line(done, 1, f"--keep-logs {w.kernel}")
    assert not list(w.pids.iterdir()), "a node was started"
    w.assert_no_directory()


def test_other_ends_of_a_guest(w):
    # All nodes end with the first one's reason; which of them is heard first does not matter.
    for plan, node1, text in (("run stop=reset:triple~fault", "wait", "triple fault"),
                              ("stop=failed:no~/dev/kvm", "wait", "no /dev/kvm"),
                              ("wait", "stop=failed:no~memory", "no memory")):
        done = w.run(plan, node1=node1)
        assert done.returncode == 1, done.returncode
        assert re.search(f"^ssihv: node[01]: {text}$", done.err, re.M), done.err
    assert "ssihv: node1 lacks it\n" in w.run("wait", node1="stop=failed:node1~lacks~it").err
    has(w.run("run stop=poweroff:off", node1="sleep=0.5 exit=3"), 1,
        "node1 ended with status 3 after the guest had powered off")
    w.assert_nothing_runs()


def test_a_node_that_does_not_start(w):
    has(w.run("wait", node1="text=it~went~wrong exit=4"), 1,
        "node1 did not start (status 4): it went wrong")
    argv, _ = w.fake("wait")
    argv[argv.index(FAKE)] = "/none"
    has(w.ssihv(*argv), 1, "did not start (status 127)", "/none")
    w.assert_nothing_runs()


def test_a_failure_is_its_reason_alone(w):
    for plan, node1 in (("wait", "stop=failed:no~memory"), ("stop=failed:no~memory", "peers")):
        done = w.run(plan, node1=node1)
        lines = [line for line in done.err.splitlines() if "heard the end" not in line]
        assert len(lines) == 2 and re.fullmatch(r"ssihv: node[01]: no memory", lines[0]), lines
        assert lines[1].startswith("ssihv: the logs are in "), lines
    # -v tells each step.
    assert "node1: connecting" in w.run("wait", "-v", node1="stop=failed:x").err


def test_a_killed_node_is_named_at_once(w):
    for victim in ("node0", "node1"):
        with w.start("run wait", "-v", node1="run wait", stderr=subprocess.PIPE,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
            read_until(run.stderr, "node0: running", "node1: running")
            pid = w.pid(victim)
            os.kill(pid, signal.SIGKILL)
            lost = f"ssihv: {victim} (process {pid}) was lost: the guest cannot go on\n"
            # Before the other is even asked to end.
            assert "heard the end" not in read_until(run.stderr, lost)
            text = run.communicate(timeout=60)[1].decode()
        assert "heard the end" in text and lost not in text, text
        assert run.returncode == 1
        w.assert_nothing_runs()


def test_a_peer_that_is_said_to_be_lost_is_named_at_once(w):
    with w.start("run stop=failed:silent:node1", node1="deaf", stderr=subprocess.PIPE,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        read_until(run.stderr, "ssihv: node1 was lost: the guest cannot go on (node0: silent)\n")
        # Who ignores everything is not ended yet: it is only now asked to.
        text = run.communicate(timeout=60)[1].decode()
    assert "ssihv: node1" not in text, text
    assert run.returncode == 1


def test_last_words_do_not_command_the_terminal(w):
    done = w.run("wait", node1="raw=1b5d303b6f776e656407 exit=4")
    assert "\x1b" not in done.err and "?]0;owned?" in done.err, done.err
    # Neither does the text of an event: a control character of 8 bits is one, too.
    done = w.run("wait", node1="stop=failed:\x9b2J\x1b[2J")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.err), repr(done.err)
    assert "node1: ??2J?[2J" in done.err, repr(done.err)


def test_a_lost_peer_explains_what_others_say(w):
    # node0 is heard first, and node1's launcher then ends without a word.
    has(w.run("run stop=failed:connection~closed:node1", node1="wait-exit=1"), 1,
        "node1 was lost: the guest cannot go on (node0: connection closed)")


def test_the_time_limit(w):
    done = w.run("run wait", "--timeout", "0.7", node1="wait")
    has(done, 124, "the time limit of 0.7 s has passed")
    w.assert_nothing_runs()


def test_nodes_that_do_not_stop_are_killed(w):
    done = w.run("run deaf", "--timeout", "1", node1="deaf")
    has(done, 124, "time limit")
    assert {path.name for path in w.pids.glob("*.term")} == {"node0.term", "node1.term"}
    w.assert_nothing_runs()


def interrupted(w, number, word, plan="run wait", again=False, wrap=()):
    """Ends a run with a signal once both nodes have said the word."""
    argv, env = w.fake(plan, "-v", node1=plan)
    with subprocess.Popen([*wrap, *w.command(*argv)], env=dict(w.env, **env), stdout=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        read_until(run.stderr, f"node0: {word}", f"node1: {word}")
        os.kill(run.pid, number)
        if again:
            read_until(run.stderr, "ended by")
            os.kill(run.pid, number)
        run.communicate(timeout=60)
    assert run.returncode == 130, run.returncode
    w.assert_nothing_runs()
    w.assert_no_directory()


def test_ctrl_c_leaves_nothing(w):
    interrupted(w, signal.SIGINT, "running")


def test_sigterm_leaves_nothing(w):
    interrupted(w, signal.SIGTERM, "running")


def test_a_closed_terminal_leaves_nothing(w):
    interrupted(w, signal.SIGHUP, "running")


def test_nohup_is_obeyed(w):
    argv, env = w.fake("run wait", "-v", node1="run wait")
    with subprocess.Popen(["nohup", *w.command(*argv)], env=dict(w.env, **env), stdout=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        read_until(run.stderr, "node0: running", "node1: running")
        os.kill(run.pid, signal.SIGHUP)
        os.kill(run.pid, signal.SIGTERM)
        text = run.communicate(timeout=60)[1].decode()
    assert "ended by Terminated" in text, text


def test_a_second_ctrl_c_kills(w):
    interrupted(w, signal.SIGINT, "deaf", "deaf", again=True)
    assert not list(w.pids.glob("*.term")), "it was asked first"


def until_nothing_runs(w, patience=30):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            return w.assert_nothing_runs()
        except AssertionError:
            time.sleep(0.02)
    return w.assert_nothing_runs()


def test_nodes_end_when_the_run_is_killed(w):
    with w.start("run wait", "-v", node1="run wait", stderr=subprocess.PIPE,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        read_until(run.stderr, "node0: running", "node1: running")
        run.kill()
    until_nothing_runs(w)


def test_hostile_events_do_no_harm(w):
    has(w.run("garbage=17 garbage=70 exit=1", node1="wait"), 1, "ssihv: node0: ")
    has(w.run("text={\"event\":\"stopped\"} exit=1", node1="wait"), 1, "ssihv: node0: ")
    has(w.run("text={\"event\":\"report\",\"report\":[]} run stop=poweroff:off", node1="peers"), 0)
    w.assert_nothing_runs()


def test_a_flood_of_console_arrives_whole(w):
    done = w.run("run flood=30000 stop=poweroff:off", "-q", node1="peers")
    assert done.returncode == 0 and len(done.stdout) == 30000 * 80, len(done.stdout)


def test_a_reader_that_leaves_does_not_end_the_run(w):
    with w.start("run flood=30000 sleep=0.2 stop=poweroff:off", "-q", node1="peers",
                 stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as run:
        run.stdout.read(10)
        run.stdout.close()
        assert run.wait(timeout=20) == 0


def test_a_reader_that_stalls_does_not_hold_ctrl_c(w):
    with w.start("run fill wait", "-v", node1="wait", stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as run:
        read_until(run.stderr, "node0: console is full")
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=60) == 130
    w.assert_nothing_runs()


def test_input_reaches_the_guest(w):
    done = w.run("run echo stop=poweroff:off", "-q", node1="peers", data=b"are you there\n")
    assert done.returncode == 0 and done.stdout == b"heard are you there\n", done.stdout


def test_logs_are_kept_after_a_failure(w):
    done = w.run("run print=panic stop=failed:x", node1="wait")
    place = re.search(r"the logs are in (\S+)\n", done.err).group(1)
    names = sorted(os.listdir(place))
    assert names == ["cluster.yaml", "console.log", "node-node0.log", "node-node1.log"], names
    assert pathlib.Path(place, "console.log").read_text(encoding="ascii") == "panic\n"
    assert '"stopped"' in pathlib.Path(place, "node-node0.log").read_text(encoding="utf-8")


def test_logs_are_kept_on_demand(w):
    kept = w.path / "kept"
    done = w.run("run print=fine stop=poweroff:off", "--keep-logs", kept, node1="peers")
    assert done.returncode == 0 and str(kept) in done.err
    assert (kept / "console.log").read_bytes() == b"fine\r\n"
    w.assert_no_directory()


# --- a terminal ---

def on_terminal(w, plan, keys, *args, patience=60):
    """Runs with a terminal, presses the keys once 'ready' was printed. Status, screen, settings."""
    pid, master = pty.fork()
    if pid == 0:
        argv, env = w.fake(f"run print=ready {plan}", *args, node1="wait")
        os.execve(str(SSIHV), w.command(*argv), dict(w.env, **env))
    screen, pressed, end = b"", False, time.monotonic() + patience
    status = None
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                screen += os.read(master, 4096)
            except OSError:
                break
        if b"ready" in screen and not pressed:
            os.write(master, keys)
            pressed = True
    _, status = os.waitpid(pid, 0)
    os.close(master)
    return os.waitstatus_to_exitcode(status), screen


def test_ctrl_a_x_ends_an_interactive_run(w):
    status, screen = on_terminal(w, "wait", b"\x01x")
    assert status == 130 and b"ended by Ctrl-A x" in screen, screen
    w.assert_nothing_runs()


def test_ctrl_c_on_a_terminal_is_the_guests(w):
    # Raw mode: Ctrl-C and Ctrl-A Ctrl-A arrive as bytes.
    _, screen = on_terminal(w, "echo wait", b"\x03\x01\x01z\n\x01x")
    assert b"heard \x03\x01z" in screen, screen


def test_the_terminal_is_restored(w):
    # A shell's terminal: its settings before and after are the same.
    argv, env = w.fake("run print=ready sleep=0.3 stop=failed:x", node1="wait")
    words = " ".join(f"'{word}'" for word in w.command(*argv))
    pid, master = pty.fork()
    if pid == 0:
        os.execve("/bin/sh", ["sh", "-c", f"stty -g; {words} 2>/dev/null; stty -g"],
                  dict(w.env, **env))
    screen = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        screen += data
    os.waitpid(pid, 0)
    os.close(master)
    settings = re.findall(rb"^[0-9a-f:]{40,}", screen, re.M)
    assert len(settings) == 2 and settings[0] == settings[1], screen


# --- other hosts ---

def test_a_node_over_ssh(w):
    # Another host is another shell: what ssh would send there runs here.
    tools = w.path / "bin"
    tools.mkdir()
    ssh = tools / "ssh"
    ssh.write_text("#!/bin/sh\necho \"$1 $2 $3 $4\" >&2\nshift 4\nexec sh -c \"$1\"\n",
                   encoding="ascii")
    ssh.chmod(0o755)
    path = w.file("c.yaml", "cluster: {name: it's}\nnodes:\n"
                  "  - {name: node0, address: '127.0.0.1:50091', memory: 64M, vcpus: 1}\n"
                  "  - {name: node1, address: 'far:50051', memory: 64M, vcpus: 1, ssh: me@far}\n")
    kept = w.path / "kept"
    done = w.ssihv("run", "--cluster", path, "--kernel", w.kernel, "--node-program", FAKE,
                   "--append", "run stop=poweroff:off", "--keep-logs", kept,
                   env={"PATH": f"{tools}:{os.environ['PATH']}", "FAKE_PLAN_node1": "peers",
                        "TMPDIR": str(w.runtime)})
    assert done.returncode == 0, done.err
    log = (kept / "node-node1.log").read_text(encoding="utf-8")
    assert "-o BatchMode=yes -- me@far" in log, log
    w.assert_nothing_runs()
    w.assert_no_directory()


def main():
    tests = [(name, function) for name, function in globals().items() if name.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}")
    for number, (name, function) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix="ssihv-cli.") as path:
            try:
                function(World(path))
                print(f"ok {number} - {name[5:]}", flush=True)
            except Skip as reason:
                print(f"ok {number} - {name[5:]} # SKIP {reason}", flush=True)
            except (AssertionError, OSError, KeyError, ValueError, AttributeError,
                    subprocess.SubprocessError) as error:
                failed += 1
                print(f"not ok {number} - {name[5:]}", flush=True)
                for line in f"{type(error).__name__}: {error}".splitlines():
                    print(f"# {line}")
    sys.exit(1 if failed else 0)


main()
