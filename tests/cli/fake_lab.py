#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands for lab/lab.py without emulated hosts: commands for a host run here.

What it was called with is kept in FAKE_PIDS/lab; FAKE_LAB says what `up` does: "fail" or "hang".
"""
import json
import os
import pathlib
import sys
import time

verb, args = sys.argv[1], sys.argv[2:]
if verb == "exec":
    command = args[args.index("--") + 1:]
    os.execv(command[0], command)
with open(pathlib.Path(os.environ["FAKE_PIDS"]) / "lab", "a", encoding="ascii") as file:
    file.write(json.dumps([verb, *args]) + "\n")
if verb == "up":
    print("lab: host 0 is up", file=sys.stderr, flush=True)
    if os.environ.get("FAKE_LAB") == "hang":
        time.sleep(600)
    if os.environ.get("FAKE_LAB") == "fail":
        sys.exit("lab: no emulator\033[2J")
