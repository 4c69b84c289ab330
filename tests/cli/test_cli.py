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


class World:
    """A directory with what a run needs; XDG_RUNTIME_DIR is in it, so that leftovers are seen."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.kernel = self.path / "kernel"
        self.kernel.write_text("a kernel\n", encoding="ascii")
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
        started = time.monotonic()
        if data is not None:
            stdin = None
        done = subprocess.run(self.command(*args), env=dict(self.env, **(env or {})), stdin=stdin,
                              input=data, capture_output=True, timeout=timeout, check=False)
        done.seconds = time.monotonic() - started
        done.out = done.stdout.decode("utf-8", "replace")
        done.err = done.stderr.decode("utf-8", "replace")
        return done

    def fake(self, plan, *args, nodes=2, node1=None):
        """Arguments and environment of a run of fake nodes."""
        env = {} if node1 is None else {"FAKE_PLAN_node1": node1}
        return ["run", "--local", nodes, "--kernel", self.kernel, "--node-program", FAKE,
                "--append", plan, *args], env

    def run(self, plan, *args, nodes=2, node1=None, data=None):
        argv, env = self.fake(plan, *args, nodes=nodes, node1=node1)
        return self.ssihv(*argv, env=env, data=data)

    def start(self, plan, *args, node1=None, **kwargs):
        argv, env = self.fake(plan, *args, node1=node1)
        return subprocess.Popen(self.command(*argv), env=dict(self.env, **env), **kwargs)

    def pid(self, name, patience=10):
        path = self.pids / name
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if path.exists() and path.read_text(encoding="ascii"):
                return int(path.read_text(encoding="ascii"))
            time.sleep(0.02)
        raise AssertionError(f"{name} did not start")

    def assert_nothing_runs(self):
        for path in self.pids.iterdir():
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
            (["run", "--local", "2", "--timeout", "soon"], "--timeout soon"),
            (["run", "--local", "2", "--timeout", "-1"], "--timeout -1"),
            (["acpi"], "-o DIR"), (["acpi", "f"], "-o DIR"), (["acpi", "f", "g", "-o", "d"], "'g'"),
            (["check-kvm", "now"], "'now'"), (["check-kvm", "-o", "xml"], "'xml'"),
            (["node"], "--cluster"), (["config"], "check FILE"), (["config", "check"], "check FILE"), (["lab"], "up, run"),
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


def test_the_manual_tells_every_key(w):
    manual = (HERE.parent.parent / "man" / "ssihv-cluster.5").read_text(encoding="utf-8")
    keys = re.findall(r"^([a-z]\S+) ", w.ssihv("config", "keys").out, re.M)
    assert len(keys) >= 20
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

def test_what_is_no_kernel_is_told_by_the_node(w):
    junk = w.file("junk", "no kernel " * 1000)
    done = w.ssihv("run", "--local", 2, "--memory-per-node", "64M", "--kernel", junk,
                   "--timeout", 20)
    assert done.returncode == 1, done.err
    said = [line for line in done.err.splitlines() if line.startswith("ssihv: ")][0]
    # A machine without the devices never comes to the kernel.
    assert junk in said or "/dev/kvm" in said or "userfaultfd" in said, done.err
    assert done.seconds < 10


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
                 "--report", report, node1="peers")
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


def test_a_report_that_cannot_be_written(w):
    done = w.run("run stop=poweroff:off", "-q", "--report", "/none/r.json", node1="peers")
    one_line(done, 1, "/none/r.json")


def test_other_ends_of_a_guest(w):
    has(w.run("run stop=reset:triple~fault", node1="wait"), 1, "ssihv: node0: triple fault\n")
    has(w.run("stop=failed:/dev/kvm~is~not~there", node1="wait"), 1, "ssihv: node0: /dev/kvm")
    has(w.run("wait", node1="stop=failed:no~/dev/userfaultfd"), 1,
        "ssihv: node1: no /dev/userfaultfd\n")
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


def test_a_killed_node_is_named(w):
    for victim in ("node0", "node1"):
        for path in w.pids.iterdir():
            path.unlink()
        with w.start("run wait=60", node1="wait=60", stderr=subprocess.PIPE,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
            pid = w.pid(victim)
            w.pid("node0"), w.pid("node1")
            time.sleep(0.3)
            os.kill(pid, signal.SIGKILL)
            started = time.monotonic()
            text = run.communicate(timeout=10)[1].decode()
        assert time.monotonic() - started < 5
        assert run.returncode == 1
        assert f"ssihv: {victim} (process {pid}) was lost: the guest cannot go on" in text, text
        w.assert_nothing_runs()


def test_a_lost_peer_explains_what_others_say(w):
    # node0 is heard first, and node1's launcher then ends without a word.
    has(w.run("run stop=failed:connection~closed:node1", node1="sleep=0.5 exit=1"), 1,
        "node1 was lost: the guest cannot go on (node0: connection closed)")


def test_the_time_limit(w):
    done = w.run("run wait=60", "--timeout", "0.7", node1="wait=60")
    has(done, 124, "the time limit of 0.7 s has passed")
    assert done.seconds < 4
    w.assert_nothing_runs()


def test_nodes_that_do_not_stop_are_killed(w):
    done = w.run("run deaf", "--timeout", "0.7", node1="deaf")
    has(done, 124, "time limit")
    assert 2 < done.seconds < 6
    w.assert_nothing_runs()


def interrupted(w, number, plan="run wait=60", again=False):
    with w.start(plan, node1=plan, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL) as run:
        w.pid("node0"), w.pid("node1")
        time.sleep(0.3)
        os.kill(run.pid, number)
        started = time.monotonic()
        if again:
            time.sleep(0.3)
            os.kill(run.pid, number)
        run.communicate(timeout=10)
    assert run.returncode == 130, run.returncode
    w.assert_nothing_runs()
    w.assert_no_directory()
    return time.monotonic() - started


def test_ctrl_c_leaves_nothing(w):
    assert interrupted(w, signal.SIGINT) < 2


def test_sigterm_leaves_nothing(w):
    assert interrupted(w, signal.SIGTERM) < 2


def test_a_second_ctrl_c_kills(w):
    assert interrupted(w, signal.SIGINT, "run deaf", again=True) < 1.5


def test_nodes_end_when_the_run_is_killed(w):
    with w.start("run wait=60", node1="wait=60", stderr=subprocess.DEVNULL,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        w.pid("node0"), w.pid("node1")
        time.sleep(0.3)
        run.kill()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            return w.assert_nothing_runs()
        except AssertionError:
            time.sleep(0.1)
    return w.assert_nothing_runs()


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
    with w.start("run flood=30000 wait=60", "-q", node1="wait=60", stdout=subprocess.PIPE,
                 stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as run:
        w.pid("node1")
        time.sleep(0.7)
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=10) == 130
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
    done = w.run("run stop=poweroff:off", "--keep-logs", "/none/there", node1="peers")
    assert "/none/there" in done.err


# --- a terminal ---

def on_terminal(w, plan, keys, *args, patience=10):
    """Runs with a terminal, presses the keys once 'ready' was printed. Status, screen, settings."""
    pid, master = pty.fork()
    if pid == 0:
        argv, env = w.fake(f"run print=ready {plan}", *args, node1="wait=60")
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
    status, screen = on_terminal(w, "wait=60", b"\x01x")
    assert status == 130 and b"ended by Ctrl-A x" in screen, screen
    w.assert_nothing_runs()


def test_ctrl_c_on_a_terminal_is_the_guests(w):
    # Raw mode: Ctrl-C and Ctrl-A Ctrl-A arrive as bytes.
    _, screen = on_terminal(w, "echo wait=60", b"\x03\x01\x01z\n\x01x")
    assert b"heard \x03\x01z" in screen, screen


def test_the_terminal_is_restored(w):
    # A shell's terminal: its settings before and after are the same.
    argv, env = w.fake("run print=ready sleep=0.3 stop=failed:x", node1="wait=60")
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
