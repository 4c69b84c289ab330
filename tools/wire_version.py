#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the version of the wire: a hash of all that two nodes must agree on.

Usage: wire_version.py OUTPUT DEPFILE FOLDER [FILE...]

Hashed are the sources (*.h, *.c) in FOLDER and the FILEs: names, numbers, order and types of all
fields, types of messages and rules, but neither comments nor layout of the text. So there is no
number to forget, and nothing to list when a message is added. It can only be too strict: builds that
differ in a name refuse each other, too.
"""
import hashlib
import pathlib
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\w+|[^\w\s]')


def tokens(text):
    """What the compiler sees of @text, as far as that can be said without it."""
    return TOKEN.findall(COMMENT.sub(" ", text))


def version(files):
    """The version of the wire as these files describe it: 32 bits, never 0."""
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda p: p.name):
        digest.update(f"{path.name}\n{' '.join(tokens(path.read_text()))}\n".encode())
    return int.from_bytes(digest.digest()[:4], "big") or 1


def main():
    output, depfile, folder, *more = map(pathlib.Path, sys.argv[1:])
    files = [p for p in folder.iterdir() if p.suffix in (".h", ".c")] + more
    output.write_text("/* Made by tools/wire_version.py. */\n"
                      f"#define WIRE_VERSION UINT32_C({version(files):#010x})\n")
    depfile.write_text(f"{output}: {' '.join(str(p) for p in files)}\n")


if __name__ == "__main__":
    main()
