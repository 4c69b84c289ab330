#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs from outside: what is told, what is kept, and that nothing is left.

Usage: test_runs.py SSIHV.  Prints TAP. Needs no guest: nodes are tests/cli/fake_node.py, which
speaks a real node's contract; processes, pipes, signals, ports and terminals are real.
"""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

from world import FAKE, HERE, SSIHV, free_port, has, main, one_line, read_until, until_nothing_runs


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
    assert 0 <= found["boot_seconds"] <= found["total_seconds"]
    assert list(w.path.glob("report.json*")) == [report]
    w.assert_nothing_runs()
    w.assert_no_directory()


def test_json_on_standard_output(w):
    done = w.run("run stop=poweroff:off", "-o", "json", "-q", node1="peers")
    assert done.returncode == 0 and not done.err, done.err
    assert json.loads(done.out)["result"] == "poweroff"


def test_a_report_to_what_is_no_file_is_written_there(w):
    # Each was replaced by a file of its name.
    pipe = w.path / "pipe"
    os.mkfifo(pipe)
    done = w.run("run stop=poweroff:off", "--report", pipe, node1="peers")
    has(done, 1, f"{pipe}: cannot be written: ")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    done = w.run("run stop=poweroff:off", "--report", pipe, node1="peers")
    assert done.returncode == 0, done.err
    assert json.loads(os.read(reader, 65536))["result"] == "poweroff" and pipe.is_fifo()
    os.close(reader)
    link = w.path / "link"
    link.symlink_to(w.path / "target.json")
    link.readlink().write_text("", encoding="ascii")
    assert w.run("run stop=poweroff:off", "--report", link, node1="peers").returncode == 0
    assert link.is_symlink() and json.loads(link.read_text(encoding="utf-8"))["hosts"] == 2


def test_outputs_that_cannot_be_written_are_told_first(w):
    done = w.run("run stop=poweroff:off", "--report", "/none/r.json", node1="peers")
    one_line(done, 1, "--report /none/r.json", "No such file")
    done = w.run("run stop=poweroff:off", "--report", w.path, node1="peers")
    one_line(done, 1, f"--report {w.path}", "Is a directory")
    done = w.run("run stop=poweroff:off", "--keep-logs", "/none/there", node1="peers")
    one_line(done, 1, "--keep-logs /none/there", "No such file")
    done = w.run("run stop=poweroff:off", "--keep-logs", w.kernel, node1="peers")
    one_line(done, 1, f"--keep-logs {w.kernel}", "Not a directory")
    done = w.run("run stop=poweroff:off", "--trace", "/none/there", node1="peers")
    one_line(done, 1, "--trace /none/there", "No such file")
    done = w.run("run stop=poweroff:off", "--trace-size", "2M", node1="peers")
    one_line(done, 1, "--trace-size", "give --trace DIR")
    done = w.run("run stop=poweroff:off", "--trace", w.path / "t", "--trace-size", "1K",
                 node1="peers")
    one_line(done, 1, "--trace-size 1K", "at least 1M")
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
    with w.start("run stop=failed:connection~closed:node1", node1="await=told exit=1",
                 stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL) as run:
        read_until(run.stderr, "ssihv: node1 was lost: the guest cannot go on "
                               "(node0: connection closed)\n")
        (w.pids / "told").touch()
        text = run.communicate(timeout=60)[1].decode()
    assert "ssihv: node1" not in text, text
    assert run.returncode == 1


def test_the_time_limit(w):
    done = w.run("run wait", "--timeout", "0.7", node1="wait")
    has(done, 124, "the time limit of 0.7 s has passed")
    w.assert_nothing_runs()


def test_nodes_that_do_not_stop_are_killed(w):
    interrupted(w, signal.SIGINT, "deaf", "deaf")
    assert {path.name for path in w.pids.glob("*.term")} == {"node0.term", "node1.term"}


def interrupted(w, number, word, plan="run wait", again=False):
    """Ends a run with a signal once both nodes have said the word."""
    argv, env = w.fake(plan, "-v", node1=plan)
    with subprocess.Popen(w.command(*argv), env=dict(w.env, **env), stdout=subprocess.DEVNULL,
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
    with subprocess.Popen(["nohup", *w.command(*argv)], env=dict(w.env, **env),
                          stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as run:
        read_until(run.stderr, "node0: running", "node1: running")
        os.kill(run.pid, signal.SIGHUP)
        os.kill(run.pid, signal.SIGTERM)
        text = run.communicate(timeout=60)[1].decode()
    assert "ended by Terminated" in text, text


def test_a_second_ctrl_c_kills(w):
    interrupted(w, signal.SIGINT, "deaf", "deaf", again=True)
    assert not list(w.pids.glob("*.term")), "it was asked first"


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


def test_a_terminal_that_nobody_reads_does_not_hold_a_run(w):
    # It has room for less than what is pending: the run stood still in write(2), deaf to signals.
    master, slave = pty.openpty()
    with w.start("run fill wait", "-v", node1="wait", stdout=slave,
                 stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as run:
        read_until(run.stderr, "node0: console is full")
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=60) == 130
    assert os.get_blocking(slave), "the terminal's flags are its user's"
    os.close(master)
    os.close(slave)
    w.assert_nothing_runs()


def full_pipe():
    """A pipe that takes no more. Return: its ends, what is in it."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    own = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
    os.write(own, b"x" * 4095 + b"\n")
    os.close(own)
    return reader, writer


def test_messages_that_nobody_reads_do_not_hold_a_run(w):
    # The first line of -v stood still in write(2), and with it signals, time limit and nodes.
    for plan, arguments, status in (("run stop=poweroff:off", (), 0),
                                    ("run wait", ("--timeout", 1), 124),
                                    ("run stop=failed:x", ("--keep-logs", w.path / "kept"), 1)):
        reader, writer = full_pipe()
        with w.start(plan, "-v", *arguments, node1="peers", stderr=writer,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
            assert run.wait(timeout=60) == status, plan
        assert os.get_blocking(writer), "the pipe's flags are its user's"
        os.close(writer)
        os.close(reader)
        w.assert_nothing_runs()


def test_messages_wait_for_a_reader_who_is_slow(w):
    reader, writer = full_pipe()
    with w.start("run wait", "-v", node1="peers", stderr=writer, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL) as run:
        os.close(writer)
        w.pid("node0")
        with os.fdopen(reader, "rb") as stream:
            read_until(stream, "x\n", "node0: connecting", "node0: running")
            run.send_signal(signal.SIGINT)
            read_until(stream, "ended by Ctrl-C\n")
        assert run.wait(timeout=60) == 130


def test_messages_that_are_lost_are_told(w):
    reader, writer = full_pipe()
    with w.start("warnings=10000 wait", node1="peers", stderr=writer, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL) as run:
        os.close(writer)
        w.pid("warned")
        with os.fdopen(reader, "rb") as stream:
            run.send_signal(signal.SIGINT)
            seen = read_until(stream, " lines are missing here, nobody read them\n")
            text = seen + stream.read().decode()
        assert run.wait(timeout=60) == 130
    assert "warning 0\n" in text and text.count(": warning ") < 10000, text[-1000:]


def test_ctrl_c_ends_a_wait_for_who_reads_the_report(w):
    reader, writer = full_pipe()
    with w.start("run wait", "-o", "json", "-v", node1="wait", stdout=writer,
                 stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as run:
        os.close(writer)
        read_until(run.stderr, "node0: running")
        run.send_signal(signal.SIGINT)
        read_until(run.stderr, "ended by Ctrl-C")
        # All is over but the report, for which there is no room.
        status = pathlib.Path(f"/proc/{run.pid}/status")
        end = time.monotonic() + 30
        while int(re.search(r"SigBlk:\s*(\w+)", status.read_text(encoding="ascii"))[1], 16) & 2:
            assert time.monotonic() < end, "SIGINT stays blocked"
            time.sleep(0.02)
        w.assert_nothing_runs()
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=60) == -signal.SIGINT
    os.close(reader)
    w.assert_no_directory()


def test_a_run_without_standard_streams(w):
    argv, env = w.fake("run print=hello stop=poweroff:off", "-q", node1="peers")
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *w.command(*argv)],
                          env=dict(w.env, **env), timeout=60, check=False)
    assert done.returncode == 0
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

def on_terminal(w, plan, *steps, patience=60):
    """Runs with a terminal; each step is what to wait for on it, and the keys to press then, or a
    function that tells them."""
    pid, master = pty.fork()
    if pid == 0:
        argv, env = w.fake(f"run print=ready {plan}", node1="wait")
        os.execve(str(SSIHV), w.command(*argv), dict(w.env, **env))
    screen, at, end = b"", 0, time.monotonic() + patience
    steps = list(steps)
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                screen += os.read(master, 4096)
            except OSError:
                break
        while steps and steps[0][0] in screen[at:]:
            at = screen.index(steps[0][0], at) + 1
            keys = steps.pop(0)[1]
            os.write(master, keys() if callable(keys) else keys)
    _, status = os.waitpid(pid, 0)
    os.close(master)
    assert not steps, (steps, screen)
    return os.waitstatus_to_exitcode(status), screen


def test_ctrl_a_x_ends_an_interactive_run(w):
    status, screen = on_terminal(w, "wait", (b"ready", b"\x01x"))
    assert status == 130 and b"ended by Ctrl-A x" in screen, screen
    w.assert_nothing_runs()


def test_ctrl_c_on_a_terminal_is_the_guests(w):
    # Raw mode: Ctrl-C and Ctrl-A Ctrl-A arrive as bytes.
    _, screen = on_terminal(w, "echo wait", (b"ready", b"\x03\x01\x01z\n"), (b"heard", b"\x01x"))
    assert b"heard \x03\x01z" in screen, screen


def test_ctrl_a_p_pauses_and_resumes(w):
    status, screen = on_terminal(
        w, "echo wait", (b"ready", b"\x01p"), (b"the guest is paused", b"\x01p"),
        (b"the guest goes on", b"\x01?"), (b"Ctrl-A p pauses", b"\n"), (b"heard", b"\x01x"))
    assert status == 130, screen
    assert b"pausing the guest" in screen and b"resuming the guest" in screen, screen


def test_a_refused_pause_says_why(w):
    _, screen = on_terminal(w, "refuse wait", (b"ready", b"\x01p"),
                            (b"the guest was not paused: it is moving", b"\x01x"))
    assert b"the guest is paused" not in screen, screen


def test_marks_of_the_guest_have_what_all_nodes_counted(w):
    report = w.path / "report.json"
    plan = ("run print=PROOF-MARK~first count=3 await=go print=PROOF-MARK~second\x1b print="
            "PROOF-MARK~lost count=5 stop=poweroff:off")
    with w.start(plan, "-v", "--report", report, node1="count=4 peers", stderr=subprocess.PIPE,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        read_until(run.stderr, "mark: first\n")
        (w.pids / "go").touch()
        text = run.communicate(timeout=60)[1].decode()
    # One mark at a time; what a node did not answer is not there.
    assert "mark: " not in text and run.returncode == 0, text
    assert json.loads(report.read_text(encoding="utf-8"))["marks"] == [
        {"name": "first", "nodes": [{"faults_remote": 3}, {"faults_remote": 4}]},
        {"name": "second?", "nodes": [{"faults_remote": 5}, None]}]
    assert json.loads(w.run("run stop=poweroff:off", "-o", "json", "-q",
                            node1="peers").out)["marks"] == []


def test_keys_that_follow_a_command_wait_for_room(w):
    # The first node's input has none for the command, let alone for what was typed with it.
    def fill():
        pipe = os.open(f"/proc/{w.pid('node0')}/fd/0", os.O_WRONLY | os.O_NONBLOCK)
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        os.write(pipe, b" " * 4095 + b"\n")
        os.close(pipe)
        return b"\x01pabc"

    def drain():
        pipe = os.open(f"/proc/{w.pid('node0')}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
        while heard.count(b"\n") < 3 and select.select([pipe], [], [], 20)[0]:
            heard.extend(os.read(pipe, 4096))
        os.close(pipe)
        return b"\x01x"

    heard = bytearray()
    on_terminal(w, "deaf", (b"ready", fill), (b"pausing the guest", drain))
    assert heard.count(b"\n") == 3, heard.strip()
    command, typed = map(json.loads, heard.split(b"\n")[1:3])
    assert command["command"] == "pause" and typed == {"input": "abc"}, heard


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
                  f"  - {{name: node0, address: '127.0.0.1:{free_port()}', memory: 64M,"
                  " vcpus: 1}\n"
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


def test_a_node_over_ssh_ends_with_its_connection(w):
    # As with sshd: the node has a session of its own there, and hears of our end by its stdin.
    tools = w.path / "bin"
    tools.mkdir()
    ssh = tools / "ssh"
    ssh.write_text("#!/bin/sh\necho $$ >\"$FAKE_PIDS/ssh\"\n"
                   "cat | setsid sh -c \"$5\" 2>&1 | cat >&2\n", encoding="ascii")
    ssh.chmod(0o755)
    path = w.file("c.yaml", "cluster: {name: t}\nnodes:\n"
                  f"  - {{name: node0, address: '127.0.0.1:{free_port()}', memory: 64M,"
                  " vcpus: 1}\n"
                  "  - {name: node1, address: 'far:50051', memory: 64M, vcpus: 1, ssh: me@far}\n")
    env = dict(w.env, PATH=f"{tools}:{os.environ['PATH']}", FAKE_PLAN_node1="run wait",
               TMPDIR=str(w.runtime))
    argv = w.command("run", "--cluster", path, "--kernel", w.kernel, "--node-program", FAKE, "-v",
                     "--append", "run wait", "--keep-logs", w.path / "kept")
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as run:
        read_until(run.stderr, "node0: running", "node1: running")
        os.killpg(int((w.pids / "ssh").read_text(encoding="ascii")), signal.SIGKILL)
        read_until(run.stderr, "node1 (process ", ") was lost")
        run.communicate(timeout=60)
    assert run.returncode == 1
    until_nothing_runs(w)
    end = time.monotonic() + 30
    while list(w.runtime.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    w.assert_no_directory()


def in_a_lab(w, plan, *args, **env):
    """Command and environment of a run on emulated hosts, whose lab.py is a stand-in."""
    place = w.path / "tree"
    for folder in ("build/cli", "lab"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    # The program looks for the lab from where it lies itself.
    shutil.copy(SSIHV, place / "build/cli/ssihv")
    shutil.copy(HERE / "fake_lab.py", place / "lab/lab.py")
    argv, _ = w.fake(plan, "--slow", 3, *args)
    argv[argv.index("--local")] = "--lab"
    return [str(place / "build/cli/ssihv"), *map(str, argv)], dict(w.env, **env)


def lab_calls(w):
    return [json.loads(line) for line in (w.pids / "lab").read_text(encoding="ascii").splitlines()]


def test_nodes_on_emulated_hosts(w):
    argv, env = in_a_lab(w, "run files stop=poweroff:off", "-o", "json", "-v",
                         "--vcpus-per-node", 2, FAKE_PLAN_node1="peers")
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, check=False)
    err = done.stderr.decode()
    assert done.returncode == 0 and "lab: host 0 is up" in err, err
    kernel, report = done.stdout.decode().splitlines()
    assert kernel == "kernel=a kernel"
    found = json.loads(report)
    assert (found["placement"], found["slow_motion"]) == ("lab", 3), found
    assert [node["address"] for node in found["nodes"]] == ["10.77.0.1:50051", "10.77.0.2:50051"]
    up, down = lab_calls(w)
    options = dict(zip(up[2::2], up[3::2]))
    assert up[:2] == ["up", "2"] and down[0] == "down", (up, down)
    assert (options["--memory"], options["--slow"]) == ("1472M", "3"), up
    assert "--smp" not in options, up
    assert options["--dir"] == down[2] == options["--share"] + "/lab", (up, down)
    w.assert_no_directory()


def test_traces_of_emulated_hosts_are_written_here(w):
    trace = w.path / "traces"
    argv, env = in_a_lab(w, "run stop=poweroff:off", "--trace", trace, FAKE_PLAN_node1="peers")
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    up = lab_calls(w)[0]
    assert up[-2:] == ["--share", str(trace)] and trace.is_dir(), up


def test_a_lab_that_does_not_start(w):
    argv, env = in_a_lab(w, "run", FAKE_LAB="fail")
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 2, lines
    assert lines[0] == "ssihv: the lab did not start: no emulator?[2J", lines
    assert [call[0] for call in lab_calls(w)] == ["up", "down"]


def test_ctrl_c_while_the_lab_starts(w):
    argv, env = in_a_lab(w, "run", "-v", FAKE_LAB="hang")
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as run:
        read_until(run.stderr, "host 0 is up")
        run.send_signal(signal.SIGINT)
        assert "ended by Ctrl-C" in run.communicate(timeout=60)[1].decode()
    assert run.returncode == 130 and not list(w.pids.glob("node*"))
    assert [call[0] for call in lab_calls(w)] == ["up", "down"]
    w.assert_no_directory()


main(globals())
