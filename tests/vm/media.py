"""The media of the machine: how each is set up, what is tried on it, what works on it until it ends."""

import machine

LOGS = "$(logs)"


class Medium:
    """A place for a pool.

    kind: "direct" or "image", what kind of morsel the writer works on; "" where nothing is written.
    """

    kind = ""
    survives_power_cut = True

    def __init__(self, name, place, number):
        self.name = name
        self.pool = f"{place}/pool"
        self._place = place
        self._number = number

    def set_up(self, guest):
        raise NotImplementedError

    def attach(self, guest):
        """After a boot: makes what was set up accessible again."""
        raise NotImplementedError

    def try_out(self, guest, results):
        raise NotImplementedError

    def make(self, guest):
        guest.must(self._workload("make"))

    def write(self, guest, seed):
        guest.must(f"{self._workload('write', seed)} </dev/null >/dev/null 2>&1 &")

    def check(self, guest, seed):
        """Returns what is wrong, and how many steps the writer has made in all."""
        status, lines = guest.run(self._workload("check", seed))
        steps = [int(line.split()[1]) for line in lines if line.startswith("steps ")]
        problem = "; ".join(line for line in lines if not line.startswith("steps "))
        if status != 0 and not problem:
            problem = f"the check ended with {status}"
        return problem, steps[0] if steps else 0

    def _workload(self, verb, seed=0):
        return f"workload {verb} {self.kind} {self.pool} {LOGS} {self._number} {seed}"

    def _expect(self, guest, results, name, command, *wanted, status=0):
        """A test: the command ends so, and says all that is wanted."""
        got, lines = guest.run(command)
        text = "\n".join(lines)
        missing = [words for words in wanted if words not in text]
        problem = ""
        if got != status or missing:
            problem = f"`{command}` ended with {got} and said: {text or 'nothing'}"
            if missing:
                problem += f" (without {missing})"
        results.test(self.name, name, problem)
        return lines

    def _count_faults(self, guest, results, size_mib, at_most, subtrees="huge"):
        lines = self._expect(guest, results, f"stores to {size_mib} MiB take at most {at_most} faults",
                             f"touched=$(workload touch {self.pool} {size_mib} {subtrees}) && echo $touched && "
                             f"[ ${{touched#faults }} -le {at_most} ]")
        counts = [int(line.split()[1]) for line in lines if line.startswith("faults ")]
        if counts:
            results.faults(self.name, counts[0], size_mib * machine.MIB)


class FileOnDax(Medium):
    """A carved pool in a file of a DAX file system on an NVDIMM or a region of memmap=."""

    kind = "direct"

    def __init__(self, name, number, file_system, label, module, survives_power_cut=True):
        super().__init__(name, f"/mnt/{label}", number)
        self.survives_power_cut = survives_power_cut
        self._file_system = file_system
        self._label = label
        self._module = module
        self._options = {"ext4": "dax", "xfs": "dax=always"}[file_system]

    def set_up(self, guest):
        device = f'"$(device_of $({self._namespace()}))"'
        if self._module == "memmap":
            guest.must('ndctl create-namespace -f -e namespace$(region_of memmap | tr -dc 0-9).0 -m fsdax '
                       '--align 2M --map=mem >/dev/null')
        else:
            guest.must(f"create_namespace {self._module} {self._label} 1G 2M fsdax")
        guest.must(f"make_{self._file_system}_dax {device} {self._label}")
        self.attach(guest)
        if self._file_system == "xfs":
            guest.must(f"xfs_io -c 'extsize 2m' {self._place}")

    def _namespace(self):
        if self._module == "memmap":
            return "echo namespace$(region_of memmap | tr -dc 0-9).0"
        return f"namespace_of {self._label}"

    def attach(self, guest):
        guest.must(f'mount_at {self._place} {self._file_system} {self._options} '
                   f'"$(device_of $({self._namespace()}))"')

    def try_out(self, guest, results):
        self._expect(guest, results, "a carved pool is made",
                     f"morselctl create {self.pool} --carved --size 320M")
        self._expect(guest, results, "info says what it is", f"morselctl info {self.pool}", "fsdax",
                     "cache line")
        self._count_faults(guest, results, 256, at_most=256)
        guest.must(f"rm {self.pool}")


class Disk(Medium):
    """A directory pool on ext4 on a disk."""

    kind = "image"

    def set_up(self, guest):
        guest.must("mkfs.ext4 -q -F /dev/vda")
        self.attach(guest)

    def attach(self, guest):
        guest.must(f"mount_at {self._place} ext4 rw /dev/vda")

    def try_out(self, guest, results):
        self._expect(guest, results, "a fine morsel is refused",
                     f"morselctl create {self.pool} && morselctl create {self.pool} m --fine",
                     "fine contract", status=21)
        self._expect(guest, results, "a carved pool is refused, and why",
                     f"morselctl create {self._place}/carved --carved --size 64M",
                     "not on persistent memory", status=21)
        guest.must(f"rm -r {self.pool}")


class VirtioPmem(Medium):
    """virtio-pmem: looks like persistent memory, and is flushed by the host only when asked."""

    def set_up(self, guest):
        guest.must("virtio=$(virtio_pmem_device) && mkfs.ext4 -q -F $virtio")
        self.attach(guest)

    def attach(self, guest):
        guest.must(f"mount_at {self._place} ext4 dax $(virtio_pmem_device)")

    def try_out(self, guest, results):
        self._expect(guest, results, "a carved pool is refused, and why",
                     f"morselctl create {self._place}/carved --carved --size 64M",
                     "not on persistent memory", status=21)
        self._expect(guest, results, "a directory pool takes snapshot morsels",
                     f"morselctl create {self.pool} && morselctl create {self.pool} m && "
                     f"morselctl check {self.pool}")


def all_media(kernel):
    return [
        FileOnDax(f"ext4 DAX, file ({kernel})", 0, "ext4", "ext4", "nmem0"),
        FileOnDax(f"XFS DAX, file ({kernel})", 1, "xfs", "xfs", "nmem0"),
        FileOnDax(f"memmap, ext4 DAX ({kernel})", 2, "ext4", "memmap", "memmap", survives_power_cut=False),
        Disk(f"disk, ext4 ({kernel})", "/mnt/disk", 3),
        VirtioPmem(f"virtio-pmem, ext4 ({kernel})", "/mnt/virtio", 4),
    ]
