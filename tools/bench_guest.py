#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures loads in a guest on two emulated hosts with a CPU each, against the same on one.

Usage: bench_guest.py SSIHV [--quick] [--only LOAD] [--hosts N] [--report FILE] ...

A round boots the guest on one host with one vCPU, on one host with two, and on two hosts, and runs
every load once in each. Times are by the guest's clock, in the lab's slow motion; what is told is the
median of all rounds, and of the ratios within a round. docs/benchmarks.md says more;
tools/bench_compare.py compares two reports.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import bench
import bench_guest_plan
import bench_report
import guest_image
from bench_guest_plan import HOSTS, PLACES

ROOT = pathlib.Path(__file__).resolve().parent.parent
NODE_MIB = 320      # of each host; what there is on one host is as much in all
COPIES_MIB = 64     # room that each host has for pages of others
ROUNDS, QUICK = 5, 1
# figure -> its unit; of all nodes together, between a load's marks.
COUNTS = {"exchanges": "exchanges", "pages": "pages", "waited": "s"}


class Failed(Exception):
    pass


# ---- one boot ----

def answer_marks(process, told):
    """Tells the guest when a mark is whole; keeps the last lines of what ssihv says."""
    for line in process.stderr:
        told.append(line.decode("utf-8", "replace").rstrip())
        del told[:-12]
        if b"mark: " in line:
            with contextlib.suppress(OSError):
                process.stdin.write(b"\n")
                process.stdin.flush()


def loads_told(lines):
    """name -> what the guest said of it."""
    found = {}
    for line in lines:
        if line.startswith(b"LOAD {"):
            # What cannot be read was not told: it is missing in the end.
            with contextlib.suppress(ValueError):
                one = json.loads(line[5:])
                found[one["name"]] = one
        elif line.startswith(b"load: "):
            print(line.decode("utf-8", "replace").rstrip(), file=sys.stderr)
    return found


def command(args, place, kernel, initrd, report):
    hosts = HOSTS[place]
    words = [args.ssihv, "run", "--lab", hosts, "--kernel", kernel, "--initrd", initrd, "-v",
             "--report", report, "--timeout", args.timeout, "--append", f"quiet {args.append}"]
    if hosts == 1:
        words += ["--vcpus-per-node", place[-1], "--memory-per-node", f"{2 * args.memory}M"]
    else:
        words += ["--memory-per-node", f"{args.memory}M", "--limit-per-node",
                  f"{args.memory + COPIES_MIB}M"]
    return [*map(str, words), *(["--keep-logs", str(args.keep / place)] if args.keep else [])]


def boot(args, place, kernel, initrd, work):
    """Runs the guest once. Returns what the guest told of each load, and the report of the run."""
    path, told = work / "run.json", []
    path.unlink(missing_ok=True)
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(args.keep / place, ignore_errors=True)
    with subprocess.Popen(command(args, place, kernel, initrd, path), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        reader = threading.Thread(target=answer_marks, args=(process, told))
        reader.start()
        try:
            found = loads_told(process.stdout)
        except BaseException:
            # The terminal has told ssihv, too, or it is told here: it tidies up.
            process.terminate()
            process.wait()
            raise
        finally:
            reader.join()
    if process.returncode or not path.exists():
        raise Failed(f"{PLACES[place]}: the run ended with status {process.returncode}: " +
                     " | ".join(told[-4:]))
    return found, json.loads(path.read_text(encoding="utf-8"))


# ---- what it tells ----

def counted(node):
    """What one node had counted by a mark, as figures that add up."""
    dsm, remote = node["dsm"], node["remote"]
    return {"exchanges": node["faults_remote"] + node["prefetches"],
            "pages": dsm["data_grants"] + dsm["zero_grants"],
            "waited": remote["count"] * remote["mean_us"] / 1e6}


def differences(report):
    """load -> its counts, of loads whose both marks are whole."""
    sums = {}
    for mark in report.get("marks", []):
        if all(mark["nodes"]):
            nodes = [counted(node) for node in mark["nodes"]]
            sums[mark["name"]] = {name: sum(node[name] for node in nodes) for name in COUNTS}
    return {name[:-len(".begin")]: {what: end[what] - begin[what] for what in COUNTS}
            for name, begin in sums.items() if name.endswith(".begin")
            for end in [sums.get(name[:-len("begin")] + "end")] if end}


class Rounds:
    """What all rounds have found: (load, place) -> figure -> a value for each round, or None."""

    def __init__(self):
        self.values, self.failed = {}, []

    def take(self, loads, number, place, found, report):
        """What a guest told that was to run these loads, by their names."""
        counts = differences(report)
        for name in loads:
            if name not in found:
                self.failed.append({"measure": name, "place": place, "round": number,
                                    "reason": "the guest told nothing"})
        for name, one in found.items():
            if not one["ok"]:
                self.failed.append({"measure": name, "place": place, "round": number,
                                    "reason": one["reason"]})
                continue
            figures = {"seconds": one["seconds"], **counts.get(name, {})}
            self.values.setdefault((name, place), {})[number] = figures

    def relative(self, name, place, base):
        """Ratios of times in each round that has both."""
        mine, other = self.values.get((name, place), {}), self.values.get((name, base), {})
        return [mine[number]["seconds"] / other[number]["seconds"] for number in sorted(mine)
                if number in other and other[number]["seconds"]]

    def figures(self, name, place):
        rounds = self.values[name, place]
        units = {"seconds": "s", **COUNTS}
        for what, unit in units.items():
            values = [rounds[number][what] for number in sorted(rounds) if what in rounds[number]]
            if values:
                yield what, unit, "less", values
        bases = ("one-1", "one-2") if HOSTS[place] == 2 else ("two",) if HOSTS[place] > 2 else ()
        for base in bases:
            ratios = self.relative(name, place, base)
            if ratios:
                yield f"ratio.{base}", "ratio", "less", ratios
                yield f"throughput.{base}", "share", "more", [1 / ratio for ratio in ratios if ratio]

    def results(self):
        for name, place in self.values:
            yield {"measure": name, "place": place, "figures": {
                what: bench_report.summed_up({"unit": unit, "better": better, "rounds": values})
                for what, unit, better, values in self.figures(name, place)}}


# ---- the table ----

def cell(figures, name, width, digits):
    value = figures.get(name, {}).get("median")
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def rows(loads, places, results):
    """The table, for who reads it."""
    by_name = {(result["measure"], result["place"]): result["figures"] for result in results}
    more = [place for place in places if HOSTS[place] > 2]
    yield (f"{'seconds of the guest':<16}{'one host':>16} | {'two hosts':>9} | {'to one host':>13} | "
           f"{'exchanges':>9} {'pages':>8} {'waited':>7}" +
           "".join(f" | {PLACES[place]:>15}" for place in more))
    yield (f"{'':<16}{'1 vCPU':>8}{'2 vCPUs':>8} | {'':>9} | {'1 vCPU':>6} {'2':>6} | {'':>26}" +
           "".join(f" | {'':>8} {'to two':>6}" for place in more)).rstrip()
    for load in loads:
        one, both, two = (by_name.get((load.name, place), {}) for place in ("one-1", "one-2", "two"))
        yield (f"{load.name:<16}{cell(one, 'seconds', 8, 3)}{cell(both, 'seconds', 8, 3)} | "
               f"{cell(two, 'seconds', 9, 3)} | {cell(two, 'ratio.one-1', 6, 2)} "
               f"{cell(two, 'ratio.one-2', 6, 2)} | {cell(two, 'exchanges', 9, 0)} "
               f"{cell(two, 'pages', 8, 0)} {cell(two, 'waited', 7, 3)}" +
               "".join(f" | {cell(by_name.get((load.name, place), {}), 'seconds', 8, 3)} "
                       f"{cell(by_name.get((load.name, place), {}), 'ratio.two', 6, 2)}"
                       for place in more))


# ---- from beginning to end ----

def arguments():
    names = [load.name for load in bench_guest_plan.loads(0)]
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ssihv", type=pathlib.Path, metavar="SSIHV")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--only", action="append", choices=names, metavar="LOAD",
                        help="one of " + ", ".join(names) + "; repeatable")
    parser.add_argument("--place", action="append", choices=PLACES,
                        help="only there; repeatable (default one-1, one-2, two)")
    parser.add_argument("--hosts", action="append", type=int, choices=(3, 4), default=[],
                        help="on so many hosts, too; repeatable")
    parser.add_argument("--append", default="", help="words for the guest's command line")
    parser.add_argument("--memory", type=int, default=NODE_MIB, metavar="MIB", help="of each host")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds, of one run")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="the logs of the last round")
    parser.add_argument("--report", type=pathlib.Path, metavar="FILE",
                        default=ROOT / "build" / "bench" / "guest.json")
    args = parser.parse_args()
    args.rounds = args.rounds or (QUICK if args.quick else ROUNDS)
    args.place = args.place or ["one-1", "one-2", "two"]
    args.place += [place for place, hosts in HOSTS.items() if hosts in args.hosts]
    return args


def measure_all(args, loads, work):
    """Returns the rounds and the runs that failed."""
    cache = ROOT / "build" / "lab-cache"
    kernel = subprocess.run([sys.executable, ROOT / "lab" / "lab.py", "kernel", "guest"],
                            stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    initrd = work / "load.cpio"
    guest_image.build(guest_image.fetch(cache), set().union(*(load.programs() for load in loads)),
                      "".join(load.plan() for load in loads), initrd)
    rounds = Rounds()
    for number in range(args.rounds):
        for place in args.place:
            began = time.monotonic()
            try:
                rounds.take([load.name for load in loads], number, place,
                            *boot(args, place, kernel, initrd, work))
                text = "done"
            except Failed as error:
                rounds.failed.append({"measure": None, "place": place, "round": number,
                                      "reason": str(error)})
                text = f"FAILED: {error}"
            print(f"round {number + 1} of {args.rounds}, {PLACES[place]}: {text} "
                  f"({time.monotonic() - began:.0f} s)", flush=True)
    return rounds


def main():
    args = arguments()
    began = time.monotonic()
    loads = [load for load in bench_guest_plan.loads(args.memory)
             if not args.only or load.name in args.only]
    report = {"format": bench_report.FORMAT, "revision": bench.revision(),
              "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "host": bench.host(), "options": {"rounds": args.rounds, "memory": args.memory,
                                                "append": args.append}, "skipped": []}
    with tempfile.TemporaryDirectory(prefix="ssihv-bench.") as work:
        rounds = measure_all(args, loads, pathlib.Path(work))
    report["results"], report["failed"] = list(rounds.results()), rounds.failed
    report["host"]["load_after"] = os.getloadavg()[0]
    report["seconds"] = round(time.monotonic() - began, 1)
    report["targets"] = bench_report.judge(report, bench_guest_plan.targets(args.memory))
    args.report.parent.mkdir(parents=True, exist_ok=True)
    args.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("", *rows(loads, args.place, report["results"]), sep="\n")
    for one in rounds.failed:
        print(f"FAILED: {one['measure'] or 'a run'}, {PLACES[one['place']]}, round "
              f"{one['round'] + 1}: {one['reason']}")
    print("", *bench_report.target_lines(report["targets"]), "",
          f"{report['seconds']:.0f} s; report in {args.report}", sep="\n")
    if report["host"]["load_before"] > 0.5:
        print(f"The machine was busy before (load {report['host']['load_before']:.1f}): what was "
              "measured says little.")
    return 1 if rounds.failed else 0


if __name__ == "__main__":
    # Asked to end, it ends the run that it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (guest_image.Missing, subprocess.CalledProcessError) as error:
        print(f"bench_guest.py: {error}", file=sys.stderr)
        sys.exit(1)
