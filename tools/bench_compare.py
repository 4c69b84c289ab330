#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two reports of `make bench` or `make bench-guest`: what became better or worse by more than noise.

Usage: bench_compare.py OLD NEW [--all] [--least PERCENT]

A change counts when the middle halves of the rounds do not overlap and the medians are at least
PERCENT apart. Times, CPU times and rates move with the machine and with what else it does: they are
shown and marked in brackets, but only what is relative to the yardstick of its own run, or a count,
is judged.

Exit status: 0 nothing that is judged became worse; 1 something did, or is missing in NEW; 2 the
reports cannot be compared.
"""
import argparse
import sys

import bench_report

JUDGED = ("ratio", "share", "packets", "bytes", "exchanges", "pages")


def is_judged(name, figure):
    return not name.startswith("raw.") and figure["unit"] in JUDGED


def is_shown(name, figure):
    return is_judged(name, figure) or name in ("ours.p50", "ours.rate", "seconds")


def change(old, new, least):
    """(new to old, "better" or "worse" or "")"""
    if not old["median"]:
        return None, ""
    ratio = new["median"] / old["median"]
    apart = new["low"] > old["high"] or new["high"] < old["low"]
    if not apart or abs(ratio - 1) < least or old["better"] == "neither":
        return ratio, ""
    return ratio, "better" if (ratio < 1) == (old["better"] == "less") else "worse"


def by_name(report):
    return {(result["measure"], result["place"]): result["figures"]
            for result in report["results"]}


def host_lines(old, new):
    """What else is not the same."""
    for what in ("kernel", "cpu", "cpus", "memory", "huge_pages"):
        before, after = old["host"].get(what), new["host"].get(what)
        if before != after:
            yield f"note: {what}: {before} before, {after} now"
    if old["options"] != new["options"]:
        yield f"note: options: {old['options']} before, {new['options']} now"
    for name, report in (("OLD", old), ("NEW", new)):
        if report["host"].get("load_before", 0) > 0.5:
            yield f"note: {name} was measured while the machine was busy"


class Comparison:
    def __init__(self, old, new, args):
        self.old, self.new, self.args = by_name(old), by_name(new), args
        self.worse, self.better, self.missing = [], [], []

    def row(self, key, name):
        """The line of one figure, None when it is not to be shown."""
        old, new = self.old[key][name], self.new[key][name]
        ratio, verdict = change(old, new, self.args.least / 100)
        judged = is_judged(name, old)
        title = f"{key[0]}, {bench_report.place_name(key[1])}: {name}"
        if verdict and judged:
            (self.worse if verdict == "worse" else self.better).append(title)
        if not (self.args.all or is_shown(name, old)):
            return None
        shown = "-" if ratio is None else f"{ratio:.3f}"
        mark = verdict if judged or not verdict else f"({verdict})"
        return (f"{title:<52} {old['median']:>10.4g} {new['median']:>10.4g} {shown:>7}  "
                f"{mark}").rstrip()

    def lines(self):
        yield f"{'':<52} {'old':>10} {'new':>10} {'new/old':>7}"
        for key, figures in self.old.items():
            if key not in self.new:
                self.missing.append(f"{key[0]}, {bench_report.place_name(key[1])}")
                continue
            for name in figures:
                line = self.row(key, name) if name in self.new[key] else None
                if line:
                    yield line

    def verdict_lines(self):
        for title, what in ((self.missing, "missing in NEW"), (self.better, "better"),
                            (self.worse, "worse")):
            yield f"{len(title)} {what}" + (":" if title else "")
            yield from (f"  {one}" for one in title)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW")
    parser.add_argument("--all", action="store_true", help="show every figure")
    parser.add_argument("--least", type=float, default=3, metavar="PERCENT",
                        help="what is less does not count (default 3)")
    args = parser.parse_args()
    try:
        old, new = bench_report.load(args.old), bench_report.load(args.new)
    except bench_report.Unusable as error:
        print(f"bench_compare.py: {error}", file=sys.stderr)
        return 2
    comparison = Comparison(old, new, args)
    print(f"old {old['revision']} ({old['when']}), new {new['revision']} ({new['when']})")
    print(*host_lines(old, new), *comparison.lines(), "", *comparison.verdict_lines(), sep="\n")
    return 1 if comparison.worse or comparison.missing else 0


if __name__ == "__main__":
    sys.exit(main())
