#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An emulated host with an Intel CPU that boots, runs one command and powers off.

Usage: intel.py run [--file PATH]... [--kvm-intel WORD=VALUE]... -- COMMAND

Prints what the command prints; the exit status is the command's, 124 when the time is up, 255 when
the host failed. See README.md, "The Intel host".
"""
import argparse
import os
import pathlib
import re
import shlex
import signal
import stat
import subprocess
import sys
import tempfile

import bochs
import cache
from session import LabError

HERE = pathlib.Path(__file__).resolve().parent
# What costs the interpreted CPU seconds without doing anything for us stays out. The rest is as on
# the other emulated hosts (emulator.py); idle=halt since only HLT lets time pass at once.
WORDS = ("console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check tsc=reliable "
         "nowatchdog random.trust_cpu=on rodata=off cryptomgr.notests idle=halt "
         "initcall_blacklist=ftrace_check_for_weak_functions,load_system_certificate_list")

MODEL = "corei7_haswell_4770"


class Archive:
    """A cpio archive in the format of an initramfs (newc), made in memory."""

    def __init__(self):
        self.data = bytearray()
        self.names = set()

    def _member(self, name, mode, content):
        head = (len(self.names) + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        self.data += b"070701" + b"".join(b"%08x" % word for word in head) + name.encode() + b"\0"
        self.data += bytes(-len(self.data) % 4)
        self.data += content
        self.data += bytes(-len(self.data) % 4)
        self.names.add(name)

    def file(self, name, content, mode=0o644):
        """With the directories above it; the first of a name counts."""
        name = str(name).lstrip("/")
        for parent in reversed(pathlib.PurePath(name).parents[:-1]):
            if str(parent) not in self.names:
                self._member(str(parent), stat.S_IFDIR | 0o755, b"")
        if name not in self.names:
            self._member(name, stat.S_IFREG | mode, content)

    def copy(self, path, name=None):
        path = pathlib.Path(path)
        self.file(name or path, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))

    def close(self):
        self._member("TRAILER!!!", 0, b"")
        return bytes(self.data)


def libraries(program):
    """The shared libraries that a program needs, the loader included; none for other files."""
    shown = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True, check=False)
    return re.findall(r"(/\S+) \(0x", shown.stdout)


def initramfs(store, files, options, command):
    archive = Archive()
    archive.copy(cache.BUSYBOX, "bin/busybox")
    archive.copy(HERE / "intel_init.sh", "init")
    modules = store.modules(("kvm_intel",))
    for module in modules:
        archive.copy(module, f"lab/modules/{module.name}")
    listing = "".join(f"{module.name} {' '.join(options) if 'intel' in module.name else ''}\n"
                      for module in modules)
    archive.file("lab/modules.list", listing.encode())
    archive.file("lab/command", f"exec {shlex.join(command)}\n".encode())
    for path in files:
        archive.copy(path)
        for library in libraries(path):
            archive.copy(library)
    return archive.close()


def run(command, files=(), options=(), seconds=600, cpus=2, model=MODEL, output=None):
    """Runs a command on an Intel host; returns its exit status, None when the time was up.

    @files: what the host has at the same path as this machine, programs with their libraries
    @options: of the module kvm_intel, such as "eptad=0"
    @output: gets what the command prints, as it comes; default: standard output
    """
    store = cache.Cache()
    store.prepare()
    status = bytearray()

    def show(data):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    with tempfile.TemporaryDirectory(prefix="ssihv-intel.") as name:
        initrd = initramfs(store, files, options, command)
        ended = bochs.boot(name, store.kernel(), initrd, WORDS, (output or show, status.extend),
                           model, cpus=cpus, seconds=seconds)
        if status.strip():
            return int(status)
        if not ended:
            return None
        console = (pathlib.Path(name) / "console").read_text(encoding="utf-8", errors="replace")
        raise LabError("the Intel host ended without a word; its console's last lines:\n"
                       + "\n".join(console.splitlines()[-20:]))


def arguments():
    parser = argparse.ArgumentParser(prog="intel.py", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("run", help="boot, run COMMAND, power off")
    verb.add_argument("--file", action="append", default=[], metavar="PATH",
                      help="the host has it at the same path; a program with its libraries")
    verb.add_argument("--kvm-intel", action="append", default=[], metavar="WORD=VALUE",
                      help="option of the module kvm_intel, such as eptad=0")
    verb.add_argument("--cpus", type=int, default=2, help="of the host (2)")
    verb.add_argument("--model", default=MODEL, help=f"`bochs --help cpu` lists them ({MODEL})")
    verb.add_argument("--seconds", type=int, default=600, help="of this machine, at most (600)")
    verb.add_argument("command", nargs="+", metavar="COMMAND")
    return parser.parse_args()


def main():
    args = arguments()
    # The emulator ends with this process, but its directory is ours to remove.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    status = run(args.command, [os.path.abspath(path) for path in args.file], args.kvm_intel,
                 args.seconds, args.cpus, args.model)
    if status is None:
        print(f"intel.py: not done after {args.seconds} s", file=sys.stderr)
        return 124
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LabError, OSError) as error:
        print(f"intel.py: {error}", file=sys.stderr)
        sys.exit(255)
