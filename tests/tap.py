# SPDX-License-Identifier: Apache-2.0
"""Runs programs that speak TAP and tells what came of each case; for tests/run and tests/repeat."""
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

GRACE = 20          # seconds between SIGTERM and SIGKILL
TAIL = 30           # lines of the log that are shown of a program that failed
CASE = re.compile(r"(?P<not>not )?ok\b *(?P<number>\d+)?(?: *-)? *(?P<name>[^#]*)"
                  r"(?:# *(?P<directive>SKIP|TODO)\b *(?P<reason>.*))?", re.I)
PLAN = re.compile(r"1\.\.(?P<count>\d+)(?: *# *SKIP\b *(?P<reason>.*))?", re.I)
EXECUTIONS = re.compile(r"(?P<count>\d+) executions\b")


@dataclasses.dataclass
class Program:
    name: str
    command: list
    env: dict
    timeout: float
    parallel: bool      # may share the machine with others
    kind: str           # one of the classes of tests/run
    directory: str

    def chosen(self, only, skip):
        def matches(names):
            return any(self.name == name or self.name.startswith((name + "-", name + " "))
                       for name in names)
        return (not only or matches(only)) and not matches(skip)


class Results:
    """What came out so far. One line at a time reaches the terminal."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.seconds = {}       # of all programs of a class
        self.executions = 0     # that fuzz targets told

    def case(self, status, title, seconds, reason=""):
        with self.lock:
            if status == "ok":
                self.passed += 1
                told = EXECUTIONS.search(title)
                self.executions += int(told["count"]) if told else 0
            elif status == "skip":
                self.skipped.append((title, reason))
            else:
                self.failed.append(title)
            print(f"{status:<4}  {title} ({seconds:.2f} s)", flush=True)

    def ended(self, program, seconds):
        with self.lock:
            self.seconds[program.kind] = self.seconds.get(program.kind, 0) + seconds

    def show(self, lines):
        with self.lock:
            print("".join(f"      | {line}\n" for line in lines), end="", flush=True)

    def end(self, summary, times):
        """Prints what was skipped, what failed, the sum; the sum also to the file `summary`."""
        if self.skipped:
            print("\nskipped:")
            for title, reason in self.skipped:
                print(f"  {title}: {reason or 'no reason was given'}")
        if self.failed:
            print("\nfailed:")
            for title in self.failed:
                print(f"  {title}")
        print(f"\ntime {times}")
        print("by class", ", ".join(f"{kind} {seconds:.0f}"
                                    for kind, seconds in self.seconds.items()))
        if self.executions:
            print(f"fuzzed: {self.executions} executions")
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        line = f"{self.passed} passed, {len(self.failed)} failed{skipped}"
        print(line, flush=True)
        summary.write_text(line + "\n", encoding="ascii")
        return 1 if self.failed or not self.passed else 0


class Running:
    """The processes under way, so that all can be ended. Each leads a group of its own."""

    def __init__(self):
        self.lock = threading.Lock()
        self.processes = set()
        self.stopping = False

    @contextlib.contextmanager
    def process(self, program, stderr):
        with self.lock:
            if self.stopping:
                raise InterruptedError
            process = subprocess.Popen(
                program.command, cwd=program.directory, env={**os.environ, **program.env},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
                errors="replace", start_new_session=True)
            self.processes.add(process)
        try:
            yield process
        finally:
            # Whatever of the group is left, also after a good end.
            self.signal(process, signal.SIGKILL)
            process.wait()
            with self.lock:
                self.processes.discard(process)

    @staticmethod
    def signal(process, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def stop(self):
        """Asks all to end, and sees to it that they do."""
        self.signal_all(signal.SIGTERM)
        timer = threading.Timer(GRACE, self.signal_all, [signal.SIGKILL])
        timer.daemon = True
        timer.start()

    def signal_all(self, number):
        with self.lock:
            self.stopping = True
            for process in self.processes:
                self.signal(process, number)


class Watchdog:
    """Asks a process that takes too long to end, then ends it."""

    def __init__(self, process, seconds):
        self.expired = False
        self.process = process
        self.timer = threading.Timer(seconds, self.expire)

    def __enter__(self):
        self.timer.start()
        return self

    def __exit__(self, *_):
        self.timer.cancel()

    def expire(self):
        self.expired = True
        Running.signal(self.process, signal.SIGTERM)
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            Running.signal(self.process, signal.SIGKILL)


class Tap:
    """Reads one program's TAP and reports its cases."""

    def __init__(self, program, results):
        self.program, self.results = program, results
        self.planned = None
        self.cases = self.bad = 0
        self.since = time.monotonic()

    def line(self, text):
        plan = PLAN.match(text)
        if plan:
            self.planned = int(plan["count"])
            if plan["reason"] is not None and not self.planned:
                self.results.case("skip", self.program.name, 0, plan["reason"])
            return
        case = CASE.match(text)
        if not case:
            return
        self.cases += 1
        now = time.monotonic()
        title = f"{self.program.name}: {case['name'].strip() or case['number']}"
        status = "skip" if (case["directive"] or "").upper() == "SKIP" else \
            "FAIL" if case["not"] else "ok"
        self.bad += status == "FAIL"
        self.results.case(status, title.replace("_", " "), now - self.since, case["reason"] or "")
        self.since = now

    def end(self, status, expired):
        """What the cases do not tell: a crash, cases that are missing."""
        wrong = None
        if expired:
            wrong = f"took more than {self.program.timeout:.0f} s"
        elif status < 0:
            wrong = f"ended by {signal.Signals(-status).name} after {self.cases} cases"
        elif self.planned is None:
            wrong = f"told no plan, exit status {status}"
        elif self.cases != self.planned:
            wrong = f"planned {self.planned} cases, told {self.cases}"
        elif status and not self.bad:
            wrong = f"exit status {status} though no case failed"
        if wrong:
            self.results.case("FAIL", f"{self.program.name}: {wrong}",
                              time.monotonic() - self.since)
        return wrong is None and not self.bad


def run(program, logs, results, running):
    """Its whole output goes to a file in the directory `logs`."""
    path = logs / (re.sub(r"[^\w.-]+", "-", program.name) + ".log")
    tap = Tap(program, results)
    began = time.monotonic()
    try:
        with open(path, "w", encoding="utf-8") as log, open(f"{path}.err", "w+b") as errors:
            with running.process(program, errors) as process:
                with Watchdog(process, program.timeout) as watchdog:
                    for line in process.stdout:
                        log.write(line)
                        tap.line(line)
                    status = process.wait()
            errors.seek(0)
            log.write(errors.read().decode("utf-8", "replace"))
    except InterruptedError:
        return
    finally:
        pathlib.Path(f"{path}.err").unlink(missing_ok=True)
    results.ended(program, time.monotonic() - began)
    if not running.stopping and not tap.end(status, watchdog.expired):
        results.show([*path.read_text(encoding="utf-8").splitlines()[-TAIL:], f"whole log: {path}"])
