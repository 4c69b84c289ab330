#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What two nodes must agree on changes the version of the wire, and nothing else does.

Usage: version.py WIRE_VERSION.py FOLDER.  Prints TAP.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# What is changed in which file: a regular expression, what takes its place, is it another version?
CHANGES = [
    ("a field's size", "msg.h", r"uint32_t magic;", "uint64_t magic;", True),
    ("the order of fields", "msg.h", r"(\tuint16_t from;[^\n]*\n)(\tuint16_t to;[^\n]*\n)", r"\2\1",
     True),
    ("a type's number", "msg.h", r"WIRE_GETS = 16", "WIRE_GETS = 17", True),
    ("a new type", "msg.h", r"\tWIRE_GETM,", "\tWIRE_GETN,\n\tWIRE_GETM,", True),
    ("the value of a flag", "msg.h", r"WIRE_GRANT_DATA = 2", "WIRE_GRANT_DATA = 8", True),
    ("a rule", "msg.c", r"(\[WIRE_URGE\].*)TURN", r"\1ASKS", True),
    ("a bound elsewhere", "limits.h", r"(#define MAX_NODES\s+)\d+", r"\g<1>65", True),
    ("a bit of a word of an identity", "identity_rules.c", r"LEAF7_1_EDX \(B\(4\)",
     "LEAF7_1_EDX (B(3)", True),
    ("the order of an identity's MSRs", "identity.h", r"(\tCPU_MSR_UCODE_REV,\n)([^\n]*\n)", r"\2\1",
     True),
    ("a comment", "msg.h", r"/\* WIRE_MAGIC \*/", "/* anything */", False),
    ("white space", "msg.h", r"\tuint32_t magic;", "  uint32_t\n\n magic  ;", False),
]


def version(tool, folder, more):
    with tempfile.TemporaryDirectory() as out:
        output, depfile = pathlib.Path(out) / "v.h", pathlib.Path(out) / "v.d"
        subprocess.run([sys.executable, tool, output, depfile, folder, *more], check=True)
        sources = depfile.read_text().split()[1:]
        return re.search(r"UINT32_C\((0x[0-9a-f]{8})\)", output.read_text())[1], sources


def main():
    tool, root = sys.argv[1], pathlib.Path(sys.argv[2])
    print(f"1..{len(CHANGES) + 1}")
    with tempfile.TemporaryDirectory() as folder:
        wire = pathlib.Path(folder) / "wire"
        more = [pathlib.Path(folder) / name for name in
                ("limits.h", "identity.h", "identity_rules.c")]
        shutil.copytree(root / "wire", wire)
        for path in more:
            shutil.copy(root / ("base" if path.name == "limits.h" else "cpu") / path.name, path)
        before, sources = version(tool, wire, more)
        for number, (what, name, old, new, differs) in enumerate(CHANGES, 1):
            path = next((p for p in more if p.name == name), wire / name)
            text = path.read_text()
            altered, count = re.subn(old, new, text, count=1)
            path.write_text(altered)
            after, _ = version(tool, wire, more)
            path.write_text(text)
            good = count == 1 and (after != before) == differs
            print(f"{'' if good else 'not '}ok {number} - {what}: "
                  f"{'another' if differs else 'the same'} version")
        # A header that is added is hashed without being listed, and watched by the build.
        (wire / "more.h").write_text("struct wire_more { uint32_t word; };\n")
        after, with_it = version(tool, wire, more)
        good = after != before and set(with_it) - set(sources) == {str(wire / "more.h")}
        print(f"{'' if good else 'not '}ok {len(CHANGES) + 1} - a new header: another version")


if __name__ == "__main__":
    main()
