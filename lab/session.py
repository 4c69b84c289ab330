# SPDX-License-Identifier: Apache-2.0
"""A session: one running lab, and the directory that describes it.

DIR/lock          held (flock) by the supervisor for as long as it lives; its content is its pid
DIR/session.json  what was asked for, written before the first host starts
DIR/hostN.pid     process of the emulator
DIR/hostN.log     serial console of the emulated host;  hostN.qemu.log: what its QEMU said
DIR/*.sock        network links (link-I-J.sock) and command slots (hostN-slotK.sock)
DIR/hostN-slotK.lock  held by the client that uses the slot

Whether a session runs is asked of the lock, never of a pid that may have been reused.
"""
import fcntl
import json
import os
import pathlib
import signal
import time


class LabError(Exception):
    """Something that the user should read; printed without a traceback."""


class Session:
    def __init__(self, directory):
        self.path = pathlib.Path(directory).resolve()

    def file(self, name):
        return self.path / name

    # Names, in one place.
    def pid_file(self, host):
        return self.file(f"host{host}.pid")

    def console_log(self, host):
        return self.file(f"host{host}.log")

    def qemu_log(self, host):
        return self.file(f"host{host}.qemu.log")

    @staticmethod
    def slot_socket(host, slot):
        return f"host{host}-slot{slot}.sock"

    @staticmethod
    def link_socket(low, high):
        return f"link-{low}-{high}.sock"

    def lock(self):
        """Takes the session's lock for the life of this process; the caller keeps the result."""
        self.path.mkdir(parents=True, exist_ok=True)
        handle = open(self.file("lock"), "a+", encoding="ascii")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            raise LabError(f"a lab already runs in {self.path}") from None
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        return handle

    def supervisor(self):
        """Pid of the supervisor, or None if the lab does not run."""
        try:
            with open(self.file("lock"), encoding="ascii") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return None
                except BlockingIOError:
                    return int(handle.read() or 0) or None
        except FileNotFoundError:
            return None

    def settings(self):
        try:
            return json.loads(self.file("session.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LabError(f"no lab in {self.path}") from None

    def write_settings(self, settings):
        self.file("session.json").write_text(json.dumps(settings, indent=1) + "\n",
                                             encoding="utf-8")

    def pids(self):
        """Pid of every emulator that still runs, by host; only meaningful while the lab runs."""
        found = {}
        for host in range(self.settings()["hosts"]):
            try:
                pid = int(self.pid_file(host).read_text(encoding="ascii"))
                state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            except (FileNotFoundError, ValueError):
                continue
            if state.rpartition(")")[2].split()[0] not in "ZX":
                found[host] = pid
        return found

    def stop(self, patience=20):
        """Ends the lab and waits until all its processes are gone. False: it did not run."""
        pid = self.supervisor()
        if pid is None:
            self.clean()
            return False
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + patience
        while self.supervisor() is not None:
            if time.monotonic() > end:
                raise LabError(f"the supervisor (process {pid}) does not end")
            time.sleep(0.05)
        self.clean()
        return True

    def clean(self):
        """Removes all but the logs. Only when nothing runs."""
        for pattern in ("*.sock", "*.pid", "*.lock", "lock", "session.json"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)
