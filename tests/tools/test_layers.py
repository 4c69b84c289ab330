#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The check of who includes whom finds what is planted, and nothing else.

Usage: layers.py LAYERS.py.  Prints TAP.
"""
import pathlib
import subprocess
import sys
import tempfile

SOUND = {"cpu/run.h": ["base/err.h"], "cpu/run_impl.h": ["cpu/run.h"], "cpu/run.c": ["run_impl.h"],
         "cpu/part.c": ["cpu/run_impl.h"], "base/err.h": [], "dsm/core.c": ["base/err.h"]}
# What is planted, what the one line that tells of it says; None: nothing is told.
CASES = [
    ("a sound tree", {}, None),
    ("a folder above", {"base/err.h": ["cpu/run.h"]}, "base/err.h:1: base may not include cpu/run.h"),
    ("KVM in the pager", {"dsm/core.c": ["linux/kvm.h"]}, "dsm may not see linux/kvm.h"),
    ("two headers that include each other",
     {"cpu/part.h": ["cpu/run.h"], "cpu/run.h": ["cpu/part.h"]}, "cpu/run.h:1 includes cpu/part.h"),
    ("a header whose source file includes one that includes it",
     {"cpu/part.h": ["cpu/run.h"], "cpu/run.c": ["cpu/part.h"]}, "cpu/run.c:1 includes cpu/part.h"),
    ("a circle by way of a header of its own for the parts",
     {"cpu/part.h": [], "cpu/run_impl.h": ["cpu/part.h"]}, "cpu/part.c:1 includes cpu/run_impl.h"),
    ("a circle of three",
     {"cpu/a.h": ["cpu/b.h"], "cpu/b.h": ["cpu/c.h"], "cpu/c.c": ["a.h"]},
     "cpu/c.c:1 includes cpu/a.h"),
    ("the same name in another folder", {"dsm/run.h": [], "cpu/run.h": ["base/err.h"],
                                        "base/run.h": []}, None),
]


def check(tool, planted):
    with tempfile.TemporaryDirectory() as name:
        for path, headers in {**SOUND, **planted}.items():
            file = pathlib.Path(name) / path
            file.parent.mkdir(exist_ok=True)
            file.write_text("".join(f'#include "{header}"\n' for header in headers))
        done = subprocess.run([sys.executable, tool, name], capture_output=True, text=True,
                              check=False)
    return done.returncode, done.stderr.splitlines()


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (what, planted, line) in enumerate(CASES, 1):
        status, lines = check(sys.argv[1], planted)
        good = (status, lines) == (0, []) if line is None else \
            status == 1 and len(lines) == 1 and line in lines[0]
        failed |= not good
        print(f"{'' if good else 'not '}ok {number} - {what}")
        if not good:
            print("\n".join(f"# {one}" for one in lines))
    return failed


if __name__ == "__main__":
    sys.exit(main())
