# SPDX-License-Identifier: Apache-2.0
"""The client's side of a command slot (theory of operation and frames: agent.c).

A slot is a Unix socket of QEMU, which ends in a virtio-serial port of the emulated host. QEMU
serves one connection a socket; a lock file beside it says who may connect.
"""
import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import time

from session import LabError

HEAD = struct.Struct("<IBBHQ")
MAGIC = 0x4842414C
END = b"\xa5"
PAYLOAD = 8192
(HELLO, ACK, PREPARE, START, STDIN, SIGNAL, STDOUT, STDERR, EXIT, REFUSED) = range(1, 11)
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def acquire(session, host, slots, patience=30):
    """Locks a free slot. Returns its number and the lock, an open file."""
    end = time.monotonic() + patience
    while True:
        for slot in range(slots):
            handle = open(session.file(f"host{host}-slot{slot}.lock"), "w", encoding="ascii")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return slot, handle
            except BlockingIOError:
                handle.close()
        if time.monotonic() > end:
            raise LabError(f"all {slots} slots of host {host} are busy")
        time.sleep(0.05)


def connect(session, host, slot):
    """Reaches the socket through the directory's descriptor: its path may be too long."""
    directory = os.open(session.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"/proc/self/fd/{directory}/{session.slot_socket(host, slot)}")
        return connection
    except OSError as error:
        raise LabError(f"host {host} is not reachable: {error.strerror}") from None
    finally:
        os.close(directory)


class Channel:
    """Frames over one connection. The socket does not block; what it has no room for waits."""

    def __init__(self, connection):
        self.connection = connection
        self.session = int.from_bytes(os.urandom(8), "little") | 1
        self.received = bytearray()
        self.pending = bytearray()
        connection.setblocking(False)

    def fileno(self):
        return self.connection.fileno()

    def frame(self, kind, payload=b""):
        return HEAD.pack(MAGIC, kind, 0, len(payload), self.session) + payload + END

    def queue(self, kind, payload=b""):
        self.pending += self.frame(kind, payload)

    def flush(self):
        with contextlib.suppress(BlockingIOError):
            while self.pending:
                del self.pending[:self.connection.send(self.pending[:65536])]

    def fill(self):
        """Reads what is there. False at the end of the connection."""
        try:
            data = self.connection.recv(65536)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self.received += data
        return bool(data)

    def frames(self):
        """The complete frames among what was received."""
        while len(self.received) >= HEAD.size:
            magic, kind, _, length, number = HEAD.unpack_from(self.received)
            if magic != MAGIC or number != self.session:
                raise LabError("the agent sent something that is no frame")
            if len(self.received) <= HEAD.size + length:
                return
            payload = bytes(self.received[HEAD.size:HEAD.size + length])
            del self.received[:HEAD.size + length + 1]
            yield kind, payload

    def greet(self, patience):
        """Makes the agent begin a session, past whatever an earlier client left in the port."""
        self.pending += bytes(HEAD.size + PAYLOAD + 1)
        self.queue(HELLO)
        answer = self.frame(ACK)
        end = time.monotonic() + patience
        while (at := self.received.find(answer)) < 0:
            left = end - time.monotonic()
            if left <= 0:
                raise LabError("the host does not answer")
            del self.received[:-len(answer)]
            writers = [self] if self.pending else []
            readable, writable, _ = select.select([self], writers, [], left)
            if writable:
                self.flush()
            if readable and not self.fill():
                raise LabError("the host is gone")
        del self.received[:at + len(answer)]

    def start(self, argv, env, cwd):
        words = [cwd, str(len(env)), *env, *argv]
        data = b"".join(os.fsencode(word) + b"\0" for word in words)
        for at in range(0, len(data), PAYLOAD):
            self.queue(PREPARE, data[at:at + PAYLOAD])
        self.queue(START)


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def pump(channel, stdin, stdout, stderr, signals=None, deadline=None):
    """Carries the three streams until the command has ended; returns its status.

    Input is read only when all that was read before has gone, so a command that does not read
    holds up whoever writes, as a pipe would. `stdin` may be None: end of file at once.
    `signals`: a pipe with the numbers of signals for the command.
    """
    outputs = {STDOUT: stdout, STDERR: stderr}
    if stdin is None:
        channel.queue(STDIN)
    while True:
        readers = [channel] + ([] if signals is None else [signals])
        if stdin is not None and not channel.pending:
            readers.append(stdin)
        left = None if deadline is None else max(0, deadline - time.monotonic())
        readable, _, _ = select.select(readers, [channel] if channel.pending else [], [], left)
        if left == 0:
            raise LabError("the command takes too long")
        if stdin in readable:
            data = os.read(stdin, PAYLOAD)
            channel.queue(STDIN, data)
            stdin = stdin if data else None
        if signals in readable:
            for number in os.read(signals, 16):
                channel.queue(SIGNAL, bytes([number]))
        channel.flush()
        if channel not in readable:
            continue
        alive = channel.fill()
        for kind, payload in channel.frames():
            if kind in outputs:
                write_all(outputs[kind], payload)
            elif kind == EXIT:
                return payload[0]
            elif kind == REFUSED:
                raise LabError(payload.decode(errors="replace").strip())
        if not alive:
            raise LabError("the host is gone")


@contextlib.contextmanager
def forwarded_signals():
    """A pipe with the signals to pass on: the first goes to the command, a second one ends this
    client, and with it the command."""
    reader, writer = os.pipe()
    seen = []

    def forward(number, _frame):
        if seen:
            raise SystemExit(128 + number)
        seen.append(number)
        os.write(writer, bytes([number]))

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def execute(session, host, argv, *, slots, env=(), cwd="/", patience=60, stdin=None, stdout=1,
            stderr=2, forward=False, deadline=None):
    """Runs a command on a host and returns its exit status.

    `patience`: seconds to wait for the agent; `deadline`: time.monotonic() at which to give up.
    """
    slot, lock = acquire(session, host, slots)
    with lock, connect(session, host, slot) as connection:
        channel = Channel(connection)
        channel.greet(patience)
        channel.start(argv, env, cwd)
        with forwarded_signals() if forward else contextlib.nullcontext() as signals:
            return pump(channel, stdin, stdout, stderr, signals, deadline)
