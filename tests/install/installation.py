"""The library as a user has it: installed into a prefix, used through pkg-config."""

import os
import pathlib
import subprocess

INSTALL = pathlib.Path(os.environ["TEST_SRCDIR"], "morsel/packaging/install")
UNINSTALL = INSTALL.with_name("uninstall")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
COMPILERS = {".c": ["gcc", "-std=c11", *WARNINGS], ".cc": ["g++", "-std=c++20", *WARNINGS]}


def run(*command, **options):
    """The command's output; where it fails, an AssertionError with all it said."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise AssertionError(f"{words}\nexit status {done.returncode}\n{done.stdout}")
    return done.stdout


class Installation:
    def __init__(self, prefix, libdir="lib"):
        self.prefix = pathlib.Path(prefix)
        self.libdir = libdir

    @property
    def libraries(self):
        return self.prefix / self.libdir

    @property
    def environment(self):
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.libraries),
            "PKG_CONFIG_PATH": str(self.libraries / "pkgconfig"),
        }

    def install(self, destination=""):
        """Into the prefix, or into the prefix as it will be below `destination`."""
        self._run(INSTALL, destination)

    def uninstall(self, destination=""):
        """What it says."""
        return self._run(UNINSTALL, destination)

    def _run(self, program, destination):
        variables = {"DESTDIR": str(destination), "LIBDIR": self.libdir}
        return run(program, self.prefix, env={**os.environ, **variables})

    def move(self, prefix):
        self.prefix = self.prefix.rename(prefix)

    def files(self):
        return {
            path.relative_to(self.prefix).as_posix()
            for path in self.prefix.rglob("*")
            if not path.is_dir()
        }

    def compile(self, source, program, package="morsel", options=()):
        """Builds a program of one file as a user would."""
        flags = run("pkg-config", "--cflags", "--libs", package, env=self.environment).split()
        run(*COMPILERS[source.suffix], *options, source, "-o", program, *flags)
        return program
