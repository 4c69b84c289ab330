# SPDX-License-Identifier: Apache-2.0
"""What `make bench` measures, in which order, and how its table looks; for bench.py."""


def number(value, width):
    """About three digits that say something."""
    if value >= 100000:
        return f"{value / 1000:>{width - 1}.0f}k"
    return f"{value:>{width}.{2 if value < 10 else 1 if value < 1000 else 0}f}"


class Section:
    """Measures that have the same columns."""

    def __init__(self, head, columns, measures, factor=1, places=("each", "one")):
        self.head, self.columns, self.factor = head, columns, factor
        self.plan = [(measure, place) for measure in measures for place in places]

    def row(self, result):
        value = {name: figure["median"] for name, figure in result["figures"].items()}
        shown = (" ".join(number(value[name], width) for width, name in group)
                 for group in self.columns)
        title = f"{result['measure']}, {SHORT[result['place']]}"
        return f"{title:<28}" + " | ".join(shown)


SHORT = {"each": "a CPU each", "one": "one CPU", "each-spin": "polling"}
CPU = [(6, "ours.cpu_asker"), (6, "ours.cpu_others")]
TIMES = [[(7, "raw.p50"), (7, "raw.p99")], [(7, "ours.p50"), (7, "ours.p99"), (7, "ours.p99.9")],
         [(5, "ratio.p50"), (5, "ratio.p99")], CPU, [(7, "ours.packets")]]
TIMES_HEAD = (f"{'':<28}{'yardstick, us':>15} | {'fault, us':>23} | {'ratio':>11} | "
              f"{'CPU, us':>13} |\n"
              f"{'':<28}{'p50':>7} {'p99':>7} | {'p50':>7} {'p99':>7} {'p99.9':>7} | {'p50':>5} "
              f"{'p99':>5} | {'asker':>6} {'others':>6} | packets")
RATES = [[(9, "raw.rate")], [(9, "ours.rate")], [(6, "share")], CPU, [(7, "ours.packets")]]
RATES_HEAD = (f"{'':<28}{'yardstick':>9} | {'pages':>9} | {'':>6} | {'CPU, us a page':>13}|\n"
              f"{'':<28}{'pages/s':>9} | {'a second':>9} | {'share':>6} | {'asker':>6} "
              f"{'others':>6} | packets")
SWEEP_HEAD = RATES_HEAD.replace("yardstick", " no limit")
HOMES_HEAD = RATES_HEAD.replace("yardstick", "    homes").replace("  pages/s", "     stay") \
                       .replace("packets", "packets | moves", 1)
TABLES_HEAD = (f"{'':<28}{'yardstick':>9} | {'fault':>7} | {'ratio':>5} | bytes of tables a page\n"
               f"{'':<28}{'p50, us':>9} | {'p50, us':>7} | {'p50':>5} | "
               f"{'at home':>7} {'asker':>7} {'in all':>7}")
ALONE_HEAD = (f"{'':<28}{'without, ms':>15} | {'node, ms':>15} | {'ratio':>13} | share of huge pages"
              f"\n{'':<28}{'fill':>7} {'work':>7} | {'fill':>7} {'work':>7} | {'fill':>6} "
              f"{'work':>6} | without    node")

SECTIONS = [
    Section(TIMES_HEAD, TIMES, ["zero", "read", "write", "write-shared-1", "write-shared-3",
                                "upgrade", "pingpong", "pingpong-third"]),
    Section(TIMES_HEAD, TIMES, ["read"], places=["each-spin"]),
    Section(RATES_HEAD, RATES, ["faults-1", "faults-4", "faults-16", "sequential-1",
                                "sequential-4", "strided-1", "strided-4", "random-1", "random-4",
                                "invalidations-1", "invalidations-4"], factor=4),
    Section(RATES_HEAD, RATES, [f"faults-{threads}-shards-{shards}" for threads in (1, 4, 16)
                                for shards in (2, 4)], factor=4),
    Section(TIMES_HEAD, TIMES, ["nodes-2", "nodes-4", "nodes-8"]),
    Section(RATES_HEAD, RATES, ["fan-in-2", "fan-in-4", "fan-in-8"], factor=2),
    Section(TABLES_HEAD,
            [[(9, "raw.p50")], [(7, "ours.p50")], [(5, "ratio.p50")],
             [(7, "ours.tables_home"), (7, "ours.tables_asker"), (7, "ours.overhead_all")]],
            ["size-1", "size-4", "size-16", "size-64"]),
    Section(SWEEP_HEAD, RATES, ["sweep-50", "sweep-25", "sweep-5", "sweep-write-50",
                                "sweep-write-25", "sweep-write-5"]),
    Section(HOMES_HEAD, RATES + [[(5, "ours.moves")]],
            ["homes-work", "homes-limit-50", "homes-random"], factor=2),
    Section(HOMES_HEAD, RATES + [[(5, "ours.moves")]],
            ["homes-once", "homes-fresh", "homes-turns", "homes-stay"], factor=16),
    Section(ALONE_HEAD,
            [[(7, "raw.fill"), (7, "raw.work")], [(7, "ours.fill"), (7, "ours.work")],
             [(6, "ratio.fill"), (6, "ratio.work")], [(7, "raw.huge"), (7, "ours.huge")]],
            ["alone"], places=["one"]),
]
