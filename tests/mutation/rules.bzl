"""Tests built a second time, so that their seam calls can be made to misbehave."""

# Calls are told apart by return addresses, so each keeps its own: none is merged
# with its neighbour, none is a jump. Debug information leads back to the sources; of
# gcc 12's fifth version, addr2line takes some headers' lines for the main file's.
_COPTS = [
    "-O2",
    "-g1",
    "-gdwarf-4",
    "-fno-omit-frame-pointer",
    "-fno-optimize-sibling-calls",
    "-fno-crossjumping",
    "-fno-tree-tail-merge",
    "-fno-ipa-icf",
    # Optimized, more is warned of; what matters is the build that is shipped.
    "-Wno-error",
]

def _mutable_impl(settings, attr):
    return {
        "//base/hook": "//tests/mutation/seam",
        "//command_line_option:copt": settings["//command_line_option:copt"] + _COPTS,
        # One program has all addresses.
        "//command_line_option:dynamic_mode": "off",
        "//command_line_option:strip": "never",
    }

_mutable = transition(
    implementation = _mutable_impl,
    inputs = ["//command_line_option:copt"],
    outputs = [
        "//base/hook",
        "//command_line_option:copt",
        "//command_line_option:dynamic_mode",
        "//command_line_option:strip",
    ],
)

def _mutable_tests_impl(ctx):
    programs = [test[DefaultInfo].files_to_run.executable for test in ctx.attr.tests]
    names = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.write(names, "".join([program.short_path + "\n" for program in programs]))
    runfiles = ctx.runfiles(files = programs + [names])
    for test in ctx.attr.tests:
        runfiles = runfiles.merge(test[DefaultInfo].default_runfiles)
    return [DefaultInfo(files = depset([names]), runfiles = runfiles)]

# Gives whoever has it in `data` the programs, and their names in NAME.txt.
mutable_tests = rule(
    implementation = _mutable_tests_impl,
    attrs = {
        "tests": attr.label_list(cfg = _mutable),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
