# SPDX-License-Identifier: Apache-2.0
"""Programs and guests on the lab's Intel host, for tests/system and tests/long."""
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "tests")]
import bochs  # noqa: E402
import intel  # noqa: E402
from guest_runs import debian_kernel  # noqa: E402
from session import LabError  # noqa: E402

SECTION = "--- section ---"
# What costs an interpreted guest seconds without doing anything for us stays out (lab/intel.py).
QUICK = ("quiet mitigations=off nowatchdog random.trust_cpu=on rodata=off cryptomgr.notests "
         "initcall_blacklist=ftrace_check_for_weak_functions,load_system_certificate_list")


def skipped():
    """Says, as TAP, why there is no such host here. Return: is there none? Where there is one, this
    process cleans up when it is told to end: the emulator ends with it by itself, its files do not.
    """
    try:
        bochs.check_installed()
    except LabError as error:
        print(f"1..0 # SKIP {error}")
        return True
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    return False


class Host:
    """Runs several commands in one boot, since that is what takes long."""

    def __init__(self, ssihv, work):
        self.ssihv = pathlib.Path(ssihv).resolve()
        self.work = pathlib.Path(work)
        self.kernel = os.environ.get("SSIHV_TEST_KERNEL") or debian_kernel("guest")
        self.initrd = self.work / "proof.cpio"
        subprocess.run([ROOT / "tests" / "guest" / "make-initramfs.sh", self.initrd], check=True)

    def guest(self, nodes, append, limit):
        """A command: a guest with a CPU on each of @nodes nodes, which prints its report last."""
        run = shlex.join([str(self.ssihv), "run", "--local", str(nodes),
                          "--memory-per-node", "128M", "--kernel", str(self.kernel),
                          "--initrd", str(self.initrd), "--timeout", str(limit),
                          "--report", "/report.json", "--append", append])
        return f"{run}; cat /report.json"

    def run(self, commands, programs=(), options=(), seconds=1800, tell=lambda line: None):
        """Returns what each of the commands printed; @tell gets each line as it comes.

        @seconds: of this machine, which may be busy; commands have limits in the host's time."""
        script = self.work / "script"
        script.write_text("".join(f"echo '{SECTION}'\n{command}\n" for command in commands),
                          encoding="utf-8")
        output, begun = bytearray(), bytearray()

        def take(data):
            output.extend(data)
            begun.extend(data)
            while b"\n" in begun:
                line, _, rest = begun.partition(b"\n")
                begun[:] = rest
                tell(line.decode("utf-8", "replace").strip())

        status = intel.run(["sh", str(script)], seconds=seconds, options=options,
                           files=[script, self.ssihv, self.kernel, self.initrd, *programs],
                           output=take)
        text = output.decode("utf-8", "replace").replace("\r", "")
        if status is None:
            print("".join(f"# {line[:160]}\n" for line in text.splitlines()[-40:]), end="")
            raise AssertionError(f"the host was not done after {seconds} s")
        sections = text.split(SECTION + "\n")[1:]
        assert len(sections) == len(commands), text
        return sections


def cases(tests, boot):
    """Tells each of @tests as a case of TAP. They get what @boot returns; it is called once, and
    when it fails no case can pass: all have its reason.

    Return: the process's status."""
    errors = (AssertionError, KeyError, OSError, ValueError, LabError, subprocess.SubprocessError)
    found, failed, broken = (), 0, None
    print(f"1..{len(tests)}", flush=True)
    try:
        found = boot()
    except errors as error:
        broken = error
    for number, test in enumerate(tests, 1):
        try:
            if broken:
                raise broken
            test(*found)
            print(f"ok {number} - {test.__name__}", flush=True)
        except errors as error:
            failed += 1
            print(f"# {type(error).__name__}: {str(error)[-4000:]!r}")
            print(f"not ok {number} - {test.__name__}", flush=True)
    return 1 if failed else 0


def report_of(section):
    """The report at the end of what a guest's command printed."""
    print("".join(f"# {line[:160]}\n" for line in section.splitlines()
                  if line.startswith("proof: ")), end="")
    start = section.rfind("\n{\n")
    assert start >= 0, section[-2000:]
    report = json.loads(section[start:])
    assert report.get("result") == "poweroff" and report.get("failed") == [], section[-2000:]
    return report
