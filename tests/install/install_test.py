#!/usr/bin/env python3
"""What is installed, and that programs outside the tree build and run with it."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import refused_types
from installation import WARNINGS, Installation, run

HERE = pathlib.Path(__file__).resolve().parent
PUBLIC_HEADERS = {
    "include/morsel/" + name
    for name in (
        "allocator.hpp",
        "construction.hpp",
        "containers.hpp",
        "base/result.h",
        "handles.hpp",
        "images.h",
        "may_be_stored.hpp",
        "memory_resource.hpp",
        "morsel.h",
        "morsel.hpp",
        "rebase.h",
        "rebase.hpp",
        "roots.h",
        "roots.hpp",
        "sim/stores/log.h",
        "sim.hpp",
        "stored_type.hpp",
        "tools.h",
        "types.h",
        "update.hpp",
        "updates.h",
    )
}
EXPORTED = re.compile(
    r"morsel_\w+@@MORSEL_0"
    r"|_ZNK?6morsel15memory_resource\w+@@MORSEL_0"
    r"|_ZT[VIS]N6morsel15memory_resourceE@@MORSEL_0"
    r"|MORSEL_0"
)
# Classes that the library itself has from the public headers.
SHARED_CLASSES = re.compile(r"morsel::(?:Status|Result<|memory_resource|BadAlloc)")
# Operators new and delete; functions of the C library that give memory to the caller; streams
# and strings that are in the C++ library.
ALLOCATES = re.compile(
    r"_Zn[wa]|_Zd[la]|(m|c|re|aligned_)alloc$|free$|posix_memalign$|strn?dup$|v?asprintf$"
    r"|getline$|getdelim$|getcwd$|get_current_dir_name$|scandir$|open_memstream$"
    r"|_ZNS?K?St7__cxx1112basic_string|_ZNS?t\d*basic_|_ZSt7getline|_ZStrs|_ZNSi|_ZNSo"
)
# Of a relocation by the initial-exec model: the symbol's value, if there is one, and the addend.
TLS_PLACE = re.compile(r"R_X86_64_TPOFF64 +(?:([0-9a-f]{16}) \S+ \+ )?([0-9a-f]+)$", re.MULTILINE)


def defined_names(path):
    """The names in namespace morsel that an object or archive defines, as in the source."""
    table = run("nm", "--defined-only", "--demangle", "--format=posix", path)
    names = (line.rsplit(" ", 3)[0] for line in table.splitlines() if line.count(" ") >= 3)
    return {name for name in names if name.startswith("morsel::")}


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.installation = Installation(cls.folder / "installed")
        cls.installation.install()
        # All that follows works wherever the prefix ends up.
        cls.installation.move(cls.folder / "moved")
        cls.version = pathlib.Path(os.environ["TEST_SRCDIR"], "morsel/VERSION").read_text().strip()

    def expected_files(self, libdir):
        libraries = (
            "libmorsel.a",
            "libmorsel.so",
            "libmorsel.so.0",
            f"libmorsel.so.{self.version}",
            "libmorsel_sim.a",
            "pkgconfig/morsel.pc",
            "pkgconfig/morsel-static.pc",
            "pkgconfig/morsel-sim.pc",
            "cmake/morsel/morsel-config.cmake",
            "cmake/morsel/morsel-config-version.cmake",
            "morsel/manifest",
        )
        return {"bin/morselctl", *PUBLIC_HEADERS, *(f"{libdir}/{name}" for name in libraries)}

    def test_exactly_the_expected_files(self):
        self.assertEqual(self.installation.files(), self.expected_files("lib"))

    def test_staging_and_library_directory(self):
        stage = self.folder / "stage"
        Installation("/usr", "lib/some-arch").install(stage)
        staged = Installation(stage / "usr")
        self.assertEqual(staged.files(), self.expected_files("lib/some-arch"))
        for name in (
            "pkgconfig/morsel.pc", "pkgconfig/morsel-sim.pc", "cmake/morsel/morsel-config.cmake"
        ):
            text = (staged.prefix / "lib/some-arch" / name).read_text()
            self.assertNotIn(str(stage), text)
            self.assertNotIn("@", text)

    def test_uninstalling_removes_what_was_installed_and_nothing_else(self):
        for libdir, stage in (("lib", ""), ("lib/some-arch", self.folder / "uninstall_stage")):
            with self.subTest(libdir=libdir):
                prefix = self.folder / "uninstall" / libdir
                there = Installation(f"{stage}{prefix}")
                # As on a Debian: folders that are there already, empty or not.
                (there.prefix / "bin").mkdir(parents=True)
                (there.prefix / "include/others").mkdir(parents=True)
                (there.prefix / "include/others/header.h").write_text("")
                installation = Installation(prefix, libdir)
                installation.install(stage)
                installation.install(stage)  # as an update does
                self.assertIn(f"{libdir}/libmorsel.a", there.files())
                (there.prefix / "include/morsel/morsel.h").write_text("// mine now")
                (there.prefix / "include/morsel/mine.h").write_text("")

                told = installation.uninstall(stage)
                self.assertIn("morsel.h is not what was installed", told)
                self.assertEqual(
                    {str(path.relative_to(there.prefix)) for path in there.prefix.rglob("*")},
                    {
                        "bin",
                        "include",
                        "include/morsel",
                        "include/morsel/mine.h",
                        "include/morsel/morsel.h",
                        "include/others",
                        "include/others/header.h",
                    },
                )
                with self.assertRaisesRegex(AssertionError, "nothing is known to be installed"):
                    installation.uninstall(stage)

    def test_uninstalling_leaves_no_folder_that_installing_has_made(self):
        installation = Installation(self.folder / "made", "lib64")
        installation.install()
        self.assertEqual(installation.uninstall(), "")
        self.assertFalse(installation.prefix.exists())

    def test_what_an_older_version_had_goes_when_a_newer_one_comes(self):
        installation = Installation(self.folder / "newer")
        installation.install()
        old = installation.prefix / "include/morsel/old/gone.h"
        old.parent.mkdir()
        old.write_text("")
        empty = hashlib.sha256(b"").hexdigest()
        with open(installation.libraries / "morsel/manifest", "a") as manifest:
            manifest.write("folder\t-\tinclude/morsel/old\n")
            manifest.write(f"file\t{empty}\tinclude/morsel/old/gone.h\n")
        installation.install()
        self.assertFalse(old.parent.exists())
        self.assertEqual(installation.files(), self.expected_files("lib"))

    def test_the_library_exports_the_api_and_nothing_else(self):
        library = self.installation.libraries / "libmorsel.so"
        table = run(
            "nm", "--dynamic", "--defined-only", "--extern-only", "--with-symbol-versions", library
        )
        exported = {line.split()[-1] for line in table.splitlines()}
        self.assertEqual({name for name in exported if not EXPORTED.fullmatch(name)}, set())

        folder = self.installation.prefix / "include/morsel"
        names = ("images.h", "morsel.h", "rebase.h", "roots.h", "tools.h", "types.h", "updates.h")
        headers = "\n".join((folder / name).read_text() for name in names)
        declared = set(re.findall(r"^[a-z_].*?\*?(morsel_\w+)\(", headers, re.MULTILINE))
        self.assertLess({"morsel_pool_open", "morsel_pool_stat"}, declared)
        functions = {name for name in exported if name.startswith("morsel_")}
        self.assertEqual({f"{name}@@MORSEL_0" for name in declared}, functions)
        self.assertIn("libmorsel.so.0", run("objdump", "-p", library))

    def test_the_archive_holds_its_objects(self):
        archive = (self.installation.libraries / "libmorsel.a").read_bytes()
        self.assertEqual(archive[:8], b"!<arch>\n")  # a thin one only points at them

    def test_the_archive_defines_nothing_that_the_headers_define_otherwise(self):
        # In a static program one class would get the functions of another of its name.
        source = self.folder / "headers.cc"
        source.write_text("#include <morsel/morsel.hpp>\n")
        includes = self.installation.prefix / "include"
        keep = ["-std=c++20", "-fkeep-inline-functions", f"-I{includes}", "-c"]
        run("g++", *keep, source, "-o", source.with_suffix(".o"))
        of_headers = defined_names(source.with_suffix(".o"))
        self.assertIn("morsel::Pool::close()", of_headers)
        both = of_headers & defined_names(self.installation.libraries / "libmorsel.a")
        self.assertEqual({name for name in both if not SHARED_CLASSES.match(name)}, set())

    def test_the_tool_runs(self):
        self.assertIn("morselctl", run(self.installation.prefix / "bin/morselctl", "--help"))

    def test_programs_with_pkg_config(self):
        for source in ("consumer.c", "consumer.cc"):
            for package in ("morsel", "morsel-static"):
                with self.subTest(source=source, package=package):
                    program = self.folder / f"{package}_{source.replace('.', '_')}"
                    self.installation.compile(HERE / source, program, package)
                    self.check_program(program, shared=package == "morsel")

    def test_a_program_that_tests_its_own_crashes(self):
        program = self.folder / "crashes"
        self.installation.compile(HERE / "crashes.cc", program, "morsel-sim")
        told = run(program)
        self.assertIn("crashes.cc:", told)

    def test_the_library_takes_little_of_what_threads_and_loaders_have(self):
        # dlopen(3) gives a library what is left of the program's room for thread-local memory.
        library = self.installation.libraries / "libmorsel.so"
        segments = run("readelf", "--program-headers", "--wide", library).splitlines()
        sizes = [int(line.split()[5], 16) for line in segments if line.split()[:1] == ["TLS"]]
        self.assertEqual(len(sizes), 1)
        self.assertLessEqual(sizes[0], 512)
        program = self.folder / "links_only"
        self.installation.compile(HERE / "links_only.c", program)
        run(program, env=self.installation.environment)

    def test_each_thread_local_object_has_a_place_of_its_own(self):
        # Of objects of several TLS models, GNU gold gives some the places of others.
        libraries = {"as installed": self.installation.libraries / "libmorsel.so"}
        flags = run(
            "pkg-config", "--libs", "morsel-static", env=self.installation.environment
        ).split()
        whole = ["-Wl,--whole-archive", *flags, "-Wl,--no-whole-archive"]
        for linker in ("gold", "bfd", "lld"):
            if linker == "lld" and not shutil.which("ld.lld"):
                continue  # the others are in the package of the assembler
            libraries[linker] = self.folder / f"of_{linker}.so"
            run("g++", "-shared", f"-fuse-ld={linker}", *whole, "-o", libraries[linker])
        for name, library in libraries.items():
            with self.subTest(linker=name):
                symbols = run("readelf", "--symbols", "--wide", library).splitlines()
                objects = {
                    (fields[7], int(fields[1], 16))
                    for fields in map(str.split, symbols)
                    if len(fields) == 8 and fields[3] == "TLS"
                }
                self.assertGreater(len(objects), 2)
                relocations = run("readelf", "--relocs", "--wide", library)
                self.assertNotIn("R_X86_64_DTPMOD64", relocations)
                places = TLS_PLACE.findall(relocations)
                self.assertEqual(
                    sorted(int(symbol or "0", 16) + int(added, 16) for symbol, added in places),
                    sorted(place for _, place in objects),
                )

    def test_no_call_needs_more_stack_than_the_header_says(self):
        program = self.folder / "small_stack"
        self.installation.compile(HERE / "small_stack.cc", program)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            run(program, folder, env=self.environment_with_a_stand_in())

    def test_a_plugin_loads_and_unloads_the_library(self):
        library = self.installation.libraries / "libmorsel.so.0"
        program = self.folder / "plugin"
        flags = run("pkg-config", "--cflags", "morsel", env=self.installation.environment).split()
        run("gcc", "-std=gnu11", *WARNINGS[:2], HERE / "plugin.c", "-o", program, *flags)
        run(program, library, self.folder / "plugin.pool")
        run(sys.executable, HERE / "loaded.py", library, self.folder / "python.pool")

    def test_a_program_may_serve_its_allocations_from_a_morsel(self):
        for package in ("morsel", "morsel-static"):
            for name, options in (("operators", []), ("malloc", ["-DMALLOC_TOO"])):
                with self.subTest(package=package, replaced=name):
                    program = self.folder / f"{package}_{name}"
                    self.installation.compile(HERE / "replaced.cc", program, package, options)
                    pool = self.folder / f"{package}_{name}.pool"
                    told = run(program, pool, env=self.installation.environment)
                    self.assertEqual(told, "served\n")

    def test_a_program_may_have_a_malloc_of_its_own(self):
        for package in ("morsel", "morsel-static"):
            for name, options in (
                ("own", []),
                ("address", ["-DOF_THE_COMPILER", "-fsanitize=address"]),
                ("leak", ["-DOF_THE_COMPILER", "-fsanitize=leak"]),
            ):
                with self.subTest(package=package, malloc=name):
                    program = self.folder / f"{package}_{name}_malloc"
                    # So that the library finds the names of the program.
                    options = ["-rdynamic", *options]
                    self.installation.compile(HERE / "own_malloc.cc", program, package, options)
                    pool = self.folder / f"{program.name}.pool"
                    told = run(program, pool, env=self.installation.environment)
                    self.assertEqual(told, "all went back\n")

    def test_the_library_has_nothing_that_allocates_for_it(self):
        # What is not its own would be taken by one allocator and given back by another.
        library = self.installation.libraries / "libmorsel.so"
        table = run("nm", "--dynamic", "--undefined-only", "--format=posix", library)
        needed = {line.split()[0].split("@")[0] for line in table.splitlines()}
        self.assertIn("__libc_malloc", needed)
        self.assertEqual({name for name in needed if ALLOCATES.match(name)}, set())

    def environment_with_a_stand_in(self):
        return {**self.installation.environment, "PMEM2_FORCE_GRANULARITY": "CACHE_LINE"}

    def test_macros_of_other_headers_are_not_in_the_way(self):
        # Those of X11, which many programs include first.
        source = self.folder / "macros.cc"
        source.write_text(
            "#define Status int\n#define Bool int\n#define True 1\n#define False 0\n"
            "#define None 0L\n#define Success 0\n#define Always 2\n#define Complex 0\n"
            "#include <morsel/morsel.hpp>\n#include <morsel/sim.hpp>\n"
            "Status still_theirs = Success;\n"
            "bool works(morsel::Morsel& m) { return m.set_root(\"r\", nullptr).ok(); }\n"
        )
        includes = self.installation.prefix / "include"
        run("g++", "-std=c++20", "-Wall", "-Werror", f"-I{includes}", "-c", source, "-o",
            source.with_suffix(".o"))

    def check_messages(self, cases, flags=()):
        """Takes pairs of a line of C++ and a part of its error; without an error it is ''."""
        includes = self.installation.prefix / "include"
        lines = [line for line, _ in cases]
        told = refused_types.errors(self.folder, [f"-I{includes}", *flags], lines)
        wrong = [
            (line, told_of_it)
            for (line, part), told_of_it in zip(cases, told)
            if not (any(part in one for one in told_of_it) if part else not told_of_it)
        ]
        self.assertEqual(wrong, [])

    def test_types_that_a_morsel_takes(self):
        cases = [(refused_types.made(one), "") for one in refused_types.TAKEN]
        self.check_messages(cases + [(refused_types.with_layout(1), "")])

    def test_types_that_a_morsel_does_not_take_do_not_compile(self):
        refused = [(m, t) for m, types in refused_types.REFUSED.items() for t in types]
        self.check_messages([(refused_types.made(t), m) for m, t in refused])
        not_arrays = [(m, t) for m, t in refused if "array" not in m]
        cases = [(refused_types.found(t), m) for m, t in not_arrays]
        cases += [(refused_types.allocated(t), m) for m, t in not_arrays if "ordinary" not in m]
        cases += [
            (refused_types.constructed("std::stop_source"), "leads into this process"),
            (refused_types.constructed("std::optional<morsel::wstring>"), "it gives them none"),
        ]
        cases += [
            (refused_types.with_layout(number), "MORSEL_LAYOUT gives a number from 1 to 2^31 - 1")
            for number in (0, -1, 2**31, 2**32)
        ]
        self.check_messages(cases, ["-fno-rtti", "-fno-exceptions"])

    def test_only_cpp20_will_do(self):
        source = self.folder / "cpp17.cc"
        source.write_text("#include <morsel/morsel.hpp>\n")
        includes = self.installation.prefix / "include"
        command = ["g++", "-std=c++17", f"-I{includes}", "-fsyntax-only", source]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertIn("morsel needs C++20", ran.stderr.splitlines()[1])

    def test_programs_with_cmake(self):
        for language in ("C", "CXX"):
            with self.subTest(language=language):
                build = self.folder / f"cmake_{language}"
                options = [
                    f"-DLANGUAGE={language}",
                    f"-DVERSION={self.version}",
                    f"-DCMAKE_PREFIX_PATH={self.installation.prefix}",
                ]
                run("cmake", "-S", HERE / "cmake", "-B", build, *options)
                run("cmake", "--build", build, "--verbose")
                self.check_program(build / "shared", shared=True)
                self.check_program(build / "static", shared=False)

    def check_program(self, program, shared):
        needed = "libmorsel.so.0" in run("objdump", "-p", program)
        self.assertEqual(needed, shared)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            pool = pathlib.Path(folder, "pool")
            for expected in ("wrote", "found"):
                told = run(program, pool, env=self.installation.environment)
                self.assertEqual(told.split()[0], expected)
                self.assertIn("morning", told)


if __name__ == "__main__":
    unittest.main()
