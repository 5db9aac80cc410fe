"""What the machine boots: Debian's kernel and a root in memory, both made from packages.

Nothing is installed. The kernel's package is downloaded by apt and unpacked in a cache; the root is
busybox, the tools that set up persistent memory, and the kernel's modules for it. The programs
under test are appended for each run, as an archive of their own, so that the rest is made once for
each kernel.
"""

import functools
import hashlib
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
GUEST = HERE / "guest"

# Loaded at boot, in any order; what they need comes with them.
MODULES_AT_BOOT = """virtio_pci virtio_console virtio_blk libnvdimm nfit nd_btt nd_pmem nd_e820
    virtio_pmem dax_pmem device_dax crc32c_generic""".split()
# Loaded by the kernel itself, through /sbin/modprobe, once something is mounted.
MODULES_ON_DEMAND = "ext4 xfs".split()
TOOLS = "busybox ndctl daxctl mkfs.ext4 mkfs.xfs xfs_io blkid".split()
# Which package has what is looked for, where it is not called like it.
PACKAGES = {
    "busybox": "busybox-static",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "xfs_io": "xfsprogs",
    "blkid": "util-linux",
    "qemu-system-x86_64": "qemu-system-x86",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "apt-cache": "apt",
    "ldd": "libc-bin",
    "setpriv": "util-linux",
}


class Missing(Exception):
    """This machine lacks what it needs to play another one.

    The text says what that is and how to get it.
    """


def find(program):
    """The program's path, with the places of administrators' programs."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = shutil.which(program, path=path)
    if found is None:
        package = PACKAGES.get(program, program)
        raise Missing(f"'{program}' is not here; `apt-get install {package}` brings it")
    return pathlib.Path(found)


def must_run(*command, **options):
    done = subprocess.run(command, capture_output=True, check=False, **options)
    if done.returncode != 0:
        why = done.stderr.decode(errors="replace").strip()
        raise Missing(f"`{' '.join(map(str, command))}` failed: {why}")
    return done.stdout


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    path = pathlib.Path(base) / "morsel-vm"
    path.mkdir(parents=True, exist_ok=True)
    return path


def kernel_package(wanted):
    """The package that `wanted`, e.g. linux-image-amd64, stands for today."""
    listing = must_run(
        find("apt-cache"), "depends", "--no-recommends", "--no-suggests", wanted
    ).decode()
    for line in listing.splitlines():
        kind, _, package = line.strip().partition(": ")
        if kind == "Depends":
            return package
    raise Missing(f"apt knows no kernel '{wanted}'; `apt-get update` may help")


class Kernel:
    """One kernel's image and modules, from the cache or from apt."""

    def __init__(self, wanted):
        self.package = kernel_package(wanted)
        self.folder = cache() / self.package
        if not (self.folder / "boot").is_dir():
            self._unpack()
        self.image = next((self.folder / "boot").glob("vmlinuz-*"))
        modules = (self.folder / "lib/modules").rglob("*.ko*")
        self._modules = {path.name.split(".ko")[0].replace("-", "_"): path for path in modules}

    @property
    def release(self):
        return self.image.name.partition("-")[2]

    def _unpack(self):
        print(f"vm: fetching {self.package}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            # Root has apt do this as a user that may not write here.
            must_run(find("apt-get"), "--quiet=2", "--option=APT::Sandbox::User=root", "download",
                     self.package, cwd=folder)
            archive = next(pathlib.Path(folder).glob("*.deb"))
            must_run(find("dpkg-deb"), "--extract", archive, f"{folder}/x")
            (pathlib.Path(folder) / "x").rename(self.folder)

    @functools.cache
    def module(self, name):
        """The bytes of a module and the names of those that it needs; None if it is built in."""
        path = self._modules.get(name.replace("-", "_"))
        if path is None:
            return None
        content = path.read_bytes()
        if path.suffix == ".xz":
            content = lzma.decompress(content)
        # The package has no list of what needs what: installing it would make one.
        mark = content.find(b"\0depends=") + len(b"\0depends=")
        needs = content[mark : content.index(b"\0", mark)].decode()
        return content, [need.replace("-", "_") for need in needs.split(",") if need]


def add_module(root, kernel, name, seen):
    if name in seen or kernel.module(name) is None:
        return
    seen.add(name)
    content, needs = kernel.module(name)
    (root / "modules" / f"{name}.ko").write_bytes(content)
    for need in needs:
        add_module(root, kernel, need, seen)
    with (root / "modules/needs").open("a") as file:
        file.write(" ".join([name, *needs]) + "\n")


def add_program(root, program):
    """The program with the libraries that it is linked to, each at its place."""
    shutil.copy(program, root / "usr/bin" / program.name)
    libraries = subprocess.run(
        [find("ldd"), program], capture_output=True, text=True, check=False
    ).stdout
    for word in libraries.split():
        if word.startswith("/"):
            place = root / word.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, place)


def skeleton(root):
    for folder in "usr/bin usr/sbin usr/lib usr/lib64 modules proc sys dev tmp run etc mnt".split():
        (root / folder).mkdir(parents=True)
    for folder in "bin sbin lib lib64".split():
        (root / folder).symlink_to(f"usr/{folder}")


def archive(root):
    names = b"\0".join(sorted(str(path.relative_to(root)).encode() for path in root.rglob("*")))
    return must_run(find("cpio"), "--null", "--create", "--format=newc", "--quiet", "--owner=0:0",
                    cwd=root, input=names)


def base_archive(kernel):
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        root = pathlib.Path(folder)
        skeleton(root)
        for tool in TOOLS:
            add_program(root, find(tool))
        for applet in must_run(find("busybox"), "--list").decode().split():
            link = root / "usr/bin" / applet
            if not link.exists():
                link.symlink_to("busybox")
        seen = set()
        for module in MODULES_AT_BOOT + MODULES_ON_DEMAND:
            add_module(root, kernel, module, seen)
        (root / "modules/at_boot").write_text(" ".join(MODULES_AT_BOOT) + "\n")
        # Programs that look for their own mounts, and for their own user.
        (root / "etc/mtab").symlink_to("/proc/self/mounts")
        (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
        return archive(root)


def programs_archive(programs):
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        root = pathlib.Path(folder)
        skeleton(root)
        for program in programs:
            add_program(root, program)
        for name, place in (
            ("init", "init"), ("modprobe", "usr/sbin/modprobe"), ("media.sh", "media.sh")
        ):
            shutil.copy(GUEST / name, root / place)
            (root / place).chmod(0o755)
        return archive(root)


def base_key(kernel):
    """Another one where anything that the archive is made of has changed."""
    key = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    key.update(kernel.package.encode())
    for tool in TOOLS:
        key.update(str(find(tool).stat().st_mtime_ns).encode())
    return key.hexdigest()[:16]


def make_root(kernel, programs):
    """The bytes of the root in memory for `kernel`."""
    base = kernel.folder / f"root-{base_key(kernel)}.cpio"
    if not base.exists():
        for old in kernel.folder.glob("root-*.cpio"):
            old.unlink()
        unfinished = base.with_suffix(".new")
        unfinished.write_bytes(base_archive(kernel))
        unfinished.rename(base)
    return base.read_bytes() + programs_archive(programs)
