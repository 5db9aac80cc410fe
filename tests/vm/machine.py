"""A machine with persistent memory, played by QEMU.

It is emulated in software alone, so that it runs wherever QEMU does. What is on its media are files
of the host, which outlive it: killing QEMU cuts the power.
"""

import os
import pathlib
import queue
import signal
import subprocess
import tempfile
import threading
import time

import system

# Within it the machine is up, on a host with much else to do.
BOOT_SECONDS = 120
# The space of labels is behind what the machine sees of a module of persistent memory.
LABEL_BYTES = 2 << 20
GIB = 1 << 30
MIB = 1 << 20
RAM_BYTES = 4 * GIB
LOG_BYTES = 512 * MIB
LOG_STRIDE = 32 * MIB
# What the media and the memory of one machine come to. Most of their nominal size is never touched.
STATE_BYTES = 8 * GIB


def available_bytes():
    """Of memory, by the kernel's own estimate."""
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


class NamelessFile:
    """A file without a name, so that nothing is left of it however its process ends.

    It is in memory where there is room, since all of it is temporary.
    """

    def __init__(self, name, size_bytes=0):
        if available_bytes() > STATE_BYTES:
            self._file = open(os.memfd_create(name), "w+b", buffering=0)
        else:
            self._file = tempfile.TemporaryFile(buffering=0)
        self._file.truncate(size_bytes)

    @property
    def path(self):
        """As long as this process lives, for whoever may see its descriptors."""
        return f"/proc/{os.getpid()}/fd/{self._file.fileno()}"

    def write(self, content):
        left = memoryview(content)
        while left:
            left = left[self._file.write(left):]

    def read(self, offset, size_bytes):
        return os.pread(self._file.fileno(), size_bytes, offset)

    def close(self):
        self._file.close()


class Died(Exception):
    """The machine ended, or came to a standstill, without having been told to."""


class Machine:
    """One machine with all of its media; it can be started again after each end.

    Media: two NVDIMMs, two regions of `memmap=`, virtio-pmem, a disk, and memory for the logs of
    tests that the host keeps (ivshmem), which nothing that happens to the machine takes away. Its
    memory is a file, too: to what lies in regions of `memmap=`, its end is a reset at any
    instruction.
    """

    def __init__(self, kernel, root):
        """root: the bytes of the root in memory."""
        self._kernel = kernel
        self._process = None
        self._lines = None
        self.boots = 0
        self._files = {"root": NamelessFile("root"), "console": NamelessFile("console"),
                       "errors": NamelessFile("errors")}
        self._files["root"].write(root)
        sizes = {"ram": RAM_BYTES, "nvdimm0": 4 * GIB + LABEL_BYTES,
                 "nvdimm1": 4 * GIB + LABEL_BYTES, "virtio_pmem": GIB, "disk": GIB,
                 "logs": LOG_BYTES}
        for name, size in sizes.items():
            self._files[name] = NamelessFile(name, size)

    def _file(self, name):
        return self._files[name].path

    def _memory(self, name, size_bytes, align):
        return ("-object", f"memory-backend-file,id={name},share=on,mem-path={self._file(name)},"
                f"size={size_bytes},align={align}")

    def _command(self):
        # Between the two regions is ordinary memory: neighbours would be one.
        arguments = ("console=ttyS0 quiet panic=-1 nokaslr mitigations=off no_timer_check "
                     "memmap=1G!4G memmap=1G!6G")
        board = ("q35,nvdimm=on,nvdimm-persistence=mem-ctrl,sata=off,smbus=off,vmport=off,"
                 f"max-ram-below-4g={GIB},memory-backend=ram")
        command = [
            # However this process ends, the machine ends with it.
            system.find("setpriv"), "--pdeathsig", "KILL", "--",
            system.find("qemu-system-x86_64"), "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", "2", "-M", board, "-m", "4G,slots=8,maxmem=64G",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-serial", f"file:{self._file('console')}",
            "-device", "virtio-serial-pci", "-chardev", "stdio,id=port,signal=off",
            "-device", "virtserialport,chardev=port,name=port",
            "-kernel", self._kernel.image, "-initrd", self._file("root"), "-append", arguments,
            "-drive", f"if=none,id=disk,file={self._file('disk')},format=raw,cache=writeback",
            "-device", "virtio-blk-pci,drive=disk",
        ]
        command += self._memory("ram", RAM_BYTES, "4K")
        for number in (0, 1):
            command += self._memory(f"nvdimm{number}", 4 * GIB + LABEL_BYTES, "1G")
            device = f"nvdimm,id=module{number},memdev=nvdimm{number},label-size={LABEL_BYTES}"
            command += ["-device", device]
        command += self._memory("virtio_pmem", GIB, "2M")
        command += ["-device", "virtio-pmem-pci,memdev=virtio_pmem"]
        command += self._memory("logs", LOG_BYTES, "4K")
        command += ["-device", "ivshmem-plain,memdev=logs"]
        return command

    def start(self):
        """Boots; tries twice, since one boot in a hundred ends in the kernel before our code."""
        for attempt in (1, 2):
            self._launch()
            try:
                return self._await_ready()
            except Died:
                self.cut()
                if attempt == 2:
                    raise

    def _launch(self):
        self._lines = queue.Queue()
        log = open(self._file("errors"), "ab")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command(), stdin=pipe, stdout=pipe, stderr=log,
                                         start_new_session=True)
        log.close()
        reader = (self._process.stdout, self._lines)
        threading.Thread(target=_read_lines, args=reader, daemon=True).start()

    def _await_ready(self):
        line = self._await(lambda text: text.startswith("ready "), BOOT_SECONDS)[-1]
        self.boots += 1
        return line.removeprefix("ready ")

    def _await(self, ends, seconds):
        """The lines up to the first that `ends` is true of."""
        lines = []
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise self._death(f"nothing came for {seconds} s", lines) from None
            if line is None:
                raise self._death("the machine ended", lines)
            lines.append(line)
            if ends(line):
                return lines
            if line.startswith("ready "):
                raise self._death("the machine started anew", lines)

    def _death(self, what, lines):
        """With the last words of the machine and of its kernel."""
        words = lines[-5:]
        for name in ("errors", "console"):
            text = self._files[name].read(0, 64 * MIB).decode(errors="replace")
            words += text.splitlines()[-20:]
        return Died("\n  ".join([f"{what} after:", *words]))

    def _send(self, command):
        assert "\n" not in command, command
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def run(self, command, seconds=120):
        """Runs a line of shell in the machine. Returns its status and its lines of output."""
        self._send(command)
        *lines, last = self._await(lambda text: text.startswith("ended "), seconds)
        return int(last.removeprefix("ended ")), lines

    def must(self, command, seconds=120):
        status, lines = self.run(command, seconds)
        if status != 0:
            raise Died(f"`{command}` ended with {status}: " + "\n".join(lines[:15]))
        return lines

    def log_word(self, number, offset=0):
        """A word of a log; the first is a count that its writer raises."""
        return int.from_bytes(self._files["logs"].read(number * LOG_STRIDE + offset, 8), "little")

    def cut(self):
        """Cuts the power, at whatever instruction the machine is. Its memory stays as it is."""
        if self._process is None:
            return
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process = None

    def close(self):
        """Ends it; its media are gone."""
        self.cut()
        for file in self._files.values():
            file.close()


def _read_lines(stream, lines):
    for line in stream:
        lines.put(line.decode(errors="replace").rstrip("\r\n"))
    lines.put(None)
