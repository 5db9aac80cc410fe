"""Code that the simulator looks at: compiled so that it tells its stores."""

load("@rules_cc//cc:defs.bzl", "cc_library", "cc_test")

# ThreadSanitizer's hooks without its runtime. No builtins, no string instructions and no vector
# code, which would store without a hook.
SIM_COPTS = [
    "-O1",
    "-g",
    "-fsanitize=thread",
    "-fno-builtin",
    "-fno-omit-frame-pointer",
    "-fno-tree-vectorize",
    "-mmemcpy-strategy=libcall:-1:noalign",
    "-mmemset-strategy=libcall:-1:noalign",
    "-mno-avx",
    "-U_FORTIFY_SOURCE",
    "-Wno-tsan",
]

# Calls that the simulator answers.
SIM_WRAPPED = [
    "__cxa_guard_abort",
    "__cxa_guard_acquire",
    "__cxa_guard_release",
    "getrandom",
    "memcpy",
    "memmove",
    "memset",
    "mremap",
    "munmap",
    "pthread_mutex_lock",
    "pthread_mutex_trylock",
    "pthread_mutex_unlock",
    "sched_yield",
]
SIM_LINKOPTS = ["-Wl,--wrap=" + name for name in SIM_WRAPPED] + ["-pthread"]

# Where the library is: each has a layer_files().
HEADER_ROOMS = [
    "alloc/heap/layout",
    "morsel",
]
LIBRARY_ROOMS = [
    "alloc/heap",
    "alloc/heap/guard",
    "alloc/heap/segments",
    "alloc/heap/threads",
    "alloc/subtrees",
    "base",
    "image",
    "image/codecs",
    "image/format",
    "image/load",
    "image/pipeline",
    "image/store",
    "morsel/carved",
    "morsel/directory",
    "morsel/open",
    "morsel/pool",
    "os/file",
    "os/memory",
    "pmem/media",
    "pmem/persist",
]

def sim_library(name, copts = [], **arguments):
    """A cc_library whose stores are seen.

    Args:
      name: the target's.
      copts: added.
      **arguments: cc_library's.
    """
    cc_library(
        name = name,
        copts = copts + SIM_COPTS,
        linkstatic = True,
        tags = ["no-sanitizer"],
        **arguments
    )

def sim_test(name, deps = [], copts = [], **arguments):
    """A cc_test whose stores are seen, and those of the whole library, which it is linked with.

    It depends on nothing else of the library: the simulator brings it along. It runs in the default
    configuration only: hooks are the compiler's either for a sanitizer or for this.

    Args:
      name: the target's.
      deps: in place of //sim and GoogleTest.
      copts: added.
      **arguments: cc_test's.
    """
    cc_test(
        name = name,
        copts = copts + SIM_COPTS,
        linkstatic = True,
        tags = ["no-sanitizer"],
        deps = deps or [
            "//sim/stores",
            "@googletest//:gtest_main",
        ],
        **arguments
    )

def layer_files(without = []):
    """The package's files, for the simulator's build of all of the library.

    Args:
      without: files that the simulator has others for.
    """
    native.filegroup(
        name = "headers",
        srcs = native.glob(
            ["*.h", "*.hpp"],
            exclude = ["*_testing.h"],
        ),
        visibility = ["//sim/stores:__pkg__"],
    )
    native.filegroup(
        name = "sources",
        srcs = native.glob(
            ["*.cc"],
            exclude = ["*_test.cc", "*_testing.cc"] + without,
        ),
        visibility = ["//sim/stores:__pkg__"],
    )
