# SPDX-License-Identifier: Apache-2.0
"""What an emulated host boots: kernel, agent and initramfs, made once and kept in a cache.

CACHE/host, CACHE/guest   kernels (kernels.sh)
CACHE/agent               the agent, linked statically
CACHE/crystal.so          gives an emulated host a clock of its own rate
CACHE/initramfs.cpio      busybox, modules in the order of loading, init.sh, agent
CACHE/initramfs.key       hash of all that went into it: rebuilt when that changes

Uncompressed, since unpacking costs an emulated CPU more than reading does.
"""
import contextlib
import fcntl
import hashlib
import pathlib
import shutil
import subprocess
import tempfile

from session import LabError

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT = HERE.parent / "build" / "lab-cache"
BUSYBOX = pathlib.Path("/bin/busybox")
MODULES = ("virtio_pci", "virtio_console", "virtio_net", "9pnet_virtio", "9p", "kvm-amd")
CFLAGS = ("-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra")


def run(command, **options):
    try:
        return subprocess.run([str(word) for word in command], check=True, **options)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise LabError(f"{command[0]} failed with status {error.returncode}") from None


class Cache:
    def __init__(self, path=DEFAULT):
        self.path = pathlib.Path(path).resolve()

    def kernel(self, which="host"):
        """The kernel image of "host" or "guest"."""
        version = (self.path / which / "version").read_text(encoding="ascii").strip()
        return self.path / which / "boot" / f"vmlinuz-{version}"

    def tsc_khz(self):
        """Frequency of this machine's TSC, which is the one that emulated CPUs show."""
        return int(run([self.path / "agent", "--tsc-khz"], capture_output=True, text=True).stdout)

    def crystal(self):
        return self.path / "crystal.so"

    def initramfs(self):
        return self.path / "initramfs.cpio"

    def prepare(self):
        """Makes what is missing or out of date. Safe against others that do the same."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if not all((self.path / kind / "version").exists() for kind in ("host", "guest")):
                run(["sh", HERE / "kernels.sh", self.path])
            modules = self.modules(MODULES)
            key = self._key(modules)
            stamp = self.path / "initramfs.key"
            if stamp.exists() and stamp.read_text(encoding="ascii") == key:
                return
            run(["cc", *CFLAGS, "-static", HERE / "agent.c", "-o", self.path / "agent"])
            run(["cc", *CFLAGS, "-shared", "-fPIC", HERE / "crystal.c", "-o", self.crystal()])
            self._pack(modules)
            stamp.write_text(key, encoding="ascii")

    @contextlib.contextmanager
    def _locked(self):
        with open(self.path / "lock", "w", encoding="ascii") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def modules(self, names):
        """Files of the modules and all they depend on, in the order in which to load them."""
        root = self.path / "host"
        version = (root / "version").read_text(encoding="ascii").strip()
        files = []
        for module in names:
            shown = run(["/sbin/modprobe", "-d", root, "-S", version, "--show-depends", module],
                        capture_output=True, text=True).stdout
            for line in shown.splitlines():
                action, _, path = line.partition(" ")
                if action == "insmod" and path.strip() not in files:
                    files.append(path.strip())
        return [pathlib.Path(file) for file in files]

    @staticmethod
    def _key(modules):
        digest = hashlib.sha256()
        if not BUSYBOX.exists():
            raise LabError(f"{BUSYBOX} is missing (Debian package busybox-static)")
        for path in (*modules, BUSYBOX, HERE / "init.sh", HERE / "agent.c",
                     HERE / "crystal.c", HERE / "cache.py"):
            digest.update(f"{path}\n".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _pack(self, modules):
        with tempfile.TemporaryDirectory(dir=self.path) as name:
            root = pathlib.Path(name)
            (root / "bin").mkdir()
            (root / "lab" / "modules").mkdir(parents=True)
            shutil.copy(BUSYBOX, root / "bin" / "busybox")
            shutil.copy(self.path / "agent", root / "lab" / "agent")
            shutil.copy(HERE / "init.sh", root / "init")
            (root / "init").chmod(0o755)
            for module in modules:
                shutil.copy(module, root / "lab" / "modules" / module.name)
            listing = "".join(f"{module.name}\n" for module in modules)
            (root / "lab" / "modules.list").write_text(listing, encoding="ascii")
            # Members first sorted, so that a directory precedes what it holds.
            members = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
            fresh = self.path / "initramfs.new"
            with open(fresh, "wb") as archive:
                run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root,
                    input=members.encode(), stdout=archive)
            fresh.replace(self.initramfs())
