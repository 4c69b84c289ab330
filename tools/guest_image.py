# SPDX-License-Identifier: Apache-2.0
"""The initramfs of a guest that runs loads: Debian's programs with their libraries, and the plan.

Only what the chosen loads name is packed, since all of it is in the guest's memory. Programs and
libraries are those of the packages that bench/guest/fetch.sh has unpacked, never this machine's.
"""
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOADER = "lib64/ld-linux-x86-64.so.2"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
# Where packages have their libraries; all are packed into LIBRARIES, where the loader looks.
PLACES = ("lib/x86_64-linux-gnu", LIBRARIES)


class Missing(Exception):
    """The packages do not hold what a load needs."""


def fetch(cache):
    """The root of the unpacked packages."""
    subprocess.run([ROOT / "bench" / "guest" / "fetch.sh", cache], check=True)
    return pathlib.Path(cache) / "load" / "root"


def needed(path):
    """Names of the libraries that an ELF file wants; none of a static one."""
    shown = subprocess.run(["readelf", "-d", path], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", shown)


def library(packages, name):
    for place in PLACES:
        if (packages / place / name).exists():
            return packages / place / name
    raise Missing(f"no package of the group load in tools/packages has {name}")


def libraries(packages, programs):
    """Name -> file of all that the programs come to need."""
    found, todo = {}, list(programs)
    while todo:
        for name in needed(todo.pop()):
            if name not in found:
                found[name] = library(packages, name)
                todo.append(found[name])
    return found


def put(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)     # what a link leads to
    target.chmod(0o755)


def fill(tree, packages, programs, plan, init):
    """All that is to be packed, below @tree."""
    put(init, tree / "init")
    (tree / "plan").write_text(plan, encoding="ascii")
    for folder in ("proc", "sys", "dev", "tmp", "etc", "usr/bin", "bin"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    (tree / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\n", encoding="ascii")
    files = []
    for program in programs:
        files.append(packages / program.lstrip("/"))
        if not files[-1].exists():
            raise Missing(f"no package of the group load in tools/packages has {program}")
        put(files[-1], tree / program.lstrip("/"))
    for name, source in libraries(packages, files).items():
        put(source, tree / (LOADER if name == pathlib.Path(LOADER).name
                            else f"{LIBRARIES}/{name}"))
    if files:
        put(library(packages, pathlib.Path(LOADER).name), tree / LOADER)
    if "/bin/busybox" in programs:
        (tree / "bin" / "sh").symlink_to("busybox")


def pack(tree, out):
    members = "".join(f"{path.relative_to(tree)}\n" for path in sorted(tree.rglob("*")))
    with open(out, "wb") as archive:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tree, check=True,
                       input=members.encode(), stdout=archive)


def build(packages, programs, plan, out):
    """Writes the initramfs; @programs are paths in the guest."""
    with tempfile.TemporaryDirectory(prefix="ssihv-load.") as work:
        tree = pathlib.Path(work) / "tree"
        tree.mkdir()
        init = pathlib.Path(work) / "init"
        subprocess.run([ROOT / "bench" / "guest" / "build.sh", init], check=True)
        subprocess.run(["strip", init], check=True)
        fill(tree, packages, programs, plan, init)
        pack(tree, out)
