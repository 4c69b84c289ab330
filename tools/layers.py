#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that every #include between folders follows the one-way dependency table, and that inside
a folder no modules include each other, not by way of others either.

A module is what shares a stem: cpu/vcpu.c, cpu/vcpu.h, and cpu/vcpu_impl.h, which is for the files
that make up one thing.

Usage: layers.py ROOT.  Prints one line per violation and exits 1, else prints "layers ok".
The table is the design (docs/architecture.md, "The house"): change both together.
"""
import graphlib
import pathlib
import re
import sys

ALLOWED = {
    "base": set(),
    "wire": {"base"},
    "transport": {"base", "wire"},
    "mem": {"base"},
    "trace": {"base", "wire"},
    "survey": {"base"},
    "dsm": {"base", "wire", "transport", "mem", "trace"},     # never KVM: see FORBIDDEN
    "config": {"base"},
    "acpi": {"base"},
    "boot": {"base", "mem"},
    "irq": {"base", "mem"},
    "bus": {"base", "mem"},
    "dev": {"base", "mem", "bus"},
    "cpu": {"base", "wire", "mem", "irq", "bus"},     # of wire only what a vCPU is
    # Only vmm sees both halves.
    "vmm": {"base", "wire", "transport", "mem", "survey", "trace", "dsm", "config", "acpi", "boot",
            "irq", "bus", "dev", "cpu"},
    # A run of a cluster: no terminal, and nothing of a node but its contract.
    "cluster": {"base", "config"},
    "cli": {"base", "config", "survey", "trace", "cluster", "vmm"},
}
FORBIDDEN = {
    "dsm": re.compile(r"linux/kvm\.h"),
    "dev": re.compile(r"linux/kvm\.h|linux/userfaultfd\.h"),
    "irq": re.compile(r"linux/kvm\.h|linux/userfaultfd\.h"),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]')


def includes(root, folder):
    """(path, line number, header) of each #include in the folder; paths and headers from ROOT."""
    for path in sorted((root / folder).rglob("*.[ch]")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                header = match.group(1)
                beside = path.parent / header
                yield (path.relative_to(root), number,
                       str(beside.relative_to(root)) if beside.exists() else header)


def violations(root):
    for folder, allowed in ALLOWED.items():
        for path, number, header in includes(root, folder):
            first = header.split("/")[0]
            where = f"{path}:{number}"
            if first in ALLOWED and "/" in header and first != folder and first not in allowed:
                yield f"{where}: {folder} may not include {header}"
            if folder in FORBIDDEN and FORBIDDEN[folder].search(header):
                yield f"{where}: {folder} may not see {header}"


def module(path):
    return str(pathlib.PurePath(path).with_suffix("")).removesuffix("_impl")


def circles(root):
    """At most one a folder: who opens it sees the next."""
    for folder in ALLOWED:
        needs = {}
        for path, number, header in includes(root, folder):
            if header.startswith(folder + "/") and module(header) != module(path):
                needs.setdefault(module(path), {}).setdefault(
                    module(header), f"{path}:{number} includes {header}")
        try:
            graphlib.TopologicalSorter(needs).prepare()
        except graphlib.CycleError as error:
            loop = error.args[1][::-1]
            steps = "; ".join(needs[one][other] for one, other in zip(loop, loop[1:]))
            yield f"{folder}: modules include each other: {steps}"


def main():
    root = pathlib.Path(sys.argv[1])
    found = [*violations(root), *circles(root)]
    for line in found:
        print(line, file=sys.stderr)
    if found:
        return 1
    print("layers ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
