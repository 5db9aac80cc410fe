"""The media of the machine: how each is set up, what is tried on it, what works on it last."""

import time

import machine

LOGS = "$(logs)"


class Medium:
    """A place for a pool.

    kind: "fine" or "image", what kind of morsel the writer works on; "" where nothing is written.
    """

    kind = ""
    end = "power cut"  # what the end of the machine is to it

    def __init__(self, name, place, number):
        self.name = name
        self.pool = f"{place}/pool"
        self.place = place
        self.number = number
        self.steps_before = 0

    def set_up(self, guest):
        raise NotImplementedError

    def attach(self, guest):
        """After a boot: makes what was set up accessible again."""
        raise NotImplementedError

    def try_out(self, guest, results):
        raise NotImplementedError

    def try_out_errors(self, guest, results):
        """At the end: what the medium is afterwards nobody relies on."""

    def make(self, guest):
        guest.must(self._workload("make"))

    def write(self, guest, seed):
        """Starts a writer, which ends with the machine."""
        self.steps_before = self._steps(guest)
        guest.must(f"{self._workload('write', seed)} </dev/null >/dev/null 2>&1 &")

    def await_steps(self, guest, steps, deadline):
        """Until the writer has made so many. One that never does, its log tells about."""
        while self._steps(guest) - self.steps_before < steps and time.monotonic() < deadline:
            time.sleep(0.05)

    def _steps(self, guest):
        return guest.log_word(self.number)

    def check(self, guest, seed):
        """Returns what is wrong, and how many steps the writer has made in all."""
        status, lines = guest.run(self._workload("check", seed))
        steps = [int(line.split()[1]) for line in lines if line.startswith("steps ")]
        problem = "; ".join(line for line in lines if not line.startswith("steps "))
        if status != 0 and not problem:
            problem = f"the check ended with {status}"
        return problem, steps[0] if steps else 0

    def _workload(self, verb, seed=0):
        return f"workload {verb} {self.kind} {self.pool} {LOGS} {self.number} {seed}"

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
        lines = self._expect(
            guest, results, f"stores to {size_mib} MiB take {at_most} faults or less",
            f"touched=$(workload touch {self.pool} {size_mib} {subtrees}); "
            f'echo "$touched"; [ "${{touched#faults }}" -le {at_most} ]')
        counts = [int(line.split()[1]) for line in lines if line.startswith("faults ")]
        if counts:
            results.faults(self.name, counts[0], size_mib * machine.MIB)


class OnDax(Medium):
    """A pool on a DAX file system."""

    def __init__(self, name, number, file_system, space):
        super().__init__(name, f"/mnt/{number}", number)
        self.end = space.end
        self._file_system = file_system
        self._space = space
        self._options = {"ext4": "dax", "xfs": "dax=always"}[file_system]

    def set_up(self, guest):
        self._space.make(guest, "2M", "fsdax")
        guest.must(f"make_{self._file_system}_dax {self._space.device} {self._file_system}")
        self.attach(guest)
        if self._file_system == "xfs":
            guest.must(f"xfs_io -c 'extsize 2m' {self.place}")

    def attach(self, guest):
        guest.must(
            f"mount_at {self.place} {self._file_system} {self._options} {self._space.device}"
        )


class FileOnDax(OnDax):
    """A carved pool in a file."""

    kind = "fine"

    def try_out(self, guest, results):
        self._expect(guest, results, "a carved pool is made",
                     f"morselctl create {self.pool} --carved --size 320M")
        self._expect(guest, results, "info says what it is", f"morselctl info {self.pool}", "fsdax",
                     "cache line", self._space.at_power_off)
        self._count_faults(guest, results, 256, at_most=256)
        guest.must(f"rm {self.pool}")


class DirectoryOnDax(OnDax):
    """A directory pool, with a file for each fine morsel."""

    kind = "files"

    def try_out(self, guest, results):
        def expect(*arguments, **options):
            self._expect(guest, results, *arguments, **options)

        expect("a directory pool is made", f"morselctl create {self.pool}")
        expect("info says what it is", f"morselctl info {self.pool}", "fsdax",
               "cache line (64 bytes) in fine morsels", self._space.at_power_off)
        self._count_faults(guest, results, 256, at_most=128)
        expect("info says that all of a morsel is mapped huge",
               f"morselctl create {self.pool} m --fine --size 64M && morselctl info {self.pool} m",
               "mapped huge:  100 % (32 of 32 subtrees)")
        expect("no extent waits to be written at a fault",
               f"xfs_io -r -c 'fiemap -v' {self.pool}/m | grep -v hole >/tmp/extents; "
               # The last column has FIEMAP_EXTENT_UNWRITTEN, 0x800.
               "cat /tmp/extents; ! grep -q '0x[0-9a-f]*[89a-f][0-9a-f][0-9a-f]$' /tmp/extents")
        expect("what is exported comes back in, mapped huge, too",
               f"morselctl export {self.pool} m /tmp/m && morselctl rm {self.pool} m --yes && "
               f"morselctl import {self.pool} /tmp/m && rm /tmp/m && "
               f"morselctl info {self.pool} m && morselctl check {self.pool}",
               "100 % (32 of 32 subtrees)", "clean: 1 morsel")
        expect("what has grown is mapped huge, too",
               f"morselctl resize {self.pool} m 128M && morselctl info {self.pool} m",
               "100 % (64 of 64 subtrees)")
        expect("a snapshot morsel lives beside", f"morselctl create {self.pool} s && "
               f"morselctl check {self.pool}", "clean: 2 morsels")
        expect("a full file system refuses, and leaves what there is",
               f"morselctl create {self.pool} n --fine --size 2G; status=$?; "
               f"morselctl check {self.pool} && exit $status", "make room", "clean: 2 morsels",
               status=11)
        guest.must(f"rm -r {self.pool}")


    def try_out_errors(self, guest, results):
        guest.must(f"morselctl create {self.pool} m --fine --size 16M")
        # The sector that is 4 MiB into the morsel: 6 MiB, or 12,288 sectors, into its file.
        guest.must(f"sector=$(sector_of {self.pool}/m 12288) && "
                   f"echo $sector 8 >/sys/block/$(basename {self._space.device})/badblocks")
        self._expect(guest, results, "check lists what is bad", f"morselctl check {self.pool}",
                     "4096 bytes at offset 0x600000 of", "offset 0x400000 of the morsel", status=1)
        self._expect(guest, results, "check of one morsel does, too",
                     f"morselctl check {self.pool} m", "offset 0x400000 of the morsel", status=1)
        self._expect(guest, results, "an export of it is refused, and why",
                     f"morselctl export {self.pool} m /tmp/m", "4096 bytes at offset 0x400000",
                     "--salvage", status=20)
        self._expect(guest, results, "a salvage skips it, and its image is whole",
                     f"morselctl export {self.pool} m /tmp/m --salvage; status=$?; "
                     "morselctl verify /tmp/m && rm /tmp/m && exit $status",
                     "4096 bytes at offset 0x400000", "all else is as it was", status=1)
        self._expect(guest, results, "a store to it ends the process and says where",
                     f"workload poke {self.pool} m 0x400000", "morsel 'm': an access at",
                     f"offset 0x600000 of '{self.pool}/m'", status=128 + 7)
        self._expect(
            guest, results, "what is beside it is there", f"workload poke {self.pool} m 0x600000"
        )


class Device(Medium):
    """A carved pool on a device-dax device."""

    kind = "fine"

    def __init__(self, name, number, align, space):
        super().__init__(name, "/nowhere", number)
        self.end = space.end
        self.pool = space.device
        self._align = align
        self._space = space

    def set_up(self, guest):
        self._space.make(guest, self._align, "devdax")

    def attach(self, guest):
        """It is there by itself."""

    def try_out(self, guest, results):
        def expect(*arguments, **options):
            self._expect(guest, results, *arguments, **options)

        expect("what is no pool is refused, and why", f"morselctl info {self.pool}",
               "no morsel pool", "morselctl format", status=17)
        if self._align == "2M":
            guest.must(f"workload scribble {self.pool} 0x4321000")
            expect("a device with data is not formatted", f"morselctl format {self.pool}",
                   "data at offset", status=14)
            expect("a device with data is formatted by force and name",
                   f"morselctl format {self.pool} --force --yes-destroy $(basename {self.pool})",
                   *(["note: "] if self.end == "reset" else []))
        else:
            expect("an empty device is formatted", f"morselctl format {self.pool}")
        expect("flushes that the medium needs cannot be left out",
               f"PMEM2_FORCE_GRANULARITY=BYTE morselctl info {self.pool}",
               "would leave out flushes", status=21)
        expect("a device with a pool is not formatted", f"morselctl format {self.pool}",
               "a morsel pool", status=14)
        expect("force alone is not enough", f"morselctl format {self.pool} --force",
               "--yes-destroy", status=2)
        expect("the name of another does not do",
               f"morselctl format {self.pool} --force --yes-destroy dax9.9", "not the name",
               status=2)
        expect("a device in use is not formatted",
               # The shell itself has it open, from before the command until behind it.
               f"(exec 3<{self.pool}; morselctl format {self.pool} --force "
               f"--yes-destroy $(basename {self.pool}) 3<&-; status=$?; exit $status)",
               "in use by process", status=15)
        expect("info says what it is", f"morselctl info {self.pool}", "device-dax", "cache line",
               self._space.at_power_off)
        if self._align == "1G":
            expect("create says that morsels there are giant",
                   f"morselctl create {self.pool} small --fine --size 2M && "
                   f"morselctl rm {self.pool} small --yes", "1 GiB", "maps nothing less")
            # Without 1 GiB entries there would be 1,024 of them.
            self._count_faults(guest, results, 2048, at_most=3)
        else:
            self._count_faults(guest, results, 512, at_most=260)
        # Once more in the same space, which must be zero again.
        if self._align == "1G":
            self._count_faults(guest, results, 1024, at_most=2)
        else:
            self._count_faults(guest, results, 256, at_most=132)


    def try_out_errors(self, guest, results):
        # Where the writer was cut off, it may have left no room.
        guest.must(f"morselctl format {self.pool} --force --yes-destroy $(basename {self.pool})")
        guest.must(f"morselctl create {self.pool} m --fine --size 16M")
        if self._align == "2M":
            self._expect(guest, results, "a bad page ends the process that stores to it",
                         f"workload poison {self.pool} m 0x400000", "morsel 'm': an access at",
                         "the medium has an error there", status=128 + 7)
        self._expect(guest, results, "a device that is pulled away ends its user, who says so",
                     f"rm -f /tmp/hold; workload hold {self.pool} m >/tmp/hold 2>&1 & pid=$!; "
                     "until grep -qs holds /tmp/hold; do sleep 0.1; done; "
                     f"ndctl disable-namespace {self._space.namespace} >/dev/null; "
                     "wait $pid; status=$?; cat /tmp/hold; exit $status",
                     "morsel 'm': an access at", "a device that is gone", status=128 + 7)


class Namespace:
    """Part of an NVDIMM, with a name."""

    end = "power cut"
    at_power_off = "survives power-off: the platform keeps what was flushed"

    def __init__(self, module, name, size):
        self._module = module
        self._name = name
        self._size = size
        self.namespace = f'"$(namespace_of {name})"'
        self.device = f'"$(device_of $(namespace_of {name}))"'

    def make(self, guest, align, mode):
        guest.must(f"create_namespace {self._module} {self._name} {self._size} {align} {mode}")


class MemMap:
    """A region of `memmap=`: ordinary memory, which a reset leaves alone."""

    end = "reset"
    at_power_off = "memmap= has set aside: all is lost at power-off"

    def __init__(self, begin):
        self._begin = begin
        self.namespace = f'"$(namespace_at {begin})"'
        self.device = f'"$(device_of $(namespace_at {begin}))"'

    def make(self, guest, align, mode):
        guest.must(f"change_namespace_at {self._begin} {align} {mode}")


class Disk(Medium):
    """A directory pool on ext4 on a disk."""

    kind = "image"

    def _steps(self, guest):
        # What its writer is about to do: a count for each kind of moment, of 24 bytes.
        return sum(guest.log_word(self.number, 24 * moment) for moment in range(8))

    def set_up(self, guest):
        guest.must("mkfs.ext4 -q -F /dev/vda")
        self.attach(guest)

    def attach(self, guest):
        guest.must(f"mount_at {self.place} ext4 rw /dev/vda")

    def try_out(self, guest, results):
        self._expect(guest, results, "a fine morsel is refused",
                     f"morselctl create {self.pool} && morselctl create {self.pool} m --fine",
                     "refuses MAP_SYNC", status=21)
        self._expect(guest, results, "a carved pool is refused, and why",
                     f"morselctl create {self.place}/carved --carved --size 64M",
                     "not on persistent memory", status=21)
        guest.must(f"rm -r {self.pool}")


class Graph(Medium):
    """The package graph of examples/pkggraph, beside the other pool of a disk."""

    kind = "graph"

    def __init__(self, name, disk, number):
        super().__init__(name, disk.place, number)
        self.pool = f"{disk.place}/graph"

    def set_up(self, guest):
        """The disk is set up before, and attached."""

    def attach(self, guest):
        """As above."""

    def try_out(self, guest, results):
        """The disk is tried out by itself."""


class VirtioPmem(Medium):
    """virtio-pmem: looks like persistent memory, and is flushed by the host only when asked."""

    def set_up(self, guest):
        guest.must("virtio=$(virtio_pmem_device) && mkfs.ext4 -q -F $virtio")
        self.attach(guest)

    def attach(self, guest):
        guest.must(f"mount_at {self.place} ext4 dax $(virtio_pmem_device)")

    def try_out(self, guest, results):
        self._expect(guest, results, "a carved pool is refused, and why",
                     f"morselctl create {self.place}/carved --carved --size 64M",
                     "not on persistent memory", status=21)
        self._expect(guest, results, "a fine morsel is refused, and why",
                     f"morselctl create {self.pool} && morselctl create {self.pool} m --fine",
                     "refuses MAP_SYNC", status=21)
        guest.must(f"rm -r {self.pool}")
        self._expect(guest, results, "a directory pool takes snapshot morsels",
                     f"morselctl create {self.pool} && morselctl create {self.pool} m && "
                     f"morselctl check {self.pool}")


def try_out_pairs(guest, its_media, results):
    """Pools that share a region: of one NVDIMM there are several."""
    device, file, directory = (medium for medium in its_media
                               if medium.number in (0, 2, 9))
    for one, other in ((device, file), (file, directory)):
        medium = "two pools on one region" + one.name[one.name.rindex(" ("):]
        status, lines = guest.run(f"workload pair {one.pool} {other.pool}")
        problem = "" if status == 0 else f"ended with {status}: {' '.join(lines)}"
        first, second = (each.name.rpartition(" (")[0] for each in (one, other))
        results.test(medium, f"{first} beside {second}", problem)


def all_media(kernel):
    disk = Disk(f"disk, ext4 ({kernel})", "/mnt/disk", 6)
    return [
        Device(f"device-dax 2M ({kernel})", 0, "2M", Namespace("nmem0", "huge", "1G")),
        Device(f"device-dax 1G ({kernel})", 1, "1G", Namespace("nmem1", "giant", "4G")),
        FileOnDax(f"ext4 DAX, file ({kernel})", 2, "ext4", Namespace("nmem0", "ext4", "640M")),
        FileOnDax(f"XFS DAX, file ({kernel})", 3, "xfs", Namespace("nmem0", "xfs", "640M")),
        DirectoryOnDax(
            f"ext4 DAX, directory ({kernel})", 8, "ext4", Namespace("nmem0", "ext4d", "768M")
        ),
        DirectoryOnDax(
            f"XFS DAX, directory ({kernel})", 9, "xfs", Namespace("nmem0", "xfsd", "768M")
        ),
        Device(f"memmap, device-dax 2M ({kernel})", 4, "2M", MemMap("4G")),
        FileOnDax(f"memmap, ext4 DAX ({kernel})", 5, "ext4", MemMap("6G")),
        disk,
        Graph(f"disk, package graph ({kernel})", disk, 10),
        VirtioPmem(f"virtio-pmem, ext4 ({kernel})", "/mnt/virtio", 7),
    ]
