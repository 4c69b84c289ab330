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
# Programs tell why a case failed before its line, those with cmocka after it.
LONGEST = 8         # programs whose times are told
REASON_LINES, REASON_LENGTH = 3, 300
REASON = re.compile(r"#?\s*\w*(Error|Exception|Expired)\b")
CRASH = re.compile(r"ERROR: |WARNING: ThreadSanitizer|runtime error: |Assertion .* failed|"
                   r"^\w*(Error|Exception)\b")
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
    waits: bool = False             # most of its time: it needs no CPU of its own
    pure: bool = False              # its result depends on nothing but its input
    shares_memory: bool = False     # among threads

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
        self.failed = []        # (title, lines that tell why; more may come until the end)
        self.skipped = []
        self.seconds = {}       # of all programs of a class
        self.took = {}          # each program
        self.executions = 0     # that fuzz targets told

    def case(self, status, title, seconds, reason="", why=()):
        """@reason: of a skip; @why: lines, of a failure."""
        with self.lock:
            if status == "ok":
                self.passed += 1
                told = EXECUTIONS.search(title)
                self.executions += int(told["count"]) if told else 0
            elif status == "skip":
                self.skipped.append((title, reason))
            else:
                self.failed.append((title, why))
            print(f"{status:<4}  {title} ({seconds:.2f} s)", flush=True)

    def ended(self, program, seconds):
        with self.lock:
            self.seconds[program.kind] = self.seconds.get(program.kind, 0) + seconds
            self.took[program.name] = seconds

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
            for title, why in self.failed:
                print(f"  {title}")
                for line in why[:REASON_LINES]:
                    print(f"      {line[:REASON_LENGTH]}")
        print(f"\ntime {times}")
        print("programs, by class:", in_seconds(self.seconds))
        print("the longest:", longest(self.took))
        if self.executions:
            print(f"fuzzed: {self.executions} executions")
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        line = f"{self.passed} passed, {len(self.failed)} failed{skipped}"
        print(line, flush=True)
        summary.write_text(line + "\n", encoding="ascii")
        return 1 if self.failed or not self.passed else 0


def in_seconds(times):
    return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items())


def longest(took):
    return in_seconds({name: took[name]
                       for name in sorted(took, key=took.get, reverse=True)[:LONGEST]})


def ignore_here_only():
    """What we were started to ignore (nohup, or in the background) the tests do not inherit: they
    send it to what they test. A program starts with a handled signal at its default."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


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


def reason_in(lines):
    """Of what a program told before a case that failed: the error itself, else the last words."""
    errors = [number for number, line in enumerate(lines) if REASON.match(line)]
    return lines[errors[-1] if errors else -REASON_LINES:][:REASON_LINES]


def crash_in(lines):
    """Of what a program left that did not end well."""
    telling = [line.strip() for line in lines if CRASH.search(line)]
    return telling[:REASON_LINES] or [line for line in lines if line.strip()][-REASON_LINES:]


class Tap:
    """Reads one program's TAP and reports its cases."""

    def __init__(self, program, results):
        self.program, self.results = program, results
        self.planned = None
        self.cases = self.bad = 0
        self.since = time.monotonic()
        self.told = []      # since the last case
        self.open = None    # of the last case, if it failed and had told nothing before its line

    def line(self, text):
        plan = PLAN.match(text)
        if plan:
            self.planned = int(plan["count"])
            if plan["reason"] is not None and not self.planned:
                self.results.case("skip", self.program.name, 0, plan["reason"])
            return
        case = CASE.match(text)
        if not case:
            if text.strip():
                (self.told if self.open is None else self.open).append(text.strip())
            return
        self.cases += 1
        now = time.monotonic()
        title = f"{self.program.name}: {case['name'].strip() or case['number']}"
        status = "skip" if (case["directive"] or "").upper() == "SKIP" else \
            "FAIL" if case["not"] else "ok"
        self.bad += status == "FAIL"
        why = reason_in(self.told)
        self.results.case(status, title.replace("_", " "), now - self.since, case["reason"] or "",
                          why)
        self.told, self.open = [], why if status == "FAIL" and not why else None
        self.since = now

    def end(self, status, expired, errors):
        """What the cases do not tell: a crash, cases that are missing. @errors: what else it said."""
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
                              time.monotonic() - self.since,
                              why=crash_in([*self.told, *errors.splitlines()]))
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
            stderr = errors.read().decode("utf-8", "replace")
            log.write(stderr)
    except InterruptedError:
        return
    finally:
        pathlib.Path(f"{path}.err").unlink(missing_ok=True)
    results.ended(program, time.monotonic() - began)
    if not running.stopping and not tap.end(status, watchdog.expired, stderr):
        results.show([*path.read_text(encoding="utf-8").splitlines()[-TAIL:], f"whole log: {path}"])
