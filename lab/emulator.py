# SPDX-License-Identifier: Apache-2.0
"""The command line of one emulated host, and its life as a process.

QEMU's TCG emulates AMD-V: inside, a stock kernel's kvm-amd drives it as it would drive silicon.
Why the options are what they are is in README.md, "Choices".

All of a session's sockets are named relative to its directory, which is QEMU's working directory:
a Unix socket's path may have 107 bytes, a session's directory more.
"""
import ctypes
import os
import pathlib
import signal
import subprocess

from session import LabError

QEMU = "qemu-system-x86_64"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
PR_SET_PDEATHSIG = 1


def mac(host, peer):
    """init.sh reads the two ends of a link from its MAC address."""
    return f"52:54:00:77:{host:02x}:{peer:02x}"


def share_options(tag, path, readonly):
    flag = "on" if readonly else "off"
    return ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,"
                       f"readonly={flag},multidevs=remap"]


def link_options(session, host, hosts):
    """One link for every other host. The lower number listens, the higher one connects."""
    options = []
    for peer in range(hosts):
        if peer == host:
            continue
        socket = session.link_socket(min(host, peer), max(host, peer))
        server = "on" if host < peer else "off"
        options += ["-netdev", f"stream,id=link{peer},server={server},"
                               f"addr.type=unix,addr.path={socket}",
                    "-device", f"virtio-net-pci,netdev=link{peer},mac={mac(host, peer)},"
                               "host_mtu=65000,ioeventfd=off,romfile="]
    return options


def slot_options(session, host, slots):
    options = ["-device", "virtio-serial-pci"]
    for slot in range(slots):
        options += ["-chardev", f"socket,id=slot{slot},path={session.slot_socket(host, slot)},"
                                "server=on,wait=off",
                    "-device", f"virtserialport,chardev=slot{slot},name=slot{slot}"]
    return options


def kernel_arguments(settings, host):
    # panic=-1 with -no-reboot: a host that panics is a QEMU that ends. Mitigations guard silicon
    # that is not there, and cost an emulated CPU a fifth of its network latency.
    words = ["console=ttyS0", "quiet", "panic=-1", "no_timer_check", "mitigations=off",
             f"lab.host={host}", f"lab.hosts={settings['hosts']}",
             f"lab.slots={settings['slots']}", f"lab.shares={':'.join(settings['shares'])}"]
    # Every emulated CPU shows the machine's TSC. A busy machine makes the kernel's own measurement
    # of it wrong by factors, and differently on each host, so it is told; in slow motion a second
    # has that many times more ticks. Reliable: the watchdog, which compares it with timers that are
    # late under emulation, would reject it, and KVM does not keep a guest's TSC on an unstable one.
    words += [f"tsc_early_khz={round(settings['tsc_khz'] * settings['slow'])}", "tsc=reliable"]
    return " ".join(words)


def cpu_model(settings, host):
    newer = settings["unlike_cpus"] and host % 2
    return ("EPYC-Milan" if newer else "EPYC") + ",+svm,+npt"


def command(session, settings, host):
    line = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-name", f"lab-host{host}",
            "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", cpu_model(settings, host),
            "-smp", str(settings["smp"]), "-m", settings["memory"],
            "-kernel", settings["kernel"], "-initrd", settings["initramfs"],
            "-append", kernel_arguments(settings, host),
            "-serial", f"file:{session.console_log(host)}"]
    line += share_options("root", "/", readonly=True)
    for number, path in enumerate(settings["shares"]):
        line += share_options(f"share{number}", path, readonly=False)
    line += link_options(session, host, settings["hosts"])
    line += slot_options(session, host, settings["slots"])
    return line


def environment(settings, host):
    """What makes a host's clocks run at a rate of their own: slow motion, and a skew of its TSC
    and of all other clocks by the same share."""
    rate = 1 + host * settings["skew_ppm"] / 1e6
    preload, added = [], {}
    if settings["slow"] != 1 or rate != 1:
        if not os.path.exists(FAKETIME):
            raise LabError("slow motion and skew need the Debian package faketime")
        preload.append(FAKETIME)
        added["FAKETIME"] = f"+0 x{rate / settings['slow']:.12g}"
    if rate != 1:
        preload.append(settings["crystal"])
        added["LAB_TSC_HZ"] = f"{settings['tsc_khz'] * 1000 * rate:.15g}"
    return {**os.environ, **added, "LD_PRELOAD": " ".join(preload)} if preload else None


def die_with_parent():
    """Between fork and exec: the kernel ends this process when the supervisor's ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(session, settings, host):
    """Starts host `host`; its lower-numbered peers' sockets must exist."""
    parent = os.getpid()

    def prepare_child():
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)

    with open(session.qemu_log(host), "wb") as log:
        process = subprocess.Popen(command(session, settings, host), cwd=session.path,
                                   env=environment(settings, host), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, preexec_fn=prepare_child)
    session.pid_file(host).write_text(f"{process.pid}\n", encoding="ascii")
    return process


def forget_faketime(pid):
    """libfaketime leaves two objects of shared memory behind when its process is killed. They
    are needed only by children, which QEMU has none of: they go as soon as QEMU runs."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        pathlib.Path("/dev/shm", name).unlink(missing_ok=True)
