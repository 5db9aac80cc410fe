#!/usr/bin/env python3
"""What CMake builds and installs is what Bazel does."""

import collections
import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

from installation import Installation, run

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path.insert(0, str(TREE / "packaging/cmake"))

import build_lists

LIBDIR = "lib/some-arch"
SIMULATOR = {
    f"{LIBDIR}/libmorsel_sim.a",
    f"{LIBDIR}/pkgconfig/morsel-sim.pc",
    "include/morsel/sim.hpp",
    "include/morsel/sim/stores/log.h",
}
BUILT = ("libmorsel.a", "libmorsel.so", "morselctl", "manifest")


class CMakeBuild(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.bazel = Installation(cls.folder / "bazel", LIBDIR)
        cls.bazel.install()
        cls.cmake = Installation(cls.folder / "cmake", LIBDIR)
        build = cls.folder / "build"
        options = [
            "-DCMAKE_BUILD_TYPE=Debug",
            "-DCMAKE_CXX_FLAGS_DEBUG=-O0",
            "-DMORSEL_SIMULATOR=OFF",  # its list is compared below
            f"-DCMAKE_INSTALL_PREFIX={cls.cmake.prefix}",
            f"-DCMAKE_INSTALL_LIBDIR={LIBDIR}",
        ]
        run("cmake", "-S", TREE, "-B", build, *options)
        run("cmake", "--build", build, "--parallel", "2")
        run("cmake", "--install", build)

    def both(self, function):
        """Holds what the function says of the one installation against the other."""
        self.assertEqual(function(self.cmake), function(self.bazel))

    def test_the_same_files(self):
        self.assertEqual(self.cmake.files() | SIMULATOR, self.bazel.files())
        self.assertEqual(self.cmake.files() & SIMULATOR, set())
        for name in self.cmake.files():
            if not pathlib.Path(name).name.startswith(BUILT):
                with self.subTest(file=name):
                    self.both(lambda where, name=name: (where.prefix / name).read_text())

    def test_the_same_symbols(self):
        def exported(where):
            # Not the local ones of thread-local objects that GNU gold lists, too.
            options = ["--dynamic", "--defined-only", "--extern-only", "--with-symbol-versions"]
            table = run("nm", *options, "--format=posix", where.libraries / "libmorsel.so")
            return {line.split()[0] for line in table.splitlines()}

        def seen_in_archive(where):
            options = ["--extern-only", "--defined-only", "--format=posix"]
            table = run("nm", *options, where.libraries / "libmorsel.a")
            return {line.split()[0] for line in table.splitlines() if not line.endswith(":")}

        self.assertIn("morsel_open@@MORSEL_0", exported(self.cmake))
        self.both(exported)
        self.assertIn("morsel_open", seen_in_archive(self.cmake))
        self.both(seen_in_archive)

    def test_the_same_name_and_flags(self):
        def dynamic(where):
            said = run("readelf", "--dynamic", "--wide", where.libraries / "libmorsel.so")
            kinds = ("(SONAME)", "(FLAGS_1)", "(SYMBOLIC)", "(TEXTREL)")
            return [line.split(")", 1) for line in said.splitlines() if any(map(line.count, kinds))]

        self.assertIn("libmorsel.so.0", str(dynamic(self.cmake)))
        self.both(dynamic)

    def test_the_simulator_is_of_the_same_sources(self):
        members = run("ar", "t", self.bazel.libraries / "libmorsel_sim.a").split()
        bazel = collections.Counter(name.split(".")[0] for name in members)
        sources = build_lists.lists(TREE)["SIM_SOURCES"]
        self.assertEqual(collections.Counter(pathlib.Path(name).stem for name in sources), bazel)

    def test_programs_run_with_it(self):
        for source in ("consumer.c", "consumer.cc"):
            for package in ("morsel", "morsel-static"):
                with self.subTest(source=source, package=package):
                    program = self.folder / f"{package}_{source.replace('.', '_')}"
                    self.cmake.compile(HERE / source, program, package)
                    for expected in ("wrote", "found"):
                        told = run(program, f"{program}.pool", env=self.cmake.environment)
                        self.assertEqual(told.split()[0], expected)
        self.assertIn("morselctl", run(self.cmake.prefix / "bin/morselctl", "--help"))

    def test_it_is_uninstalled_as_any_other(self):
        stage = self.folder / "stage"
        env = {**os.environ, "DESTDIR": str(stage)}
        run("cmake", "--install", self.folder / "build", "--prefix", "/usr", env=env)
        self.assertIn("bin/morselctl", Installation(stage / "usr").files())
        self.assertEqual(Installation("/usr", LIBDIR).uninstall(stage), "")
        self.assertFalse((stage / "usr").exists())


if __name__ == "__main__":
    unittest.main()
