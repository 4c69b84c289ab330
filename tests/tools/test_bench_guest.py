#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the parts of `make bench-guest`, without a guest. Prints TAP.

The program that runs the loads does so as an ordinary process; ssihv is a stand-in that marks and
tells as a run does; the initramfs is made of packages that were made up. No figure is asserted.
"""
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import bench_guest
import bench_guest_plan
import bench_report
import guest_image

# Marks twice around each load, and waits for the answers; then the report of a run.
STAND_IN = """#!{python}
import json, pathlib, sys
words = sys.argv
node = lambda n: {{"faults_remote": n, "prefetches": n, "dsm": {{"data_grants": 2 * n,
                  "zero_grants": 1}}, "remote": {{"count": n, "mean_us": 500.0}}}}
marks = []
print("PROOF-START\\r", flush=True)
for at, name in enumerate(("cpu-0", "redis")):
    for when in ("begin", "end"):
        print(f"[   1.0] mark: {{name}}.{{when}}", file=sys.stderr, flush=True)
        assert sys.stdin.readline() == "\\n"
        marks.append({{"name": f"{{name}}.{{when}}", "nodes": [node(10 * len(marks)), node(1)]}})
    print('LOAD ' + json.dumps({{"name": name, "ok": not at, "seconds": 2.5, "reason": "why"}}) +
          "\\r", flush=True)
pathlib.Path(words[words.index("--report") + 1]).write_text(json.dumps({{"marks": marks}}))
sys.exit(int(words[words.index("--append") + 1].split()[-1]))
"""


def guest_program(work):
    program = work / "load"
    if not program.exists():
        subprocess.run([ROOT / "bench" / "guest" / "build.sh", program], check=True)
    return program


def run_plan(work, lines, *words):
    """What the program says of a plan; each mark is answered."""
    plan = work / "test.plan"
    plan.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines), encoding="ascii")
    with subprocess.Popen([guest_program(work), *words, plan], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        said = []
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if line.startswith("PROOF-MARK"):
                process.stdin.write("\n")
                process.stdin.flush()
    return process.returncode, said


def told(said):
    return {one["name"]: one for one in (json.loads(line[5:]) for line in said
                                         if line.startswith("LOAD "))}


def the_loads_of_our_own_run(work):
    program, log = guest_program(work), work / "log"
    lines = []
    for name, *words in (("spin", 1000), ("forks", 3, "/bin/true"), ("pipe", 5, 0, 1),
                         ("scan", 1, 1), ("data", 64, log), ("source", 2, work / "unit.c")):
        lines += [("load", name, 60), ("run", 1, program, name, *words)]
    status, said = run_plan(work, lines)
    assert status == 0 and said[0] == "PROOF-START" and said[-1] == "LOADS-DONE", said
    found = told(said)
    assert len(found) == 6 and all(one["ok"] for one in found.values()), said
    marks = [line.split()[1] for line in said if line.startswith("PROOF-MARK")]
    assert marks == [f"{name}.{when}" for name in found for when in ("begin", "end")], marks
    assert log.stat().st_size > 60 << 10 and b"request" in log.read_bytes()
    subprocess.run(["cc", "-c", "-o", work / "unit.o", work / "unit.c"], check=True)


def a_load_ends_with_its_last_program(work):
    _, said = run_plan(work, [("load", "both", 60), ("run", 0, "/bin/sleep", "0.01"),
                              ("prepare", "-", "/bin/sleep", "0.01"),
                              ("run", "-", "/bin/sleep", "0.3")])
    one = told(said)["both"]
    assert len(one["each"]) == 2 and one["seconds"] == max(one["each"]) >= 0.3, one


def what_fails_tells_why(work):
    _, said = run_plan(work, [
        ("load", "status", 60), ("run", "-", "/bin/sh", "-c", "echo it broke '\"' >&2; exit 3"),
        ("load", "none", 60), ("run", "-", "/none"),
        ("load", "preparation", 60), ("prepare", "-", "/bin/false"), ("run", "-", "/bin/true"),
        ("load", "server", 60), ("server", "-", 1, "/bin/false"), ("run", "-", "/bin/true"),
        ("load", "endless", 1), ("run", "-", "/bin/sleep", "1000"),
        ("load", "good", 60), ("run", "-", "/bin/true")])
    found = told(said)
    for name, reason in (("status", "a program failed: it broke"), ("none", "No such file"),
                         ("preparation", "preparation failed"), ("server", "takes no connection"),
                         ("endless", "took too long")):
        assert not found[name]["ok"] and reason in found[name]["reason"], found[name]
    assert found["good"]["ok"], found["good"]


def a_server_lives_as_long_as_its_load(work):
    server = ("import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
              "while True: s.accept()")
    # A port that is free now.
    shown = subprocess.run([sys.executable, "-c", server.splitlines()[0] +
                            "; print(s.getsockname()[1])"], stdout=subprocess.PIPE, check=True)
    port = int(shown.stdout)
    # A line holds one line of a program.
    server = (f"exec(\"import socket; s = socket.create_server(('127.0.0.1', {port}))\\n"
              "while True: s.accept()\")")
    client = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
    lines = [("load", "one", 60), ("server", "-", port, sys.executable, "-c", server),
             ("run", "-", sys.executable, "-c", client),
             ("load", "after", 60), ("run", "-", sys.executable, "-c", client)]
    found = told(run_plan(work, lines)[1])
    assert found["one"]["ok"] and not found["after"]["ok"], found


def plans_that_make_no_sense_are_refused(work):
    for lines in ([("run", 0, "/bin/true")], [("load", "a")], [("load", "a", "soon")],
                  [("load", "a", 1), ("walk", 0, "/bin/true")], [("load", "a", 1), ("run", "x", "y")],
                  [("load", "a", 1), ("run", 0)], [("load", "a", 1), ("server", 0, 70000, "/x")],
                  [("load", "a", 1), ("run", 0, *"x" * 60)], [("load", "a", 1)] * 49,
                  [("load", "a", 1), *[("run", 0, "/x")] * 9]):
        status, said = run_plan(work, lines)
        assert status == 1 and f"line {len(lines)}:" in said[0], (lines, said)


def the_plan_is_understood_and_has_its_packages(work):
    loads = bench_guest_plan.loads(320)
    assert len({load.name for load in loads}) == len(loads)
    lines = [line.split("\t") for load in loads for line in load.plan().splitlines()]
    assert run_plan(work, lines, "--check") == (0, [])
    measured = {target.measure for target in bench_guest_plan.targets(320)}
    assert measured <= {load.name for load in loads}
    listed = [line.split()[1] for line in
              (ROOT / "tools" / "packages").read_text(encoding="utf-8").splitlines()
              if line.startswith("load ")]
    for package in ("pigz", "sqlite3", "redis-server", "memcached", "tcc", "stress-ng"):
        assert package in listed, package
    assert {"/usr/bin/tcc", "/usr/bin/make"} <= bench_guest_plan.Load.programs(
        next(load for load in loads if load.name == "compile"))


def the_image_has_programs_and_libraries(work):
    packages = work / "packages"
    (packages / "usr/bin").mkdir(parents=True)
    (packages / guest_image.LIBRARIES).mkdir(parents=True)
    source = work / "z.c"
    source.write_text("int main(void) { return 0; }\n", encoding="ascii")
    subprocess.run(["cc", "-o", packages / "usr/bin/z", source], check=True)
    out = work / "image.cpio"
    with contextlib.suppress(guest_image.Missing):
        guest_image.build(packages, {"/usr/bin/z"}, "", out)
        raise AssertionError("a library is missing, and nobody said so")
    for name in guest_image.needed(packages / "usr/bin/z") + ["ld-linux-x86-64.so.2"]:
        (packages / guest_image.LIBRARIES / name).write_bytes(b"a library")
    guest_image.build(packages, {"/usr/bin/z"}, "load\ta\t1\n", out)
    members = subprocess.run(["cpio", "--quiet", "-t"], input=out.read_bytes(), check=True,
                             stdout=subprocess.PIPE).stdout.decode().split()
    assert {"init", "plan", "usr/bin/z", guest_image.LOADER, "etc/passwd", "proc",
            f"{guest_image.LIBRARIES}/libc.so.6"} <= set(members), members
    with contextlib.suppress(guest_image.Missing):
        guest_image.build(packages, {"/usr/bin/none"}, "", out)
        raise AssertionError("a program is missing, and nobody said so")


def options(work, **more):
    ssihv = work / "ssihv"
    ssihv.write_text(STAND_IN.format(python=sys.executable), encoding="ascii")
    ssihv.chmod(0o755)
    return types.SimpleNamespace(**{"ssihv": ssihv, "append": "0", "memory": 64, "timeout": 9,
                                    "keep": None, **more})


def a_run_answers_marks_and_counts_between_them(work):
    logs = work / "logs" / "kept"
    found, report = bench_guest.boot(options(work, keep=logs), "two", "kernel", "initrd", work)
    assert logs.is_dir()    # ssihv makes the last part of a path only
    assert found["cpu-0"]["seconds"] == 2.5 and not found["redis"]["ok"], found
    counts = bench_guest.differences(report)
    assert counts["cpu-0"]["exchanges"] == counts["cpu-0"]["pages"] == 20, counts
    assert abs(counts["cpu-0"]["waited"] - 0.005) < 1e-9, counts
    report["marks"][1]["nodes"][1] = None    # a node that did not answer
    assert list(bench_guest.differences(report)) == ["redis"]
    try:
        bench_guest.boot(options(work, append="3"), "one-2", "kernel", "initrd", work)
    except bench_guest.Failed as error:
        assert "status 3" in str(error), error
    else:
        raise AssertionError("a run failed, and nobody said so")


def made_up():
    """Rounds of one load in three places, the last of which lacks one."""
    rounds = bench_guest.Rounds()
    marks = [{"name": f"cpu-both.{when}", "nodes": [
        {"faults_remote": at, "prefetches": 0, "dsm": {"data_grants": at, "zero_grants": 0},
         "remote": {"count": at, "mean_us": 1000.0}}]} for at, when in ((5, "begin"), (25, "end"))]
    for place, seconds in (("one-1", (2.0, 2.2, 2.4)), ("one-2", (2.0, 2.0, 2.0)),
                           ("two", (1.0, 2.0, 1.2)), ("three", (1.0, 1.0))):
        for number, value in enumerate(seconds):
            rounds.take(["cpu-both"], number, place, {"cpu-both": {"ok": True, "seconds": value}},
                        {"marks": marks})
    return rounds


def ratios_are_of_a_round_and_targets_are_told(work):
    rounds = made_up()
    results = list(rounds.results())
    figures = {result["place"]: result["figures"] for result in results}
    assert figures["two"]["ratio.one-1"]["rounds"] == [0.5, 2.0 / 2.2, 0.5], figures["two"]
    assert figures["two"]["throughput.one-1"]["median"] == 2
    assert figures["two"]["exchanges"]["median"] == 20
    assert abs(figures["two"]["waited"]["median"] - 0.02) < 1e-9
    assert figures["three"]["ratio.two"]["rounds"] == [1.0, 0.5], figures["three"]
    judged = {one["name"]: one for one in bench_report.judge(
        {"results": results}, bench_guest_plan.targets(64))}
    one = judged["cpu-both, throughput to one host, one vCPU, two hosts"]
    assert one["met"] is True and one["value"] == 2, one
    assert judged["sqlite, time to one host, two vCPUs, two hosts"]["met"] is None
    assert judged["cpu-both, time to two hosts, three hosts"]["met"] is True
    loads = [load for load in bench_guest_plan.loads(64) if load.name in ("cpu-both", "redis")]
    shown = list(bench_guest.rows(loads, ["one-1", "one-2", "two", "three"], results))
    assert len(shown) == 4 and "0.50" in shown[2] and "three hosts" in shown[0], shown
    assert shown[3].count("-") > 5, shown[3]


def what_failed_in_a_round_is_told_and_not_counted(work):
    rounds = made_up()
    rounds.take(["cpu-both", "pipe"], 3, "two", {"cpu-both": {"ok": False, "reason": "why"}},
                {"marks": []})
    assert [(one["measure"], one["reason"]) for one in rounds.failed] == [
        ("pipe", "the guest told nothing"), ("cpu-both", "why")], rounds.failed
    assert not bench_guest.loads_told([b'LOAD {"name": "cpu-both", "ok": tr[    1.0] a message'])
    assert len(next(result for result in rounds.results() if result["place"] == "two")
               ["figures"]["seconds"]["rounds"]) == 3


def reports_can_be_compared(work):
    report = {"format": bench_report.FORMAT, "revision": "0", "when": "then", "host": {},
              "options": {}, "results": list(made_up().results())}
    (work / "old.json").write_text(json.dumps(report), encoding="utf-8")
    for result in report["results"]:
        if result["place"] == "two":
            result["figures"]["exchanges"].update(median=40, low=40, high=40)
    (work / "new.json").write_text(json.dumps(report), encoding="utf-8")
    done = subprocess.run([sys.executable, ROOT / "tools" / "bench_compare.py", work / "old.json",
                           work / "new.json"], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "1 worse:" in done.stdout, done.stdout
    assert "cpu-both, two hosts: exchanges" in done.stdout, done.stdout


TESTS = (the_loads_of_our_own_run, a_load_ends_with_its_last_program, what_fails_tells_why,
         a_server_lives_as_long_as_its_load, plans_that_make_no_sense_are_refused,
         the_plan_is_understood_and_has_its_packages, the_image_has_programs_and_libraries,
         a_run_answers_marks_and_counts_between_them, ratios_are_of_a_round_and_targets_are_told,
         what_failed_in_a_round_is_told_and_not_counted, reports_can_be_compared)


def main():
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ssihv-bench-guest.") as path:
        for number, test in enumerate(TESTS, 1):
            try:
                test(pathlib.Path(path))
                print(f"ok {number} - {test.__name__}", flush=True)
            except (AssertionError, KeyError, IndexError, OSError, ValueError,
                    subprocess.SubprocessError, bench_guest.Failed, guest_image.Missing) as error:
                print(f"# {type(error).__name__}: {error}")
                print(f"not ok {number} - {test.__name__}", flush=True)
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
