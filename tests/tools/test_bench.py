#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests `make bench` and the comparing of its reports. Prints TAP.

Usage: test_bench.py PROGRAM: bench/measure. Each measure runs once, with tiny numbers: what it
finds is well formed, never how much it is. Reports are compared that were made up.
"""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = sys.argv[1]
TOOLS = ROOT / "tools"
SKIP = 77


def usable():
    """Why nothing can be measured here; None if it can."""
    done = subprocess.run([PROGRAM, "read", "--place", "one", "--rounds", "1", "--count", "1"],
                          capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.strip() if done.returncode == SKIP else None


def bench(work, *words):
    report = work / "report.json"
    done = subprocess.run([sys.executable, TOOLS / "bench.py", PROGRAM, "--report", report, *words],
                          capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done
    return done.stdout, json.loads(report.read_text(encoding="utf-8"))


def compare(work, old, new, *words):
    for name, report in (("old", old), ("new", new)):
        (work / name).write_text(json.dumps(report), encoding="utf-8")
    return subprocess.run([sys.executable, TOOLS / "bench_compare.py", work / "old", work / "new",
                           *words], capture_output=True, text=True, timeout=60, check=False)


def made_up(**figures):
    """A report of one measure; a figure is (unit, better, rounds)."""
    sys.path.insert(0, str(TOOLS))
    import bench_report
    return {"format": bench_report.FORMAT, "revision": "0", "when": "then", "host": {"cpus": 2},
            "options": {}, "skipped": [], "targets": [],
            "results": [{"measure": "read", "place": "one", "figures": {
                name.replace("_", "."): bench_report.summed_up(
                    {"unit": unit, "better": better, "rounds": rounds})
                for name, (unit, better, rounds) in figures.items()}}]}


def each_measure_runs_and_the_report_has_all_of_it(work):
    shown, report = bench(work, "--runs", "1", "--rounds", "2", "--count", "20", "--place", "one")
    names = {line.split()[0] for line in
             subprocess.run([PROGRAM, "--list"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.splitlines()}
    assert {result["measure"] for result in report["results"]} == names
    assert not report["skipped"] and report["host"]["kernel"] and report["revision"]
    for result in report["results"]:
        assert result["measure"] in shown, result["measure"]
        assert result["figures"]
        for name, figure in result["figures"].items():
            assert len(figure["rounds"]) == 2, (result["measure"], name, figure)
            assert all(value >= 0 for value in figure["rounds"]), (name, figure)
            assert figure["low"] <= figure["median"] <= figure["high"]


def runs_can_be_traced(work):
    bench(work, "--runs", "1", "--rounds", "1", "--count", "20", "--place", "one", "--only", "read",
          "--trace", work)
    for node in range(2):   # a head, and at least a record of each fault
        assert (work / f"node{node}.trace").stat().st_size > 128 + 20 * 32


def what_a_fault_takes_is_counted(work):
    """Figures that do not depend on the machine: a request and its answer are two packets."""
    _, report = bench(work, "--runs", "2", "--rounds", "1", "--count", "200", "--place", "one",
                      "--only", "read")
    figures = report["results"][0]["figures"]
    assert len(figures["raw.packets"]["rounds"]) == 2   # of either run
    assert 2 <= figures["raw.packets"]["median"] < 3, figures["raw.packets"]
    assert 2 <= figures["ours.packets"]["median"] < 6, figures["ours.packets"]
    assert figures["ours.cpu_asker"]["median"] > 0 and figures["ours.cpu_others"]["median"] > 0


def targets_are_told_but_do_not_fail(work):
    shown, report = bench(work, "--runs", "1", "--rounds", "1", "--count", "20", "--place", "one",
                          "--only", "read")
    judged = {target["name"]: target for target in report["targets"]}
    one = judged["read fault, p50 to raw, on one CPU"]
    assert one["met"] == (one["value"] <= one["bound"])
    assert judged["read fault, p50 to raw, a CPU each"]["met"] is None
    assert "not measured" in shown


def wrong_use_is_refused(work):
    for words in ([], ["no-such-measure"], ["read", "--place", "nowhere"], ["read", "--rounds", "0"],
                  ["read", "--rounds", "65"], ["read", "--count", "many"], ["read", "write"]):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60,
                              check=False)
        assert done.returncode == 2 and done.stderr.startswith("Usage:"), (words, done)


def a_report_equals_itself(work):
    report = made_up(ratio_p50=("ratio", "less", [1.5, 1.6, 1.7, 1.6]))
    done = compare(work, report, report)
    assert done.returncode == 0 and "0 worse" in done.stdout and "1.000" in done.stdout, done


def what_is_worse_by_more_than_noise_is_told(work):
    old = made_up(ratio_p50=("ratio", "less", [1.5, 1.6, 1.7, 1.6]))
    new = made_up(ratio_p50=("ratio", "less", [1.8, 1.9, 2.0, 1.9]))
    done = compare(work, old, new)
    assert done.returncode == 1 and "1 worse:" in done.stdout, done
    done = compare(work, new, old)
    assert done.returncode == 0 and "1 better:" in done.stdout, done


def more_is_better_for_rates(work):
    old = made_up(share=("share", "more", [0.5, 0.5, 0.5, 0.5]))
    new = made_up(share=("share", "more", [0.8, 0.8, 0.8, 0.8]))
    assert "1 better:" in compare(work, old, new).stdout
    assert compare(work, new, old).returncode == 1


def noise_is_no_change(work):
    old = made_up(ratio_p50=("ratio", "less", [1.0, 2.0, 3.0, 4.0]))
    new = made_up(ratio_p50=("ratio", "less", [1.5, 2.5, 3.5, 4.5]))
    assert compare(work, old, new).returncode == 0
    old = made_up(ours_packets=("packets", "less", [4.0, 4.0, 4.0, 4.0]))
    new = made_up(ours_packets=("packets", "less", [4.01, 4.01, 4.01, 4.01]))
    assert compare(work, old, new).returncode == 0
    assert compare(work, old, new, "--least", "0.1").returncode == 1


def what_moves_with_the_machine_is_shown_but_not_judged(work):
    old = made_up(ours_p50=("us", "less", [10, 10, 10, 10]), raw_packets=("packets", "less", [2.0]))
    new = made_up(ours_p50=("us", "less", [20, 20, 20, 20]), raw_packets=("packets", "less", [4.0]))
    done = compare(work, old, new)
    assert done.returncode == 0 and "(worse)" in done.stdout, done


def what_is_missing_and_what_differs_is_told(work):
    old = made_up(ratio_p50=("ratio", "less", [1.5]))
    new = copy.deepcopy(old)
    new["results"][0]["measure"] = "write"
    new["host"]["cpus"] = 4
    done = compare(work, old, new)
    assert done.returncode == 1 and "1 missing in NEW:" in done.stdout, done
    assert "cpus: 2 before, 4 now" in done.stdout


def what_is_no_report_is_refused(work):
    good = made_up(ratio_p50=("ratio", "less", [1.5]))
    for bad in ([], {"format": 99}, "text"):
        done = compare(work, good, bad)
        assert done.returncode == 2 and "no report" in done.stderr, done
    (work / "old").write_text("{", encoding="utf-8")
    done = subprocess.run([sys.executable, TOOLS / "bench_compare.py", work / "old",
                           work / "nothing"], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done


MEASURING = (each_measure_runs_and_the_report_has_all_of_it, runs_can_be_traced,
             what_a_fault_takes_is_counted, targets_are_told_but_do_not_fail)
TESTS = (*MEASURING, wrong_use_is_refused, a_report_equals_itself,
         what_is_worse_by_more_than_noise_is_told, more_is_better_for_rates, noise_is_no_change,
         what_moves_with_the_machine_is_shown_but_not_judged,
         what_is_missing_and_what_differs_is_told, what_is_no_report_is_refused)


def main():
    print(f"1..{len(TESTS)}", flush=True)
    reason, failed = usable(), 0
    for number, test in enumerate(TESTS, 1):
        name = test.__name__
        if reason and test in MEASURING:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                test(pathlib.Path(work))
                print(f"ok {number} - {name}", flush=True)
            except (AssertionError, LookupError, ValueError, subprocess.SubprocessError) as error:
                failed += 1
                print(f"not ok {number} - {name}", flush=True)
                print(f"# {error!r}".replace("\n", "\n# "), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
