#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration: one guest on several hosts proves from inside that they are one machine.

Usage: demo.py SSIHV [--hosts N] [--memory SIZE] [--append WORDS] ...

First the same guest boots on one host with as many CPUs, for comparison. Reports and consoles are
kept in build/demo. On emulated hosts the proof's work is cut down to what takes minutes;
--full does all of it there, too, which takes much longer.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "demo"
SHOWN = (b"proof", b"PROOF-RESULT", b"Kernel panic", b"BUG", b"Oops")


def say(text):
    print(text, flush=True)


def placement(ssihv):
    """--local where a tiny guest ran on /dev/kvm, else the lab; and one line why."""
    shown = subprocess.run([ssihv, "check-kvm", "-o", "json"], stdout=subprocess.PIPE, check=False)
    found = json.loads(shown.stdout)
    if found["usable"]:
        say(f"demo: node processes on this machine, over /dev/kvm: {found['reason']}")
        return "--local"
    say(f"demo: emulated hosts (the lab), for /dev/kvm is not usable: {found['reason']}")
    return "--lab"


def guest():
    say("demo: preparing the guest: Debian's cloud kernel, and an initramfs that holds the proof")
    shown = subprocess.run([sys.executable, ROOT / "lab" / "lab.py", "kernel", "guest"],
                           stdout=subprocess.PIPE, check=True, text=True)
    initrd = OUT / "proof.cpio"
    subprocess.run([ROOT / "tests" / "guest" / "make-initramfs.sh", initrd], check=True)
    return ["--kernel", shown.stdout.strip(), "--initrd", initrd]


def run(name, command):
    """One run of ssihv; shows the proof's lines. Returns its status and its report."""
    report = OUT / f"{name}.json"
    report.unlink(missing_ok=True)
    shutil.rmtree(OUT / name, ignore_errors=True)
    command = [*command, "--report", report, "--keep-logs", OUT / name]
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE) as process:
        try:
            for line in process.stdout:
                if line.startswith(SHOWN) and not line.startswith(b"proof-progress"):
                    sys.stdout.buffer.write(line.rstrip(b"\r\n") + b"\n")
                    sys.stdout.flush()
        except KeyboardInterrupt:
            # The terminal has told ssihv, too: it tidies up.
            process.wait()
            raise
    return process.returncode, json.loads(report.read_text()) if report.exists() else None


def reduced(hosts):
    """Emulated hosts move some hundred pages a second: less of every check, the sweep of a part
    only. The litmus tests divide their time among all pairs of hosts."""
    return f"proof.scale=0.2 proof.seconds={max(10, 5 * hosts * (hosts - 1))} proof.sweep_mib=16"


def good(status, report):
    return status == 0 and report and report["proof"] and report.get("failed") == []


def at_home(report):
    """Has every CPU of the guest moved from the first host, where it started, to its own?"""
    return all(node["vcpus_arrived"] == node["vcpus"] for node in report["nodes"][1:])


def times(size, count):
    """A size as ssihv takes it, "256M", so many times."""
    number, unit = re.fullmatch(r"(\d+)(\D*)", size).groups()
    return f"{int(number) * count}{unit}"


def table(report, alone):
    litmus = report.get("litmus", {}).values()
    rows = [
        ("hosts, CPUs, NUMA nodes",
         f"{report['hosts']}, {report['cpus']}, {report['numa_nodes']}"),
        ("memory", f"{report['memory'] >> 20} MiB"),
        ("swept from the other host", f"{100 * report['swept_fraction']:.1f} % of MemTotal, "
                                      f"{report['bad_pages']} bad pages"),
        ("contended totals", ", ".join(f"{name} {report[name]['total']}/{report[name]['expected']}"
                                       for name in ("xadd", "cmpxchg16b", "mutex"))),
        ("litmus tests", f"{sum(test['runs'] for test in litmus)} runs, "
                         f"{sum(test['forbidden'] for test in litmus)} forbidden outcomes"),
        ("clocks went back by", f"{report['clock_worst_ns']} ns at most"),
        ("guest's boot", f"{report['uptime_at_start']:.1f} s; on one host "
                         f"{alone['uptime_at_start']:.1f} s "
                         f"({report['uptime_at_start'] / alone['uptime_at_start']:.2f} times)"),
        ("the run in all", f"{report['total_seconds']:.0f} s"),
    ]
    for node in report["nodes"]:
        if node.get("fault_p50_us") is not None:
            rows.append((f"faults of {node['name']}",
                         f"{node['faults_remote']} remote (p50 {node['fault_p50_us']:.0f} us, p99 "
                         f"{node['fault_p99_us']:.0f} us), {node['faults_local']} local"))
    say("")
    for name, text in rows:
        say(f"{name:<26} {text}")


def size(text):
    if not re.fullmatch(r"\d+[KMGT]?", text):
        raise argparse.ArgumentTypeError(f"{text}: give a size such as 256M")
    return text


def arguments():
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__.splitlines()[0])
    parser.add_argument("ssihv", type=pathlib.Path)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--memory", type=size, default="256M",
                        help="of each host's node (default 256M)")
    parser.add_argument("--append", default="", help="further words, such as proof.scale=0.5")
    parser.add_argument("--full", action="store_true", help="the whole proof on emulated hosts")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds, of one run")
    return parser.parse_args()


def main():
    args = arguments()
    ssihv = args.ssihv.resolve()
    OUT.mkdir(parents=True, exist_ok=True)
    where = placement(ssihv)
    common = [*guest(), "--timeout", args.timeout]
    say(f"demo: one host with {args.hosts} CPUs, for comparison")
    status, alone = run("alone", [ssihv, "run", "-q", where, 1, "--vcpus-per-node", args.hosts,
                                  "--memory-per-node", times(args.memory, args.hosts), *common,
                                  "--append", "quiet proof.only=numa"])
    if not good(status, alone):
        say(f"demo: the guest does not run on one host; see {OUT}")
        return 1
    less = reduced(args.hosts) if where == "--lab" and not args.full else ""
    say(f"demo: the guest on {args.hosts} hosts" + (f" (reduced proof: {less})" if less else ""))
    status, report = run("cluster", [ssihv, "run", "-v", where, args.hosts,
                                     "--memory-per-node", args.memory, *common, "--append",
                                     f"quiet proof.expect_cpus={args.hosts} "
                                     f"proof.expect_nodes={args.hosts} {less} {args.append}"])
    if not good(status, report):
        say(f"demo: FAILED; reports, consoles and logs are in {OUT}")
        return 1
    if not at_home(report):
        say("demo: FAILED: not every CPU of the guest moved to its own host")
        return 1
    table(report, alone)
    say(f"demo: {args.hosts} hosts are one machine; report: {OUT / 'cluster.json'}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        print(f"demo: {error.cmd[0]} failed with status {error.returncode}", file=sys.stderr)
        sys.exit(1)
