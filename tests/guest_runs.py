# SPDX-License-Identifier: Apache-2.0
"""Guests on the lab's hosts, whole runs of ssihv: for tests/system."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Few rounds, and time enough for them: what runs out of time proves nothing and fails.
SMALL = "quiet proof.scale=0.2 proof.seconds=20"


def debian_kernel(which):
    """The lab's kernel for its guests (the cloud's), or for its hosts (the one for any PC)."""
    return subprocess.run([sys.executable, ROOT / "lab" / "lab.py", "kernel", which],
                          stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


class World:
    def __init__(self, ssihv, path):
        self.ssihv = pathlib.Path(ssihv).resolve()
        self.path = pathlib.Path(path)
        self.kernel = os.environ.get("SSIHV_TEST_KERNEL") or debian_kernel("guest")
        self.initrd = self.path / "proof.cpio"
        subprocess.run([ROOT / "tests" / "guest" / "make-initramfs.sh", self.initrd], check=True)
        self.env = dict(os.environ, XDG_RUNTIME_DIR=str(self.path))

    def command(self, *words, kernel=None):
        return [str(word) for word in (self.ssihv, "run", "--kernel",
                                       kernel or self.kernel, "--initrd", self.initrd, *words)]

    def run(self, *words, limit, kernel=None):
        report = self.path / "report.json"
        done = subprocess.run(self.command("--report", report, "--timeout", limit, *words,
                                           kernel=kernel),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self.env, timeout=limit + 120,
                              check=False)
        text = done.stdout.decode("utf-8", "replace")
        print(f"# {' '.join(map(str, words))}: status {done.returncode}")
        for line in text.splitlines()[-40:]:
            print(f"#   {line[:160]}")
        if done.returncode:
            for line in done.stderr.decode("utf-8", "replace").splitlines()[-15:]:
                print(f"#   {line[:160]}")
        return done.returncode, json.loads(report.read_text(encoding="utf-8"))


def exact(report, *names):
    for name in names:
        assert report[name]["total"] == report[name]["expected"] > 0, (name, report[name])
        assert report[name]["wrong"] == 0, (name, report[name])


def no_forbidden_outcome(report):
    assert report["litmus"], "no litmus test ran"
    for name, test in report["litmus"].items():
        assert test["forbidden"] == 0, (name, test)


def cases(ssihv, tests):
    """Tells each of @tests as a case of TAP; one that returns a text was skipped for that reason.

    Return: the process's status."""
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ssihv-system.") as path:
        world = World(ssihv, path)
        for number, test in enumerate(tests, 1):
            try:
                skipped = test(world)
                word = f"ok {number} - {test.__name__}" + (f" # SKIP {skipped}" if skipped else "")
            except (AssertionError, KeyError, OSError, ValueError,
                    subprocess.TimeoutExpired) as error:
                print(f"# {type(error).__name__}: {error}")
                word = f"not ok {number} - {test.__name__}"
                failed += 1
            print(word, flush=True)
    return 1 if failed else 0
