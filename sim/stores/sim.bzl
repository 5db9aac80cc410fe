"""Code that the simulator looks at: compiled so that it tells its stores."""

load("@rules_cc//cc:defs.bzl", "cc_test")

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

# Of the simulator itself, whose stores are of no interest.
SIMULATOR_COPTS = [
    "-O2",
    "-g",
    "-fno-sanitize=thread",
    "-fbuiltin",
    "-ftree-vectorize",
]

def _instrumented_impl(settings, attr):
    return {
        "//command_line_option:copt": settings["//command_line_option:copt"] + SIM_COPTS,
        "//pmem/persist:pmem2_persist": "//sim/stores:simulated_pmem2",
    }

_instrumented = transition(
    implementation = _instrumented_impl,
    inputs = ["//command_line_option:copt"],
    outputs = [
        "//command_line_option:copt",
        "//pmem/persist:pmem2_persist",
    ],
)

def _instrumented_libraries_impl(ctx):
    return [cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.deps])]

# The libraries in a build that tells its stores. It is the same one for whoever asks.
instrumented_libraries = rule(
    implementation = _instrumented_libraries_impl,
    attrs = {
        "deps": attr.label_list(cfg = _instrumented, providers = [CcInfo]),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

def sim_test(name, deps, copts = [], **arguments):
    """A cc_test whose stores are seen, and those of all of the library that it is linked with.

    It runs in the default configuration only: hooks are the compiler's either for a sanitizer or
    for this.

    Args:
      name: the target's.
      deps: of the library and of what stands on it; the simulator comes along.
      copts: added.
      **arguments: cc_test's.
    """
    instrumented_libraries(
        name = name + "_libraries",
        testonly = True,
        tags = ["manual"],
        deps = deps + ["//sim/stores"],
    )
    cc_test(
        name = name,
        copts = copts + SIM_COPTS,
        linkstatic = True,
        tags = ["no-sanitizer"],
        deps = [
            ":" + name + "_libraries",
            "@googletest//:gtest_main",
        ],
        **arguments
    )
