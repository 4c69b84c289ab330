# SPDX-License-Identifier: Apache-2.0
"""One emulated PC with an Intel CPU: its disk, its configuration, its life as a process.

Bochs emulates VMX with EPT, so a stock kernel's kvm_intel drives it as it would drive silicon. It
interprets each instruction: what is not executed is what makes it fast. So its disk holds a kernel
that is unpacked already, its segments one behind the other as they lie in memory, and a boot
sector that enters it directly (bochs_boot.S).

Time is instructions: a guest's second lasts `INSTRUCTIONS_PER_SECOND` of them, however long that
takes here, and an idle CPU's time passes at once. A busy machine therefore changes no proportion.

Output leaves by serial lines that Bochs writes to pipes. No socket, no port, and nothing that is
left behind: everything else is in a directory that is removed.
"""
import contextlib
import lzma
import os
import pathlib
import pty
import selectors
import shutil
import struct
import subprocess
import time

import emulator
from cache import run
from session import LabError

HERE = pathlib.Path(__file__).resolve().parent
BOCHS = "bochs-bin"
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VGA_BIOS = "/usr/share/bochs/VGABIOS-lgpl-latest"
SECTOR = 512
CYLINDER = SECTOR * 63 * 16
INSTRUCTIONS_PER_SECOND = 200_000_000

# The same numbers are in bochs_boot.S.
CHUNK = 0x8000
PARTS, PARTS_MAX = 486, 3
ZERO_PAGE, KERNEL = 0x90000, 0x1000000

INITRD = 0x8000000
COMMAND_LINE = ZERO_PAGE + 0x1000


def check_installed():
    if not shutil.which(BOCHS) or not all(map(os.path.exists, (BIOS, VGA_BIOS))):
        raise LabError("the Intel host needs the Debian packages bochs, bochs-term, bochsbios, "
                       "vgabios")


def vmlinux(image):
    """The ELF file inside a bzImage (Documentation/x86/boot.rst)."""
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * SECTOR + offset
    try:
        elf = lzma.LZMADecompressor().decompress(image[start:start + length])
    except lzma.LZMAError as error:
        raise LabError(f"the kernel is not packed by xz: {error}") from None
    if elf[:4] != b"\x7fELF":
        raise LabError("the kernel holds no ELF file")
    return elf


def segments(elf):
    """Memory from KERNEL on, as the program headers want it."""
    entry, headers = struct.unpack_from("<QQ", elf, 24)
    size, count = struct.unpack_from("<HH", elf, 54)
    if entry != KERNEL:
        raise LabError(f"the kernel's entry is {entry:#x}, not {KERNEL:#x}")
    memory = bytearray()
    for number in range(count):
        kind, _, offset, _, physical, length = struct.unpack_from("<IIQQQQ", elf,
                                                                  headers + number * size)
        if kind == 1:
            start = physical - KERNEL
            memory.extend(bytes(max(0, start + length - len(memory))))
            memory[start:start + length] = elf[offset:offset + length]
    if KERNEL + len(memory) > INITRD:
        raise LabError("the kernel is too large")
    return memory


def zero_page(image, initrd, words):
    """What a boot loader hands over: the kernel's own header, filled in, then the command line."""
    page = bytearray(0x1000)
    end = 0x202 + image[0x201]
    page[0x1f1:end] = image[0x1f1:end]
    page[0x210] = 0xff  # a boot loader without a number
    struct.pack_into("<II", page, 0x218, INITRD, len(initrd))
    struct.pack_into("<I", page, 0x228, COMMAND_LINE)
    return page + words.encode("ascii") + b"\0"


def boot_sector(directory):
    run(["as", "--32", HERE / "bochs_boot.S", "-o", directory / "boot.o"])
    run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", directory / "boot.o",
         "-o", directory / "boot.bin"])
    return bytearray((directory / "boot.bin").read_bytes())


def write_disk(path, kernel, initrd, words):
    image = pathlib.Path(kernel).read_bytes()
    parts = ((ZERO_PAGE, zero_page(image, initrd, words)), (KERNEL, segments(vmlinux(image))),
             (INITRD, initrd))
    assert len(parts) <= PARTS_MAX
    sector = boot_sector(path.parent)
    with open(path, "wb") as disk:
        disk.seek(SECTOR)
        for number, (address, data) in enumerate(parts):
            chunks = -(-len(data) // CHUNK)
            struct.pack_into("<IH", sector, PARTS + 6 * number, address, chunks)
            disk.write(data)
            disk.seek(chunks * CHUNK - len(data), os.SEEK_CUR)
        disk.truncate(-(-disk.tell() // CYLINDER) * CYLINDER)
        disk.seek(0)
        disk.write(sector)


def configuration(directory, model, cpus, megabytes, lines):
    """@lines: file descriptors that the second and further serial lines write to."""
    disk = directory / "disk"
    serial = "".join(f"com{number}: enabled=1, mode=file, dev=/dev/fd/{line}\n"
                     for number, line in enumerate(lines, 2))
    return f"""config_interface: textconfig
display_library: term
romimage: file={BIOS}
vgaromimage: file={VGA_BIOS}
megs: {megabytes}
boot: disk
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={disk}, mode=flat, cylinders={disk.stat().st_size // CYLINDER}, heads=16, spt=63
cpu: model={model}, count={cpus}, ips={INSTRUCTIONS_PER_SECOND}, reset_on_triple_fault=0
clock: sync=none, time0=1700000000
com1: enabled=1, mode=file, dev={directory / 'console'}
{serial}sound: driver=dummy
log: {directory / 'log'}
info: action=ignore
error: action=ignore
panic: action=fatal
"""


def start(directory, terminal, lines):
    """Bochs in a session of its own: its display is `terminal`, which nobody looks at."""
    parent = os.getpid()

    def prepare_child():
        emulator.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)

    # Debian's Bochs has its debugger built in, which waits for a command.
    (directory / "commands").write_text("continue\n", encoding="ascii")
    return subprocess.Popen([BOCHS, "-q", "-f", directory / "rc", "-rc", directory / "commands"],
                            stdin=terminal, stdout=terminal, stderr=terminal, pass_fds=lines,
                            env={**os.environ, "TERM": "vt100"}, start_new_session=True,
                            preexec_fn=prepare_child)


def drain(sources, deadline):
    """Gives what comes from each descriptor to its function, until all have ended."""
    with selectors.DefaultSelector() as selector:
        for source, take in sources.items():
            selector.register(source, selectors.EVENT_READ, take)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(left):
                data = b""
                with contextlib.suppress(OSError):  # so a terminal tells its end
                    data = os.read(key.fd, 65536)
                if data:
                    key.data(data)
                else:
                    selector.unregister(key.fd)
    return True


def boot(directory, kernel, initrd, words, takers, model, cpus=2, megabytes=768, seconds=600):
    """Boots a PC and waits until it has powered off.

    @directory: an empty one, for its disk, `console` and Bochs's own `log`
    @takers: a function for each serial line from the second on; it gets the bytes written there
    Returns whether it ended within the time. Nothing of it runs any more in either case.
    """
    check_installed()
    directory = pathlib.Path(directory)
    write_disk(directory / "disk", kernel, initrd, words)
    with contextlib.ExitStack() as stack:
        def keep(ends):
            return [stack.enter_context(os.fdopen(end, "wb", buffering=0)) for end in ends]

        display, terminal = keep(pty.openpty())
        pipes = [keep(os.pipe()) for _ in takers]
        lines = [write.fileno() for _, write in pipes]
        (directory / "rc").write_text(
            configuration(directory, model, cpus, megabytes, lines), encoding="ascii")
        process = start(directory, terminal.fileno(), lines)
        try:
            for end in (terminal, *(write for _, write in pipes)):
                end.close()
            sources = {read.fileno(): take for (read, _), take in zip(pipes, takers)}
            return drain({display.fileno(): lambda _: None, **sources},
                         time.monotonic() + seconds)
        finally:
            process.kill()
            process.wait()
