# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program share: a directory with what a run needs, and fake nodes."""
import glob
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
FAKE = HERE / "fake_node.py"
EXAMPLE = HERE.parent.parent / "docs" / "cluster.example.yaml"
SSIHV = pathlib.Path(sys.argv[1]).resolve()


class Skip(Exception):
    """The reason why a test cannot run here."""


def bzimage(size=2048):
    """The smallest bzImage by its header (boot.rst): 1 KiB of setup, 1 KiB of code."""
    image = bytearray(size)
    image[:8] = b"a kernel"
    for at, form, value in ((0x1f1, "<B", 1), (0x1f4, "<I", 1024 // 16), (0x1fe, "<H", 0xaa55),
                            (0x201, "<B", 0x6a), (0x202, "<4s", b"HdrS"), (0x206, "<H", 0x20c),
                            (0x211, "<B", 1), (0x22c, "<I", 0x7fffffff), (0x230, "<I", 1 << 21),
                            (0x234, "<B", 1), (0x236, "<H", 1), (0x238, "<I", 2047),
                            (0x258, "<Q", 16 << 20), (0x260, "<I", 16 << 20)):
        struct.pack_into(form, image, at, value)
    return bytes(image)


class World:
    """A directory with what a run needs; XDG_RUNTIME_DIR is in it, so that leftovers are seen."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.kernel = self.path / "kernel"
        self.kernel.write_bytes(bzimage())
        self.runtime = self.path / "runtime"
        self.runtime.mkdir()
        self.pids = self.path / "pids"
        self.pids.mkdir()
        self.env = dict(os.environ, XDG_RUNTIME_DIR=str(self.runtime), FAKE_PIDS=str(self.pids))

    def file(self, name, text):
        path = self.path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def command(self, *args):
        return [str(SSIHV), *map(str, args)]

    def ssihv(self, *args, env=None, stdin=subprocess.DEVNULL, data=None, timeout=30):
        if data is not None:
            stdin = None
        done = subprocess.run(self.command(*args), env=dict(self.env, **(env or {})), stdin=stdin,
                              input=data, capture_output=True, timeout=timeout, check=False)
        done.out = done.stdout.decode("utf-8", "replace")
        done.err = done.stderr.decode("utf-8", "replace")
        return done

    def fake(self, plan, *args, nodes=2, node1=None):
        """Arguments and environment of a run of fake nodes."""
        for path in self.pids.iterdir():
            path.unlink()
        env = {} if node1 is None else {"FAKE_PLAN_node1": node1}
        return ["run", "--local", nodes, "--kernel", self.kernel, "--node-program", FAKE,
                "--append", plan, *args], env

    def run(self, plan, *args, nodes=2, node1=None, data=None):
        argv, env = self.fake(plan, *args, nodes=nodes, node1=node1)
        return self.ssihv(*argv, env=env, data=data)

    def start(self, plan, *args, node1=None, **kwargs):
        argv, env = self.fake(plan, *args, node1=node1)
        return subprocess.Popen(self.command(*argv), env=dict(self.env, **env), **kwargs)

    def pid(self, name, patience=30):
        path = self.pids / name
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if path.exists() and path.read_text(encoding="ascii"):
                return int(path.read_text(encoding="ascii"))
            time.sleep(0.02)
        raise AssertionError(f"{name} did not start")

    def assert_nothing_runs(self):
        for path in self.pids.glob("node[0-9]"):
            pid = int(path.read_text(encoding="ascii"))
            assert not os.path.exists(f"/proc/{pid}"), f"{path.name} (process {pid}) still runs"

    def assert_no_directory(self):
        left = glob.glob(f"{self.runtime}/*")
        assert not left, f"left behind: {left}"


def free_port():
    """A port of this machine that nobody listens on, outside of those that a run picks itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def one_line(done, status, *words):
    """The whole message is one line with these words, and the status is this."""
    assert done.returncode == status, f"status {done.returncode}: {done.err}"
    assert done.err.startswith("ssihv: ") and done.err.count("\n") == 1, repr(done.err)
    for word in words:
        assert word in done.err, f"{word!r} not in {done.err!r}"


def has(done, status, *words):
    assert done.returncode == status, f"status {done.returncode}: {done.err}"
    for word in words:
        assert word in done.err, f"{word!r} not in {done.err!r}"


def read_until(stream, *words):
    """What a program writes until all words have come."""
    seen = ""
    while not all(word in seen for word in words):
        line = stream.readline()
        assert line, f"it ended early: {seen!r}"
        seen += line.decode("utf-8", "replace")
    return seen


def last_line(text):
    return text.strip().splitlines()[-1]


def until_nothing_runs(w, patience=30):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            return w.assert_nothing_runs()
        except AssertionError:
            time.sleep(0.02)
    return w.assert_nothing_runs()


def main(names):
    """Runs all tests among the names of a module."""
    tests = [(name, function) for name, function in names.items() if name.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}")
    for number, (name, function) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix="ssihv-cli.") as path:
            try:
                function(World(path))
                print(f"ok {number} - {name[5:]}", flush=True)
            except Skip as reason:
                print(f"ok {number} - {name[5:]} # SKIP {reason}", flush=True)
            except (AssertionError, OSError, KeyError, ValueError, AttributeError,
                    subprocess.SubprocessError) as error:
                failed += 1
                print(f"not ok {number} - {name[5:]}", flush=True)
                for line in f"{type(error).__name__}: {error}".splitlines():
                    print(f"# {line}")
    sys.exit(1 if failed else 0)
