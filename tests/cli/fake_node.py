#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speaks a node's contract without a guest: what it does is told by the kernel command line.

Usage, as the orchestrator calls it: fake_node.py node --cluster F --name N --epoch E [--kernel K
--initrd I --append PLAN]. Nodes but the first read the plan from FAKE_PLAN_<NAME>, default "wait".
The plan is a list of words: each is one step, see steps() below.
"""
import argparse
import json
import os
import pathlib
import select
import signal
import sys
import time


def event(name, kind, **fields):
    line = json.dumps({"t": time.monotonic(), "node": name, "event": kind, **fields})
    os.write(2, line.encode() + b"\n")


PLACE = pathlib.Path(os.environ.get("FAKE_PIDS", "/none"))
STOPPED = PLACE / "stopped"


def stop(name, reason, text, culprit=""):
    """The end, told to the launcher and to the peers: all end with the first one's reason."""
    words = {"reason": reason, "text": text, **({"culprit": culprit} if culprit else {})}
    event(name, "stopped", **words)
    if PLACE.is_dir() and not STOPPED.exists():
        (PLACE / f"{name}.new").write_text(json.dumps(words), encoding="ascii")
        (PLACE / f"{name}.new").rename(STOPPED)
    sys.exit(0 if reason == "poweroff" else 1)


def wait_for_the_end():
    """Until stdin ends, or a peer says that it stops. Its words, or those of who was asked to."""
    while not STOPPED.exists():
        if select.select([0], [], [], 0.02)[0] and not os.read(0, 4096):
            return {"reason": "asked", "text": "asked to stop"}
    return json.loads(STOPPED.read_text(encoding="ascii"))


def hear(name):
    """What the user types, up to a newline. Commands are answered as a node does."""
    data = lines = b""
    paused = False
    while b"\n" not in data:
        lines += os.read(0, 4096)
        *whole, lines = lines.split(b"\n")
        for line in map(json.loads, whole):
            if "input" in line:
                data += line["input"].encode("latin-1")
                continue
            wanted = {"pause": True, "resume": False}[line["command"]]
            answer = {"ok": wanted != paused}
            if not answer["ok"]:
                answer["text"] = "it is so already"
            paused = wanted
            event(name, "reply", id=line["id"], **answer)
    return data


def be_deaf(name):
    """Only SIGKILL ends us; that SIGTERM came is written down."""
    signal.signal(signal.SIGTERM, lambda *_: (PLACE / f"{name}.term").touch())
    event(name, "phase", text="deaf")
    while True:
        time.sleep(60)


def fill_the_console(name):
    """Prints until nobody takes any more."""
    os.set_blocking(1, False)
    while select.select([], [1], [], 0.3)[1]:
        try:
            os.write(1, b"x" * 79 + b"\n")
        except BlockingIOError:
            pass
    event(name, "phase", text="console is full")


def perform(word, args):
    key, _, value = word.partition("=")
    name = args.name
    if key == "run":
        event(name, "phase", text="running")
    elif key == "print":
        os.write(1, value.replace("~", " ").encode() + b"\r\n")
    elif key == "proof":
        os.write(1, b"PROOF-START\r\n")
        time.sleep(0.05)
        os.write(1, b'PROOF {"cpus": 3, "bad_pages": 0, "swept_fraction": 0.95, '
                    b'"result": "forged", "litmus": {"SB": 4}}\r\n')
    elif key == "flood":
        for _ in range(int(value)):
            os.write(1, b"x" * 79 + b"\n")
    elif key == "report":
        event(name, "report", report={
            "faults_local": 7, "faults_remote": 5, "name": "forged",
            "remote": {"count": 5, "p50_us": 985.5, "p99_us": 1400.0, "max_us": 2000.0}})
    elif key == "text":
        os.write(2, value.replace("~", " ").encode() + b"\n")
    elif key == "raw":
        os.write(2, bytes.fromhex(value) + b"\n")
    elif key == "garbage":
        os.write(2, b'\xff\x00{"event": 3}\n{"event": "stopped", "reason": 9}\n'[:int(value)])
    elif key == "echo":
        os.write(1, b"heard " + hear(name))
    elif key == "refuse":
        command = json.loads(os.read(0, 4096))
        event(name, "reply", id=command["id"], ok=False, text="it is moving")
    elif key == "count":
        # The answer to one command, which must be for what was counted.
        command = json.loads(os.read(0, 4096))
        assert command["command"] == "stats", command
        event(name, "reply", id=command["id"], ok=True, report={"faults_remote": int(value)})
    elif key == "warnings":
        for number in range(int(value)):
            event(name, "log", level="warning", text=f"warning {number}")
        (PLACE / "warned").write_text(str(os.getpid()), encoding="ascii")
    elif key == "files":
        with open(args.kernel, "rb") as kernel, open(args.cluster, encoding="ascii"):
            os.write(1, b"kernel=" + kernel.read(8) + b"\n")
    elif key == "stop":
        reason, _, rest = value.partition(":")
        text, _, culprit = rest.partition(":")
        stop(name, reason, text.replace("~", " "), culprit)
    elif key == "wait-stop":
        wait_for_the_end()
        stop(name, *value.replace("~", " ").split(":"))
    elif key == "await":
        # Until the test says go on.
        while not (PLACE / value).exists():
            time.sleep(0.02)
    elif key == "exit":
        sys.exit(int(value))
    elif key == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif key == "sleep":
        time.sleep(float(value))
    elif key == "deaf":
        be_deaf(name)
    elif key == "fill":
        fill_the_console(name)
    elif key == "wait":
        words = wait_for_the_end()
        event(name, "log", level="warning", text="heard the end")
        stop(name, **words)
    elif key == "peers":
        # As a peer of a guest that powers off: ends well however it is asked.
        wait_for_the_end()
        stop(name, "poweroff", "the guest powered off")
    else:
        sys.exit(f"fake_node: no step {word}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["node"])
    for option in ("cluster", "name", "epoch", "kernel", "initrd", "append"):
        parser.add_argument(f"--{option}")
    args = parser.parse_args()
    if PLACE.is_dir():
        (PLACE / args.name).write_text(str(os.getpid()), encoding="ascii")
    event(args.name, "phase", text="connecting")
    event(args.name, "ready")
    plan = args.append if args.kernel else os.environ.get(f"FAKE_PLAN_{args.name}", "wait")
    for word in plan.split():
        perform(word, args)


main()
