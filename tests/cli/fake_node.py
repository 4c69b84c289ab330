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
import select
import signal
import sys
import time


def event(name, kind, **fields):
    line = json.dumps({"t": time.monotonic(), "node": name, "event": kind, **fields})
    os.write(2, line.encode() + b"\n")


def wait_for_eof(seconds):
    """True when stdin ended: the launcher asks us to stop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([0], [], [], 0.05)[0] and not os.read(0, 4096):
            return True
    return False


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
    elif key == "garbage":
        os.write(2, b'\xff\x00{"event": 3}\n{"event": "stopped", "reason": 9}\n'[:int(value)])
    elif key == "echo":
        data = b""
        while b"\n" not in data:
            data += os.read(0, 100)
        os.write(1, b"heard " + data)
    elif key == "files":
        with open(args.kernel, encoding="ascii") as kernel, open(args.cluster, encoding="ascii"):
            os.write(1, f"kernel={kernel.read().strip()}\n".encode())
    elif key == "stop":
        reason, _, rest = value.partition(":")
        text, _, culprit = rest.partition(":")
        event(name, "stopped", reason=reason, text=text.replace("~", " "),
              **({"culprit": culprit} if culprit else {}))
        sys.exit(0 if reason == "poweroff" else 1)
    elif key == "exit":
        sys.exit(int(value))
    elif key == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif key == "sleep":
        time.sleep(float(value))
    elif key == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)
    elif key == "wait":
        if wait_for_eof(float(value or 60)):
            event(name, "stopped", reason="asked", text="asked to stop")
            sys.exit(1)
    elif key == "peers":
        # As a peer that follows the first node: ends well when asked.
        wait_for_eof(60)
        event(name, "stopped", reason="poweroff", text="the guest powered off")
        sys.exit(0)
    else:
        sys.exit(f"fake_node: no step {word}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["node"])
    for option in ("cluster", "name", "epoch", "kernel", "initrd", "append"):
        parser.add_argument(f"--{option}")
    args = parser.parse_args()
    if pids := os.environ.get("FAKE_PIDS"):
        with open(f"{pids}/{args.name}", "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    event(args.name, "phase", text="connecting")
    event(args.name, "ready")
    plan = args.append if args.kernel else os.environ.get(f"FAKE_PLAN_{args.name}", "wait=60")
    for word in plan.split():
        perform(word, args)


main()
