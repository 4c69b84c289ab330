#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several emulated hosts with a genuine /dev/kvm on one machine. See README.md."""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import cache
import session as sessions
import slot
import supervisor
from session import LabError

HOSTS_MAX = 16
SLOTS_MAX = 30


def number(low, high):
    def parse(text):
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not in {low}..{high}")
        return value
    return parse


def memory(text):
    if not re.fullmatch(r"[1-9][0-9]*[MG]", text):
        raise argparse.ArgumentTypeError(f"{text} is no size such as 768M or 2G")
    return text


def slow_factor(text):
    value = float(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not in 1..1000")
    return value


def share(text):
    """Shares travel on a kernel command line and in QEMU options."""
    path = str(pathlib.Path(text).resolve())
    if not os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{path} is no directory")
    if not re.fullmatch(r"[A-Za-z0-9/._+-]+", path) or path == "/":
        raise argparse.ArgumentTypeError(f"{path}: a share's path may have letters, digits, /._+-")
    return path


def settings_of(args, store):
    return {"hosts": args.hosts, "memory": args.memory, "smp": args.smp, "slow": args.slow,
            "slots": args.slots, "shares": args.share, "kernel": str(store.kernel()),
            "initramfs": str(store.initramfs()), "cache": str(store.path),
            "tsc_khz": store.tsc_khz(), "skew_ppm": args.skew, "crystal": str(store.crystal()),
            "unlike_cpus": args.unlike_cpus}


def up(args):
    """Starts the supervisor, shows its progress, lets it go once all hosts are ready."""
    session = sessions.Session(args.dir)
    session.path.mkdir(parents=True, exist_ok=True)
    if session.supervisor() is not None:
        raise LabError(f"a lab already runs in {session.path}")
    session.clean()
    store = cache.Cache(args.cache)
    store.prepare()
    command = [sys.executable, supervisor.__file__, session.path,
               json.dumps(settings_of(args, store))]
    if args.owner_pid is not None:
        command.append(str(args.owner_pid))
    # A session of its own: the terminal's Ctrl-C is for this process, which then ends that one.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as child:
        try:
            if relay_until_ready(child.stdout):
                child.stdin.write("commit\n")
                child.stdin.flush()
                # It goes on alone: `with` would wait for its end.
                os._exit(0)
            return 1
        finally:
            # Before the lab is ready this ends it. Wait until nothing of it is left: after Ctrl-C
            # `with` would wait for a quarter of a second only.
            child.stdin.close()
            child.wait()


def relay_until_ready(lines):
    for line in lines:
        if line == "ready\n":
            return True
        print(f"lab: {line}", end="", file=sys.stderr, flush=True)
    return False


def execute(args):
    session = sessions.Session(args.dir)
    settings = session.settings()
    if session.supervisor() is None:
        raise LabError(f"no lab runs in {session.path}")
    if args.host >= settings["hosts"]:
        raise LabError(f"there is no host {args.host}: the lab has {settings['hosts']}")
    if not args.command:
        raise LabError("exec wants a command after --")
    for assignment in args.env:
        if "=" not in assignment:
            raise LabError(f"--env {assignment}: NAME=VALUE expected")
    return slot.execute(session, args.host, args.command, slots=settings["slots"], env=args.env,
                        cwd=args.cwd or os.getcwd(), patience=60 * settings["slow"], stdin=0,
                        forward=True)


def down(args):
    if not sessions.Session(args.dir).stop():
        print("lab: no lab ran", file=sys.stderr)
    return 0


def status(args):
    session = sessions.Session(args.dir)
    pid = session.supervisor()
    if pid is None:
        print("no lab runs")
        return 3
    settings = session.settings()
    running = session.pids()
    print(f"supervisor {pid}")
    for host in range(settings["hosts"]):
        state = f"process {running[host]}" if host in running else "gone"
        print(f"host{host} 10.77.0.{host + 1} {state}")
    return 0 if len(running) == settings["hosts"] else 1


def kernel(args):
    store = cache.Cache(args.cache)
    store.prepare()
    print(store.kernel(args.which))
    return 0


def parser():
    top = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)

    def verb(name, function, text, session=True):
        one = verbs.add_parser(name, help=text, description=text)
        one.set_defaults(function=function)
        if session:
            one.add_argument("--dir", required=True, help="the session's directory")
        else:
            one.add_argument("--cache", default=cache.DEFAULT, help="kernels and initramfs")
        return one

    one = verb("up", up, "start hosts and wait until all are ready")
    one.add_argument("hosts", type=number(1, HOSTS_MAX), help="how many")
    one.add_argument("--memory", type=memory, default="768M", help="of each host (default 768M)")
    one.add_argument("--smp", type=number(1, 16), default=1, help="CPUs of each host (default 1)")
    one.add_argument("--slow", type=slow_factor, default=1, metavar="F",
                     help="slow motion: a host's second lasts F seconds")
    one.add_argument("--skew", type=number(0, 100000), default=0, metavar="PPM",
                     help="host i's clocks run i times PPM parts per million fast")
    one.add_argument("--unlike-cpus", action="store_true",
                     help="every other host has a newer CPU model")
    one.add_argument("--share", type=share, action="append", default=[], metavar="PATH",
                     help="directory that hosts see as it is now and may write to; repeatable")
    one.add_argument("--owner-pid", type=number(1, 2**22), metavar="PID",
                     help="end the lab when this process ends")
    one.add_argument("--slots", type=number(1, SLOTS_MAX), default=8,
                     help="commands that a host can run at a time (default 8)")
    one.add_argument("--cache", default=cache.DEFAULT, help="kernels and initramfs")

    one = verb("exec", execute, "run a command on a host, with its three streams and its status")
    one.usage = "lab.py exec --dir DIR [--env NAME=VALUE] [--cwd PATH] HOST -- COMMAND [ARG...]"
    one.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    one.add_argument("--cwd", help="working directory (default: the present one)")
    one.add_argument("host", type=number(0, HOSTS_MAX - 1))

    verb("down", down, "end the lab and all its processes")
    verb("status", status, "say what runs; exit status 0 all hosts, 1 some are gone, 3 no lab")
    one = verb("kernel", kernel, "print the path of a cached kernel image", session=False)
    one.add_argument("which", choices=("host", "guest"))
    return top


def main():
    # SIGTERM and SIGHUP leave by the same way as Ctrl-C: through every `finally`.
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda signum, _frame: sys.exit(128 + signum))
    words = sys.argv[1:]
    command = []
    if words[:1] == ["exec"] and "--" in words:
        # argparse would also swallow a "--" of the command's own.
        at = words.index("--")
        words, command = words[:at], words[at + 1:]
    args = parser().parse_args(words)
    args.command = command
    try:
        return args.function(args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 255 if args.verb == "exec" else 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 255
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
