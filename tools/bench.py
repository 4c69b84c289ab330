#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what the distributed memory costs on this machine: a table, and a report for comparing.

Usage: bench.py PROGRAM [--quick] [--only MEASURE] [--report FILE] ...

Each measure is some runs of PROGRAM (bench/main.c): processes of its own, pinned, in rounds that take
turns with a yardstick. What is shown is the median of all rounds. docs/benchmarks.md says what is
measured and how; tools/bench_compare.py compares two reports.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import bench_report
from bench_plan import SECTIONS

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIP = 77
TIMEOUT = 400
POLL_US = 30    # of places that poll
# How often each is run anew, rounds of a run, faults or pages in a round.
FULL = {"runs": 3, "rounds": 5, "count": 1000}
QUICK = {"runs": 2, "rounds": 2, "count": 400}

def first_line(path, default="unknown"):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, IndexError):
        return default


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def host():
    huge = re.search(r"\[(\w+)\]", first_line("/sys/kernel/mm/transparent_hugepage/enabled"))
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        virtual = any(line.startswith("flags") and " hypervisor" in line for line in file)
    return {
        "kernel": platform.release(),
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "virtual": virtual,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "huge_pages": huge[1] if huge else "unknown",
        "max_map_count": first_line("/proc/sys/vm/max_map_count"),
        "load_before": os.getloadavg()[0],
    }


def revision():
    shown = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                           check=False)
    return shown.stdout.strip() or "unknown"


class Progress:
    """What is being measured, on a line that the next one replaces; only on a terminal."""

    def __init__(self, total):
        self.total, self.done, self.shown = total, 0, sys.stderr.isatty()

    def begin(self, measure, place):
        self.done += 1
        self.line(f"[{self.done}/{self.total}] {measure}, {bench_report.PLACES[place]} ...")

    def line(self, text=""):
        if self.shown:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def command(args, measure, place, factor):
    place, _, polls = place.partition("-")
    return [args.program, measure, "--place", place, "--spin", str(POLL_US if polls else 0),
            "--rounds", str(args.rounds), "--count", str(args.count * factor),
            *(["--trace", args.trace] if args.trace else [])]


def run(args, measure, place, factor):
    """What one process tree finds."""
    try:
        done = subprocess.run(command(args, measure, place, factor), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"took more than {TIMEOUT} s") from error
    told = done.stderr.strip() or f"exit status {done.returncode}"
    if done.returncode == SKIP:
        raise Skipped(told)
    if done.returncode:
        raise Failed(told)
    return json.loads(done.stdout)


def run_all(args, measure, place, factor):
    """The figures of one measure in one place. Two runs differ more than two rounds of a run do."""
    figures = run(args, measure, place, factor)
    for _ in range(1, args.runs):
        for name, figure in run(args, measure, place, factor).items():
            figures[name]["rounds"] += figure["rounds"]
    return {name: bench_report.summed_up(figure) for name, figure in figures.items()}


def measure_one(args, section, measure, place, report):
    """Returns the line to show, and whether it failed."""
    title = f"{measure}, {bench_report.PLACES[place]}"
    try:
        figures = run_all(args, measure, place, section.factor)
    except Skipped as reason:
        report["skipped"].append({"measure": measure, "place": place, "reason": str(reason)})
        return f"{title}: skipped: {reason}", False
    except Failed as reason:
        return f"{title}: FAILED: {reason}", True
    result = {"measure": measure, "place": place, "figures": figures}
    report["results"].append(result)
    return section.row(result), False


def measure_all(args, report):
    """Fills the report; shows each result as it comes. Returns how many failed."""
    plans = [(section, [one for one in section.plan if chosen(args, *one)])
             for section in SECTIONS]
    progress, failures, head = Progress(sum(len(plan) for _, plan in plans)), 0, None
    for section, plan in plans:
        if plan and section.head != head:
            print("" if head is None else "\n", section.head, sep="", flush=True)
            head = section.head
        for measure, place in plan:
            progress.begin(measure, place)
            line, failed = measure_one(args, section, measure, place, report)
            failures += failed
            progress.line()
            print(line, flush=True)
    return failures


def chosen(args, measure, place):
    return (not args.only or measure in args.only) and (not args.place or place in args.place)


def arguments():
    names = list(dict.fromkeys(measure for section in SECTIONS for measure, _ in section.plan))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("--quick", action="store_true", help="less than a minute, less exact")
    parser.add_argument("--only", action="append", choices=names, metavar="MEASURE",
                        help="one of " + ", ".join(names) + "; repeatable")
    parser.add_argument("--place", action="append", choices=bench_report.PLACES,
                        help="only there; repeatable")
    for name, what in (("runs", "of each measure"), ("rounds", "in each run"),
                       ("count", "faults or pages in each round")):
        parser.add_argument(f"--{name}", type=int, metavar="N",
                            help=f"{what} (default {FULL[name]})")
    parser.add_argument("--trace", metavar="DIR",
                        help="as with `ssihv run --trace`: what it costs; of each run in place of "
                             "the last one's")
    parser.add_argument("--report", type=pathlib.Path, metavar="FILE",
                        help="default: report.json beside the program")
    args = parser.parse_args()
    size = QUICK if args.quick else FULL
    for name, value in size.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.report = args.report or pathlib.Path(args.program).parent / "report.json"
    return args


def main():
    args = arguments()
    began = time.monotonic()
    report = {"format": bench_report.FORMAT, "revision": revision(),
              "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "host": host(), "options": {name: getattr(args, name) for name in FULL},
              "results": [], "skipped": []}
    failed = measure_all(args, report)
    report["host"]["load_after"] = os.getloadavg()[0]
    report["seconds"] = round(time.monotonic() - began, 1)
    report["targets"] = bench_report.judge(report)
    args.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("", *bench_report.target_lines(report["targets"]), "",
          f"{report['seconds']:.0f} s; report in {args.report}", sep="\n")
    if report["host"]["load_before"] > 0.5:
        print(f"The machine was busy before (load {report['host']['load_before']:.1f}): what was "
              "measured says little.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
