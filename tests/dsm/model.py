#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the formal model of the coherence protocol, and that it notices a broken rule.

Usage: model.py MODEL.m CC.  Prints TAP.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

RULES = {
    0: "the protocol as it is",
    1: "a sharer acknowledges but keeps its copy",
    2: "a grant does not wait for acknowledgements",
    3: "an owner stays writable beside a reader",
    4: "DONE is sent before the last acknowledgement",
    5: "the home is done before the last acknowledgement",
    6: "the home grants an upgrade and keeps its own copy",
    7: "a demand overtakes the home's grant",
    8: "the home counts its own copy among those that acknowledge",
}
SECONDS = 60


def verify(model, compiler, rule, folder):
    """The verifier's exit status (0: all holds, 1: it found an error) and what it printed."""
    source, checker = folder / f"rule{rule}.c", folder / f"rule{rule}"
    text, count = re.subn(r"BROKEN: 0;", f"BROKEN: {rule};", model.read_text())
    if count != 1:
        raise RuntimeError("the model has no constant BROKEN")
    altered = folder / f"rule{rule}.m"
    altered.write_text(text)
    subprocess.run(["rumur", "--threads", "1", "--colour", "off", "--output", source, altered],
                   check=True, timeout=SECONDS)
    subprocess.run([compiler, "-std=c11", "-O1", "-mcx16", "-o", checker, source, "-lpthread"],
                   check=True, timeout=SECONDS)
    done = subprocess.run([checker], capture_output=True, text=True, timeout=SECONDS)
    return done.returncode, done.stdout


def main():
    model, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
    if not shutil.which("rumur"):
        print("1..0 # SKIP rumur is not installed (apt install rumur)")
        return 0
    print(f"1..{len(RULES)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (rule, name) in enumerate(RULES.items(), 1):
            status, output = verify(model, compiler, rule, pathlib.Path(folder))
            good = status == (0 if rule == 0 else 1)
            print(f"{'ok' if good else 'not ok'} {number} - {'' if rule == 0 else 'noticed: '}{name}")
            states = re.search(r"[\d,]+ states", output)
            print(f"# {states.group(0) if states else 'no state count'}", flush=True)
            if not good:
                failed = 1
                print("".join(f"# {line}\n" for line in output.splitlines()), end="")
    return failed


if __name__ == "__main__":
    sys.exit(main())
