# SPDX-License-Identifier: Apache-2.0
"""The process that a lab lives and dies with.

Goal: whatever happens to whoever asked for the lab, nothing is left behind.
 - The emulators are its children and get SIGKILL from the kernel when it ends, however it ends.
 - Until `lab.py up` has said "commit" on its standard input, end of file there ends the lab: an
   interrupted or killed `up` leaves nothing.
 - With an owner (--owner-pid) the lab ends when that process does.
 - SIGTERM (`lab.py down`) ends it.

The main thread starts the emulators (the kernel's promise above is tied to the thread that forks)
and then only waits for events. A second thread tries the hosts out until all are ready, since
running a command on a host blocks.

A host that ends before all are ready fails the lab; one that ends later is a lost host, and the
others go on. When the last one is gone so is the lab.
"""
import contextlib
import json
import os
import selectors
import signal
import sys
import threading
import time

import emulator
import slot
from session import LabError, Session

BOOT_PATIENCE = 120     # seconds for a host that is not slowed; booting takes 3-10
READY_CHECK = """
for device in kvm userfaultfd; do
    : <>/dev/$device || exit 1
done
for peer in "$@"; do
    tries=0
    until /run/lab/busybox ping -c 1 -W 1 "$peer" >/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 10 ] || { echo "no answer from $peer" >&2; exit 1; }
    done
done
"""


class Supervisor:
    def __init__(self, session, settings, owner=None):
        self.session = session
        self.settings = settings
        self.owner = owner
        self.processes = {}     # pidfd -> (host, process)
        self.ready = False
        self.selector = selectors.DefaultSelector()

    def say(self, text):
        """To `up`, or once that has left to lab.log. Whoever listens may be gone."""
        with contextlib.suppress(OSError):
            print(text, flush=True)

    def run(self):
        """The whole life of a session. Returns the exit status."""
        self.lock = self.session.lock()
        self._watch_signals()
        try:
            self._watch(0, self._on_control)
            if self.owner is not None:
                self._watch(self._pidfd_of_owner(), self._on_owner)
            self.session.write_settings(self.settings)
            for host in range(self.settings["hosts"]):
                self._start(host)
            self._start_trying()
            while True:
                for key, _ in self.selector.select():
                    key.data(key.fd)
        except Stop as reason:
            self.say(f"ending: {reason}")
            return 0
        except LabError as error:
            self.say(f"error: {error}")
            return 1
        finally:
            self._end_hosts()
            self.session.clean()

    # Events.

    def _watch(self, fd, handler):
        self.selector.register(fd, selectors.EVENT_READ, handler)

    def _watch_signals(self):
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self._watch(reader, self._on_signal)

    def _on_signal(self, _fd):
        raise Stop("asked to")

    def _pidfd_of_owner(self):
        try:
            return os.pidfd_open(self.owner)
        except ProcessLookupError:
            raise LabError(f"the owner, process {self.owner}, does not run") from None

    def _on_owner(self, _fd):
        raise Stop(f"the owner, process {self.owner}, has ended")

    def _on_control(self, fd):
        if not os.read(fd, 16):
            raise Stop("lab.py up has ended before the lab was ready")
        self.selector.unregister(fd)
        self._detach()

    def _on_host(self, pidfd):
        host, process = self.processes.pop(pidfd)
        self.selector.unregister(pidfd)
        os.close(pidfd)
        status = process.wait()
        self.session.pid_file(host).unlink(missing_ok=True)
        if not self.ready:
            raise LabError(f"host {host} has ended with status {status}\n{self._tail(host)}")
        self.say(f"host {host} has ended with status {status}")
        if not self.processes:
            raise Stop("no host is left")

    def _detach(self):
        """From now on the lab belongs to its owner, or to `lab.py down`."""
        log = os.open(self.session.file("lab.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(log)
        os.close(null)

    # Hosts.

    def _start(self, host):
        process = emulator.start(self.session, self.settings, host)
        pidfd = os.pidfd_open(process.pid)
        self.processes[pidfd] = (host, process)
        slots = [self.session.slot_socket(host, number)
                 for number in range(self.settings["slots"])]
        links = [self.session.link_socket(host, peer)
                 for peer in range(host + 1, self.settings["hosts"])]
        end = time.monotonic() + 30
        while not all(self.session.file(name).exists() for name in slots + links):
            if process.poll() is not None or time.monotonic() > end:
                raise LabError(f"QEMU of host {host} does not start\n{self._tail(host)}")
            time.sleep(0.02)
        emulator.forget_faketime(process.pid)
        self._watch(pidfd, self._on_host)
        self.say(f"host {host} boots (process {process.pid})")

    def _tail(self, host):
        text = ""
        for log in (self.session.qemu_log(host), self.session.console_log(host)):
            with contextlib.suppress(FileNotFoundError):
                text += log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return text.strip()

    def _end_hosts(self):
        """There is no state to save in a host."""
        for _, process in self.processes.values():
            process.kill()
        for _, process in self.processes.values():
            process.wait()
            emulator.forget_faketime(process.pid)

    # Readiness.

    def _start_trying(self):
        reader, writer = os.pipe()
        result = []

        def worker():
            try:
                self._try_all()
            except LabError as error:
                result.append(error)
            os.write(writer, b".")

        def done(fd):
            self.selector.unregister(fd)
            if result:
                raise result[0]
            self.ready = True
            self.say("ready")

        self._watch(reader, done)
        threading.Thread(target=worker, daemon=True).start()

    def _try_all(self):
        hosts = range(self.settings["hosts"])
        begun = time.monotonic()
        for host in hosts:
            self._try(host, [])
            self.say(f"host {host} answers after {time.monotonic() - begun:.1f} s")
        for host in hosts:
            self._try(host, [f"10.77.0.{peer + 1}" for peer in hosts if peer != host])
        self.say(f"all links work after {time.monotonic() - begun:.1f} s")

    def _try(self, host, peers):
        patience = BOOT_PATIENCE * self.settings["slow"] * max(1, self.settings["hosts"] / 2)
        output = os.memfd_create("output")
        try:
            status = slot.execute(
                self.session, host, ["sh", "-c", READY_CHECK, "sh", *peers],
                slots=self.settings["slots"], patience=patience, stdout=output, stderr=output,
                deadline=time.monotonic() + 2 * patience)
            if status:
                text = os.pread(output, 2000, 0).decode(errors="replace").strip()
                raise LabError(f"host {host} is not usable: {text}")
        finally:
            os.close(output)


class Stop(Exception):
    """The session ends as it should."""


def main():
    """Usage: supervisor.py DIR SETTINGS-AS-JSON [OWNER-PID]; only lab.py starts it."""
    session = Session(sys.argv[1])
    owner = int(sys.argv[3]) if len(sys.argv) > 3 else None
    os.chdir(session.path)
    status = Supervisor(session, json.loads(sys.argv[2]), owner).run()
    # Not through the interpreter's exit: the second thread may still wait for a host.
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
