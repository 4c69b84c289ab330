#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the lab on real emulated hosts. Prints TAP; takes about a minute on two cores.

Usage: test_lab.py [PROGRAM...]: tests of KVM that are to pass on an emulated host.

Each test is one promise of lab/README.md. Those of the first group share a lab of three hosts; the
others, which end a lab in one way or another, have one of their own. What a lab "leaves behind"
is looked for among all processes of the machine: each has the session's path on its command line.
What is to happen is waited for until it has happened, however busy the machine is. Whoever runs
this limits it (SIGTERM), and is told then what did not happen.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = [sys.executable, str(ROOT / "lab" / "lab.py")]
HERE = ROOT / "tests" / "lab"
VCPU_TESTS = sys.argv[1:]
# QEMU emulates no scaling of the TSC.
NOT_EMULATED = {"a_vcpu_starts_with_a_tsc_that_is_scaled"}
NESTED_CPU = "host,-kvm-asyncpf,-kvm-asyncpf-int,-kvm-steal-time,-kvm-pv-eoi"


class Lab:
    """Is down at the end, however that comes."""

    def __init__(self, work, name):
        self.dir = work / name
        self.work = work

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.verb("down", stderr=subprocess.DEVNULL)

    def verb(self, verb, *words, **options):
        return subprocess.run([*LAB, verb, "--dir", self.dir, *words], timeout=300, **options)

    def up_command(self, hosts, *options):
        return [*LAB, "up", str(hosts), "--dir", self.dir, "--share", self.work, *options]

    def up(self, hosts, *options):
        subprocess.run(self.up_command(hosts, *options), check=True, stderr=subprocess.DEVNULL,
                       timeout=600)
        return self

    def command(self, host, *words):
        return [*LAB, "exec", "--dir", self.dir, str(host), "--", *map(str, words)]

    def run(self, host, *words, data=b""):
        return subprocess.run(self.command(host, *words), input=data, capture_output=True,
                              timeout=120)

    def output(self, host, *words):
        result = self.run(host, *words)
        assert result.returncode == 0, result
        return result.stdout.decode().strip()

    def start(self, host, *words):
        return subprocess.Popen(self.command(host, *words), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, bufsize=0)

    def pid(self, name):
        return int((self.dir / name).read_text(encoding="ascii"))

    def processes(self):
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(self.dir) in words and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found

    def nothing_left(self):
        wait_until(lambda: not self.processes(), lambda: f"the end of {self.processes()}")


def wait_until(condition, told):
    """@told: what is waited for, for whoever ends the wait."""
    try:
        while not condition():
            time.sleep(0.05)
    except SystemExit:
        print(f"# waited for {told()}")
        raise


def build(work):
    for program in ("kvm_cx16", "netlat", "tsc"):
        subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                        HERE / f"{program}.c", "-o", work / program], check=True)
    root = work / "guest"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    shutil.copy(HERE / "guest_init.sh", root / "init")
    (root / "init").chmod(0o755)
    with open(work / "guest.cpio", "wb") as archive:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, check=True,
                       input=b"bin\nbin/busybox\ninit\n", stdout=archive)


# With the shared lab of three hosts.

def status_names_all_hosts(lab):
    result = lab.verb("status", capture_output=True, text=True)
    assert result.returncode == 0, result
    for host in range(3):
        assert f"host{host} 10.77.0.{host + 1} process" in result.stdout, result


def streams_are_separate_and_the_status_comes_through(lab):
    result = lab.run(0, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.stdout, result.stderr, result.returncode) == (b"out\n", b"err\n", 7), result
    assert lab.run(1, "sh", "-c", "kill -9 $$").returncode == 137
    assert lab.run(1, "no-such-command").returncode == 127


def arguments_pass_unchanged(lab):
    words = ["", "a b", "--", "-x", "\t'\"$\n"]
    result = lab.run(0, "printf", "%s|", *words)
    assert result.stdout.decode() == "".join(f"{word}|" for word in words), result


def a_megabyte_of_bytes_comes_back_unchanged(lab):
    data = os.urandom(1 << 20)
    assert lab.run(1, "cat", data=data).stdout == data


def end_of_input_reaches_the_command(lab):
    process = lab.start(0, "sh", "-c", "read line; echo $line; cat; echo end")
    process.stdin.write(b"first\n")
    assert process.stdout.read(6) == b"first\n"
    process.stdin.close()
    assert process.stdout.read() == b"end\n" and process.wait() == 0


def commands_run_side_by_side(lab):
    processes = [lab.start(0, "sh", "-c", f"read line; echo {i}") for i in range(6)]
    for i in reversed(range(6)):
        processes[i].stdin.write(b"\n")
        assert processes[i].stdout.read() == f"{i}\n".encode()
    assert [process.wait() for process in processes] == [0] * 6


def a_killed_exec_takes_its_command_along(lab):
    process = lab.start(0, "sh", "-c", "echo; sleep 98765")
    process.stdout.read(1)
    process.kill()
    process.wait()
    wait_until(lambda: lab.run(0, "sh", "-c", "ps ax | grep 'sleep 9876[5]'").returncode == 1,
               lambda: "the command's end")


def a_signal_goes_to_the_command(lab):
    process = lab.start(0, "sh", "-c", "trap 'echo told; exit 3' TERM; echo; sleep 99 & wait")
    process.stdout.read(1)
    process.terminate()
    assert process.stdout.read() == b"told\n" and process.wait() == 3


def half_a_frame_of_a_dead_client_harms_nobody(lab):
    # The head of a frame that promises 8192 bytes, of which some come.
    debris = bytes.fromhex("4c414248" "05" "00" "0020" "0100000000000000") + b"x" * 100
    for slot in range(8):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.fspath(lab.dir / f"host1-slot{slot}.sock"))
            connection.sendall(debris)
    for _ in range(3):
        assert lab.run(1, "cat", data=b"whole").stdout == b"whole"


def three_hosts_form_a_full_mesh(lab):
    for host in range(3):
        for peer in range(3):
            lab.output(host, "/run/lab/busybox", "ping", "-c", "1", f"host{peer}")


def kvm_is_genuine_on_every_host(lab):
    for host in range(3):
        for _ in range(5):
            assert lab.output(host, lab.work / "kvm_cx16") == "cmpxchg16b works"
        assert lab.output(host, "uname", "-r").endswith("-amd64")


def tests_of_vcpus_pass_on_a_genuine_kvm(lab):
    for program in VCPU_TESTS:
        result = lab.run(0, shutil.copy(program, lab.work))
        print("".join(f"# {line}\n" for line in result.stderr.decode().splitlines()[-20:]), end="")
        told = result.stdout.decode()
        skipped = set(re.findall(r"SKIPPED *\] (\w+)$", told, re.M))
        assert result.returncode == 0 and skipped <= NOT_EMULATED, told


def hosts_reach_each_other(lab):
    server = lab.start(1, lab.work / "netlat", "serve", "5000")
    address = lab.output(0, "getent", "hosts", "host1").split()[0]
    assert address == "10.77.0.2"
    wait_until(lambda: ":5000" in lab.output(1, "ss", "-ltn"), lambda: "a server on port 5000")
    print("# 64 B -> 4 KiB over TCP:", lab.output(0, lab.work / "netlat", "ask", address, "5000",
                                                  "1000"))
    assert server.wait() == 0


def a_share_is_never_stale_and_the_root_is_read_only(lab):
    shared = lab.work / "note"
    for text in ("one", "two, longer"):
        shared.unlink(missing_ok=True)
        shared.write_text(text, encoding="ascii")
        assert lab.output(0, "cat", shared) == text
    lab.output(0, "sh", "-c", f"echo report > {shared}")
    assert shared.read_text(encoding="ascii") == "report\n"
    assert lab.run(0, "touch", "/usr/lab-was-here").returncode != 0


def a_stock_guest_boots_under_it(lab):
    kernel = subprocess.run([*LAB, "kernel", "guest"], check=True, capture_output=True,
                            text=True).stdout.strip()
    # A host has a /tmp of its own, where the source tree may be: what is in a share is seen.
    kernel = shutil.copy(kernel, lab.work / "guest-kernel")
    begun = time.monotonic()
    text = lab.output(0, "qemu-system-x86_64", "-accel", "kvm,kernel-irqchip=off",
                      "-cpu", NESTED_CPU, "-m", "256", "-nodefaults", "-display", "none",
                      "-serial", "stdio", "-no-reboot", "-kernel", kernel,
                      "-initrd", lab.work / "guest.cpio",
                      "-append", "console=ttyS0 quiet panic=-1")
    assert "guest is up after" in text, text
    text = next(line.strip() for line in text.splitlines() if "guest is up" in line)
    print(f"# nested {text}; with QEMU's start and end {time.monotonic() - begun:.1f} s")


def a_lost_host_leaves_the_others_running(lab):
    os.kill(lab.pid("host1.pid"), signal.SIGKILL)
    wait_until(lambda: not (lab.dir / "host1.pid").exists(), lambda: "host1 to be told as lost")
    assert lab.verb("status", stdout=subprocess.DEVNULL).returncode == 1
    assert lab.run(1, "true").returncode == 255
    for host, peer in ((0, 2), (2, 0)):
        lab.output(host, "/run/lab/busybox", "ping", "-c", "1", f"host{peer}")


def down_leaves_nothing(lab):
    assert lab.verb("down").returncode == 0
    assert not lab.processes()
    left = {path.name for path in lab.dir.iterdir() if not path.name.endswith(".log")}
    assert not left, left
    assert lab.verb("status", stdout=subprocess.DEVNULL).returncode == 3


# With a lab of their own.

def a_killed_owner_takes_the_lab_along(lab):
    owner = subprocess.Popen(["sleep", "600"])
    lab.up(1, "--owner-pid", str(owner.pid))
    assert lab.processes()
    owner.kill()
    owner.wait()
    lab.nothing_left()


def a_killed_supervisor_takes_the_hosts_along(lab):
    lab.up(1)
    os.kill(lab.pid("lock"), signal.SIGKILL)
    lab.nothing_left()


def an_interrupted_or_killed_up_leaves_nothing(lab):
    for number in (signal.SIGINT, signal.SIGKILL):
        # Whoever starts the tests in the background has them ignore Ctrl-C.
        process = subprocess.Popen(lab.up_command(2), stderr=subprocess.PIPE,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        process.stderr.readline()
        process.send_signal(number)
        process.wait()
        if number == signal.SIGINT:
            assert not lab.processes()
        lab.nothing_left()


def span(first, second):
    """What passed between two readings, each [earliest, latest]: it is in between of what is
    returned, however late the readings were taken."""
    return second[0] - first[1], second[1] - first[0]


def slow_motion_stretches_a_hosts_second(lab):
    before = set(os.listdir("/dev/shm"))
    lab.up(1, "--slow", "4")

    def read():
        """Of this machine, the host's TSC by its kernel, and its real-time clock, a device of the
        emulator's, each as what it was before and after the others were read."""
        begun = time.monotonic()
        uptime, rtc, later = lab.output(0, "sh", "-c",
                                        "cat /proc/uptime /sys/class/rtc/rtc0/since_epoch"
                                        " /proc/uptime").splitlines()
        uptime, later = (float(line.split()[0]) for line in (uptime, later))
        return (begun, time.monotonic()), (uptime, later + 0.01), (int(rtc), int(rtc) + 1)

    first = read()
    for _ in range(1000):
        here, kernel, device = map(span, first, read())
        # So long that no other factor explains it.
        if here[1] < here[0] * 1.2 and kernel[0] > 2:
            break
    print(f"# {here} s here, {kernel} by the host's kernel, {device} by its real-time clock")
    assert here[0] < kernel[1] * 4.04 and kernel[0] * 3.96 < here[1], (here, kernel)
    assert device[0] < kernel[1] * 1.01 and kernel[0] * 0.99 < device[1], (device, kernel)
    lab.verb("down")
    left = {name for name in set(os.listdir("/dev/shm")) - before if "faketime" in name}
    assert not left, left


def hosts_may_have_unlike_clocks_and_cpus(lab):
    lab.up(2, "--skew", "100000", "--unlike-cpus")
    models = [lab.output(host, "grep", "-m1", "model name", "/proc/cpuinfo") for host in range(2)]
    assert "Milan" not in models[0] and "Milan" in models[1], models

    def tsc(host):
        return int(lab.output(host, lab.work / "tsc"))

    # Host 1's reading comes between two of host 0's. Both TSCs tick alike but for the skew, so
    # that host 1's ticks less a tenth are between what host 0 counted within and around.
    def read():
        begun, other = tsc(0), tsc(1)
        return (begun, tsc(0)), (other, other)

    first = read()
    for _ in range(1000):
        here, other = map(span, first, read())
        if here[1] < here[0] * 1.08: # then neither the same rate nor twice the skew explains it
            break
    assert here[0] * 1.095 < other[0] < here[1] * 1.105, (here, other)
    assert here[1] < other[0], (here, other)


SHARED = [status_names_all_hosts, streams_are_separate_and_the_status_comes_through,
          arguments_pass_unchanged, a_megabyte_of_bytes_comes_back_unchanged,
          end_of_input_reaches_the_command, commands_run_side_by_side,
          a_killed_exec_takes_its_command_along, a_signal_goes_to_the_command,
          half_a_frame_of_a_dead_client_harms_nobody, three_hosts_form_a_full_mesh,
          kvm_is_genuine_on_every_host,
          tests_of_vcpus_pass_on_a_genuine_kvm,
          hosts_reach_each_other, a_share_is_never_stale_and_the_root_is_read_only,
          a_stock_guest_boots_under_it, a_lost_host_leaves_the_others_running,
          down_leaves_nothing]
OWN = [a_killed_owner_takes_the_lab_along, a_killed_supervisor_takes_the_hosts_along,
       an_interrupted_or_killed_up_leaves_nothing, slow_motion_stretches_a_hosts_second,
       hosts_may_have_unlike_clocks_and_cpus]


def told_to_end(number, _):
    sys.exit(128 + number)


def tell(number, test, lab):
    """A case of TAP. Return: did it fail?"""
    title = f"{number} - {test.__name__.replace('_', ' ')}"
    try:
        test(lab)
        print("ok", title, flush=True)
        return False
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"not ok {title}\n# {type(error).__name__} {error}", flush=True)
        return True
    except SystemExit:
        print(f"not ok {title}\n# told to end", flush=True)
        raise


def main():
    signal.signal(signal.SIGTERM, told_to_end)
    failed = 0
    print(f"1..{len(SHARED) + len(OWN)}")
    with tempfile.TemporaryDirectory(prefix="lab-test.") as name:
        work = pathlib.Path(name)
        build(work)
        with Lab(work, "shared") as shared:
            shared.up(3, "--owner-pid", str(os.getpid()))
            for number, test in enumerate(SHARED, 1):
                failed += tell(number, test, shared)
        for number, test in enumerate(OWN, len(SHARED) + 1):
            with Lab(work, test.__name__) as lab:
                failed += tell(number, test, lab)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
