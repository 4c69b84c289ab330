#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program with real nodes on this machine's /dev/kvm: its terminal, pauses, signals.

Usage: test_program.py SSIHV MAKE_GUEST.  Prints TAP. The guest prints '?', then what is typed.
"""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from xml.etree import ElementTree

SSIHV, MAKE_GUEST = (os.path.abspath(path) for path in sys.argv[1:3])
PATIENCE = 60
COMMANDS = 5000


def read_until(fd, text, seen=b""):
    """Reads until @text has come; returns what came behind it."""
    end = time.monotonic() + PATIENCE
    while text not in seen:
        assert time.monotonic() < end, f"no {text!r} in {seen[-600:]!r}"
        if select.select([fd], [], [], 1)[0]:
            seen += os.read(fd, 4096)
    return seen.partition(text)[2]


def two_nodes_pause_and_resume_by_keys(path):
    pid, master = pty.fork()
    if pid == 0:
        os.execv(SSIHV, [SSIHV, "run", "--local", "2", "--memory-per-node", "64M", "--report",
                         f"{path}/report", "--kernel", f"{path}/guest"])
    try:
        screen = read_until(master, b"?")
        for number in range(20):
            os.write(master, b"\x01p")
            screen = read_until(master, b"the guest is paused", screen)
            os.write(master, b"\x01p")
            screen = read_until(master, b"the guest goes on", screen)
            os.write(master, b"[%d]" % number)
            screen = read_until(master, b"[%d]" % number, screen)
        os.write(master, b"\x01x")
        while said := os.read(master, 4096):
            screen += said
    except OSError:  # the terminal ends with the run
        pass
    finally:
        os.kill(pid, signal.SIGTERM)  # not yet waited for: the id is still its
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 130, status
    tell_where_the_time_went(screen, f"{path}/report")


def tell_where_the_time_went(screen, report):
    """vCPU 1 was never started: it waited for that on the first node, and its own had none."""
    with open(report, encoding="utf-8") as file:
        rows = [(node["name"], row) for node in json.load(file)["nodes"]
                for row in node["vcpu_times"]]
    assert [(name, row["vcpu"]) for name, row in rows] == [
        ("node0", 0), ("node0", 1), ("node1", 1)], rows
    for name, row in rows:
        assert row["alive_ms"] > row["paused_ms"] > 0, rows
        assert (row["away_ms"] > 0) == (name == "node1"), rows
        assert b"\n%-12d %12s" % (row["vcpu"], name.encode()) in screen, screen
    assert rows[0][1]["ran_ms"] > 0 and rows[1][1]["asleep_ms"] > 0, rows
    assert b"descheduled_ms" in screen, screen


def start_node(path, terminal):
    return subprocess.Popen([SSIHV, "node", "--cluster", f"{path}/cluster.yaml", "--name", "n0",
                             "--kernel", f"{path}/guest"], stdin=subprocess.PIPE, stdout=terminal,
                            stderr=subprocess.PIPE)


def a_node_answers_commands_and_leaves_the_terminal_alone(path):
    master, terminal = pty.openpty()
    with start_node(path, terminal) as node:
        read_until(master, b"?")
        # The open terminal is shared with whoever started the node.
        assert not fcntl.fcntl(terminal, fcntl.F_GETFL) & os.O_NONBLOCK
        node.stdin.write(b'{"command":"stats","id":5}\n{"input":"ab"}\n')
        node.stdin.flush()
        read_until(master, b"ab")
        node.send_signal(signal.SIGTERM)
        events = [json.loads(line) for line in node.stderr]
        assert node.wait() == 1
    reply = [event for event in events if event["event"] == "reply"]
    assert len(reply) == 1 and reply[0]["id"] == 5 and reply[0]["ok"], reply
    assert events[-1]["event"] == "stopped" and "signal 15" in events[-1]["text"], events[-1]


def a_node_goes_on_whose_events_nobody_reads(path):
    """Replies of a node are events, too: thousands are more than anybody keeps."""
    master, terminal = pty.openpty()
    with start_node(path, terminal) as node:
        read_until(master, b"?")
        node.stdin.write(b'{"command":"stats","id":5}\n' * COMMANDS + b'{"input":"ab"}\n')
        node.stdin.flush()
        read_until(master, b"ab")
        node.send_signal(signal.SIGTERM)
        assert node.wait(PATIENCE) == 1
        events = [json.loads(line) for line in node.stderr if line.endswith(b"\n")]
    assert events and len(events) < COMMANDS, len(events)


def traced_run(path, trace, options, talk):
    """A guest on two nodes and a terminal, on which @talk types, until it is ended by its key.

    Return: the program's status."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv(SSIHV, [SSIHV, "run", "--local", "2", "--memory-per-node", "64M", "--trace", trace,
                         *options, "--kernel", f"{path}/guest"])
    try:
        talk(master)
        os.write(master, b"\x01x")
        while os.read(master, 4096):
            pass
    except OSError:  # the terminal ends with the run
        pass
    finally:
        os.kill(pid, signal.SIGTERM)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status


def a_run_leaves_a_trace_of_each_node(path):
    trace = f"{path}/trace"
    assert traced_run(path, trace, ["--trace-size", "1M"],
                      lambda master: read_until(master, b"?")) == 130
    assert sorted(os.listdir(trace)) == ["node0.trace", "node1.trace"]
    for name in ("node0", "node1"):
        with open(f"{trace}/{name}.trace", "rb") as file:
            head = file.read()
        assert head.startswith(b"SSIHVTRC") and name.encode() in head[:128], head[:128]
    assert_verdict(trace, 0, b"no rule is broken")
    # This guest leaves its other node alone. Node 1 takes a page that its home has not, or has.
    make_trace(trace, content=0)
    assert_verdict(trace, 0, b"14 records checked, 0 left out, 1 regions: no rule is broken")
    make_trace(trace, content=1)
    found = assert_verdict(trace, 1, b"1 pages break a rule")["findings"]
    assert len(found) == 1 and (found[0]["rule"], found[0]["page"]) == ("one-writer", GPA), found
    assert (found[0]["at"]["node"], found[0]["at"]["record"]) == ("node1", 3), found
    assert (found[0]["other"]["node"], found[0]["other"]["record"]) == ("node0", 0), found
    hot_pages(trace)
    a_time_line_is_drawn(trace)
    make_trace(trace, content=0, ungranted=130)
    found = assert_verdict(trace, 1, b"100 are told above: 130 pages break a rule")
    assert (found["pages_broken"], len(found["findings"])) == (130, 100), found
    a_time_line_is_bounded(trace)
    names_of_symbols_are_no_markup(trace)


def wait_for_file(path):
    end = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        assert time.monotonic() < end, path
        time.sleep(0.01)


def a_pause_surveys_the_guests_memory(path):
    trace = f"{path}/surveyed"
    os.mkdir(trace)
    with open(f"{trace}/node0.symbols", "w", encoding="ascii") as file:
        file.write("of an earlier run\n")

    def pause_twice(master):
        screen = read_until(master, b"?")
        for number in (1, 2):
            os.write(master, b"\x01p")
            screen = read_until(master, b"the guest is paused", screen)
            for name in ("node0", "node1"):
                wait_for_file(f"{trace}/{name}-{number}.survey")
            os.write(master, b"\x01p")
            screen = read_until(master, b"the guest goes on", screen)

    assert traced_run(path, trace, [], pause_twice) == 130
    # This guest is no Linux, and has no symbols: nothing of an earlier run's is left.
    assert sorted(os.listdir(trace)) == [
        "node0-1.survey", "node0-2.survey", "node0.trace", "node1-1.survey", "node1-2.survey",
        "node1.trace"]
    with open(f"{trace}/node0-1.survey", encoding="ascii") as file:
        survey = file.read().split("\n")
    tables = [line.split() for line in survey if line.startswith("table ")]
    assert [table[2] for table in tables].count("4") == 1, tables
    # What is hot is memory that the boot loader's tables map where it is, and they themselves.
    make_trace(trace, content=0)
    assert hot_names(trace) == {GPA: "user"}, hot_names(trace)
    assert b" user " in subprocess.run([SSIHV, "trace", "top", trace], capture_output=True,
                                       check=True).stdout
    _, svg = draw(trace)
    assert any("  user  " in text.text for text in svg.iter(SVG + "text")), ElementTree.tostring(svg)
    make_trace(trace, content=0, page=int(tables[0][1], 16))
    assert list(hot_names(trace).values()) == ["table 4"], hot_names(trace)
    # Symbols of a kernel that it does not run, and the stub that Debian has.
    stub = f"{path}/System.map"
    for text, status, words in (
            ("".join(f"ffffffff8100{i:04x} T {name}\n" for i, name in
                     enumerate(["_text"] + ["f"] * 20 + ["_end"])), 0, b"are those of another kernel"),
            ("ffffffffffffffff B The real System.map is elsewhere\n", 1, b"has no symbols")):
        with open(stub, "w", encoding="ascii") as file:
            file.write(text)
        done = subprocess.run([SSIHV, "trace", "top", trace, "--symbols", stub],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert done.returncode == status and words in done.stdout, done
    # Those of another run say nothing, a damaged one is told.
    for name in os.listdir(trace):
        if name.endswith(".survey"):
            with open(f"{trace}/{name}", "w", encoding="ascii") as file:
                file.write("survey 1 0 0 0\nrange 0 1048576 ffff888000000000\nend\n")
    assert list(hot_names(trace).values()) == [None], hot_names(trace)
    with open(f"{trace}/node1-2.survey", "w", encoding="ascii") as file:
        file.write("survey 1 0 0 0\nrange 0 1048576\nend\n")
    done = subprocess.run([SSIHV, "trace", "top", trace], capture_output=True, check=False)
    assert done.returncode == 1 and b"node1-2.survey: line 2 is none of a survey" in done.stderr, done


def hot_names(trace):
    done = subprocess.run([SSIHV, "trace", "top", trace, "-o", "json"], capture_output=True,
                          check=True)
    return {page["page"]: page["what"] for page in json.loads(done.stdout)["pages"]}


def hot_pages(trace):
    done = subprocess.run([SSIHV, "trace", "top", trace, "-o", "json"], capture_output=True,
                          check=True)
    hot = json.loads(done.stdout)
    assert [page["page"] for page in hot["pages"]] == [GPA] and hot["pages_seen"] == 1, hot
    assert (hot["pages"][0]["waited_ms"], hot["nodes"][1]["writes"]) == (0.005, 1), hot
    done = subprocess.run([SSIHV, "trace", "top", trace, "--pages", "3"], capture_output=True,
                          check=True)
    assert b" 0x400000 " in done.stdout and b"yielded" in done.stdout, done


def draw(trace, *args):
    done = subprocess.run([SSIHV, "trace", "timeline", trace, *args], capture_output=True,
                          check=True)
    return done.stdout, ElementTree.fromstring(done.stdout)


def drawn(svg, ident, colour):
    """The pixels of a path in a group, as far as it has any."""
    group = next(g for g in svg.iter(SVG + "g") if g.get("id") == ident)
    return [path.get("d") for path in group.iter(SVG + "path") if path.get("class") == colour]


def a_time_line_is_drawn(trace):
    _, svg = draw(trace)
    assert [g.get("id") for g in svg.iter(SVG + "g")] == ["node-node0", "node-node1",
                                                          f"page-{GPA:x}"]
    assert not list(svg.iter(SVG + "script")) and "href" not in str(ElementTree.tostring(svg))
    # Who faulted, and who can write to the page, is in the row of node 1 alone. All is one tick.
    assert not drawn(svg, "node-node0", "faults") and len(drawn(svg, "node-node1", "faults")) == 1
    titles = [title.text for title in svg.iter(SVG + "title")]
    assert any(t.startswith("node1") and "faults: 1" in t for t in titles), titles
    for args in (["timeline", trace, "-o", "json"], ["timeline", trace, "--pages", "0"],
                 ["timeline"], ["timelines", trace]):
        done = subprocess.run([SSIHV, "trace", *args], capture_output=True, check=False)
        assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and not done.stdout, done
    with open("/dev/full", "wb") as full:
        done = subprocess.run([SSIHV, "trace", "timeline", trace], stdout=full,
                              stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"could not be written" in done.stderr, done


def a_time_line_is_bounded(trace):
    """However many pages are asked for, and however much is in the traces."""
    _, svg = draw(trace, "--pages", "4000000000")
    assert len(list(svg.iter(SVG + "g"))) == 2 + 128, "no more pages than there are lanes for"
    sizes = []
    for rounds in (300, 30000):
        fight(trace, rounds)
        text, svg = draw(trace)
        assert len(list(svg.iter(SVG + "g"))) == 2 + 20
        for name in ("node-node0", "node-node1", f"page-{GPA + 39 * 4096:x}"):
            assert any(drawn(svg, name, colour) for colour in ("got", "write")), name
        sizes.append(len(text))
    assert max(sizes) < 2 << 20, sizes


def names_of_symbols_are_no_markup(trace):
    """The guest's kernel, or who wrote the System.map, may call its symbols anything."""
    name = "<&'\">]]>"
    with open(f"{trace}/node0.trace", "rb") as file:
        epoch = struct.unpack_from("<I", file.read(128), 16)[0]
    with open(f"{trace}/node0-9.survey", "w", encoding="ascii") as file:
        file.write(f"survey 1 {epoch} 0 0\nrange {GPA:x} 1 ffffffff81000000\nend\n")
    with open(f"{trace}/System.map", "w", encoding="ascii") as file:
        file.write(f"ffffffff81000000 T _text\nffffffff81000010 T {name}\n" +
                   "".join(f"ffffffff8100{0x2000 + i:04x} T f\n" for i in range(20)) +
                   "ffffffff82000000 B _end\n")
    make_trace(trace, content=0)
    _, svg = draw(trace, "--symbols", f"{trace}/System.map")
    assert any(name in text.text for text in svg.iter(SVG + "text")), ElementTree.tostring(svg)


GPA = 4 << 20
FAULT, SENT, RECEIVED, MAP, TRACK = 2, 3, 4, 5, 10
GETM, GRANT = 17, 32
CHUNK_MOST = 32768
SVG = "{http://www.w3.org/2000/svg}"


def record(kind, addr=GPA, value=0, what=0, flags=0, peer=0, node=0, time_=1):
    return struct.pack("<QQQ8B", time_, addr, value, kind, what, flags, peer, node, 0, 0, 0)


def chunk(records, end=0):
    return struct.pack("<IHHIIQQ", 0x4b4e4843, 0, end, len(records), 0, 0, 0) + b"".join(records)


def write_records(path, name, records):
    with open(f"{path}/{name}.trace", "r+b") as file:
        file.truncate(128)
        file.seek(128)
        for at in range(0, len(records), CHUNK_MOST):
            file.write(chunk(records[at:at + CHUNK_MOST]))
        file.write(chunk([], end=1))


def fight(path, rounds):
    """In place of what was recorded: 40 pages go to and fro between two nodes."""
    records = [], []
    for i in range(rounds * 4):
        page, to, now = GPA + i % 40 * 4096, i // 40 % 2, 1 + 5000 * i
        give = {"what": GRANT, "flags": 3, "node": to}
        records[to].append(record(FAULT, page, flags=1, value=77, time_=now))
        records[1 - to].append(record(SENT, page, peer=to, time_=now + 900, **give))
        records[to].append(record(RECEIVED, page, peer=1 - to, time_=now + 2000, **give))
        records[to].append(record(MAP, page, flags=1, value=900 + i, time_=now + 2100))
    for node in (0, 1):
        write_records(path, f"node{node}", records[node])


def make_trace(path, content, ungranted=0, page=GPA):
    """In place of what was recorded after the heads."""
    region = page >> 21 << 21
    home = [record(TRACK, region + i * 64 * 4096, 0 if i else content) for i in range(8)]
    for name, records in (
            ("node0", home + [record(RECEIVED, page, what=GETM, peer=1, node=1),
                              record(SENT, page, what=GRANT, flags=5, peer=1, node=1)]),
            ("node1", [record(FAULT, page, flags=1, value=77),
                       record(SENT, page, what=GETM, node=1),
                       record(RECEIVED, page, what=GRANT, flags=5, node=1),
                       record(MAP, page, flags=3, value=5000)] +
             [record(MAP, page + (1 + i) * 4096, flags=3) for i in range(ungranted)])):
        write_records(path, name, records)


def assert_verdict(path, status, words):
    """What `ssihv trace check` says, as a person reads it and as JSON, which is returned."""
    done = [subprocess.run([SSIHV, "trace", "check", path, *args], capture_output=True, check=False)
            for args in ([], ["-o", "json"])]
    assert [one.returncode for one in done] == [status] * 2 and words in done[0].stdout, done
    return json.loads(done[1].stdout)


TESTS = (two_nodes_pause_and_resume_by_keys, a_node_answers_commands_and_leaves_the_terminal_alone,
         a_node_goes_on_whose_events_nobody_reads, a_run_leaves_a_trace_of_each_node,
         a_pause_surveys_the_guests_memory)


def main():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK) or os.geteuid() != 0:
        print("1..0 # SKIP needs /dev/kvm and the right to userfaultfd")
        return 0
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ssihv-program.") as path:
        subprocess.run([MAKE_GUEST, f"{path}/guest"], check=True)
        with open(f"{path}/cluster.yaml", "w", encoding="ascii") as file:
            file.write("cluster: {name: t}\nnodes:\n"
                       "  - {name: n0, address: '127.0.0.1:1', memory: 64M, vcpus: 1}\n")
        for number, test in enumerate(TESTS, 1):
            try:
                test(path)
                word = "ok"
            except (AssertionError, OSError, ValueError) as error:
                print(f"# {type(error).__name__}: {error}")
                word = "not ok"
                failed += 1
            print(f"{word} {number} - {test.__name__}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
