# SPDX-License-Identifier: Apache-2.0
"""The report of `make bench` and `make bench-guest`: what is in it, and what the targets say.

A report is a JSON object:

    format      1
    revision    of the sources, as `git describe` tells it; with "-dirty" they were changed
    when        of its beginning
    host        what it ran on, as far as it matters
    options     what it was asked to do
    results     a list; each has the name of its `measure`, its `place`, and `figures`: name ->
                unit, better ("less", "more", "neither"), `rounds` (a value each), their `median`,
                and the quartiles `low` and `high`, between which half of them lie
    skipped     a list; each with measure, place and reason
    targets     a list; each with name, value, bound, and whether it is met; null: not measured
"""
import dataclasses
import json
import statistics

FORMAT = 1
PLACES = {"each": "a CPU each", "one": "on one CPU", "each-spin": "a CPU each, polling"}
# Those of `make bench-guest`.
GUEST_PLACES = {"one-1": "one host, one vCPU", "one-2": "one host, two vCPUs", "two": "two hosts",
                "three": "three hosts", "four": "four hosts"}


def place_name(place):
    return PLACES.get(place) or GUEST_PLACES.get(place, place)


class Unusable(Exception):
    """This is no report that can be read; the text says why."""


def quartiles(values):
    """Of fewer than four rounds: the least and the most."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def summed_up(figure):
    """A figure of the measuring program, with what its rounds come to."""
    low, high = quartiles(figure["rounds"])
    return {**figure, "median": statistics.median(figure["rounds"]), "low": low, "high": high}


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise Unusable(f"{path}: no report of `make bench`, or of another format")
    return report


def medians(report):
    """(measure, place, figure) -> median"""
    return {(result["measure"], result["place"], name): figure["median"]
            for result in report["results"] for name, figure in result["figures"].items()}


@dataclasses.dataclass
class Target:
    """A bound for one figure, or for its ratio to another one."""
    name: str
    measure: str
    place: str
    figure: str
    bound: float
    least: bool = False     # the figure must not be below the bound, else not above
    against: str = ""       # the same figure of this measure
    to: str = ""            # this figure of the same measure

    def judge(self, values):
        value = values.get((self.measure, self.place, self.figure))
        base = 1
        if self.against or self.to:
            base = values.get((self.against or self.measure, self.place, self.to or self.figure))
        known = value is not None and bool(base)
        value = value / base if known else None
        met = (value >= self.bound if self.least else value <= self.bound) if known else None
        return {"name": f"{self.name}, {place_name(self.place)}", "value": value, "bound": self.bound,
                "least": self.least, "met": met}


TARGETS = [
    Target("read fault, p50 to raw", "read", "each", "ratio.p50", 1.3),
    Target("read fault, p50 to raw", "read", "one", "ratio.p50", 2.0),
    Target("read fault, p99 to raw", "read", "each", "ratio.p99", 2.0),
    Target("read fault, p99 to raw", "read", "one", "ratio.p99", 2.0),
    Target("write, one more has it, p50 to raw", "write-shared-1", "each", "ratio.p50", 2.2),
    Target("write, three more have it, p50 to raw", "write-shared-3", "each", "ratio.p50", 2.2),
    Target("random pages/s, 4 threads", "random-4", "each", "ours.rate", 100000, least=True),
    Target("sequential pages/s to raw", "sequential-1", "each", "share", 0.7, least=True),
    Target("read fault, 8 nodes to 2", "nodes-8", "each", "ratio.p50", 1.1, against="nodes-2"),
    Target("fan-in pages/s, 8 nodes to 2", "fan-in-8", "each", "ours.rate", 0.9, least=True,
           against="fan-in-2"),
    Target("read fault, 64 GiB to 1 GiB", "size-64", "each", "ratio.p50", 1.1, against="size-1"),
    Target("reading twice the limit, to no limit", "sweep-50", "each", "share", 0.5, least=True),
    Target("writing twice the limit, to no limit", "sweep-write-50", "each", "share", 0.5,
           least=True),
    Target("a node that stays alone, work", "alone", "one", "ratio.work", 1.01),
    Target("a node that stays alone, first touch", "alone", "one", "ratio.fill", 1.01),
    Target("a node that stays alone, huge pages", "alone", "one", "ours.huge", 1, least=True,
           to="raw.huge"),
]


def judge(report, targets=None):
    values = medians(report)
    return [target.judge(values) for target in targets or TARGETS]


def target_lines(judged):
    known = [one for one in judged if one["met"] is not None]
    yield f"{'target':<54} {'bound':>16} {'measured':>9}"
    for one in known:
        bound = ("at least " if one["least"] else "at most ") + f"{one['bound']:g}"
        value = f"{one['value']:.{0 if one['value'] > 99 else 3}f}"
        yield f"{one['name']:<54} {bound:>16} {value:>9}  {'met' if one['met'] else 'NOT met'}"
    if len(known) < len(judged):
        yield f"{len(judged) - len(known)} more not measured"
