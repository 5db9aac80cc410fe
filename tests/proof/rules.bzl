"""Tests as programs, for who runs them by himself."""

def _test_programs_impl(ctx):
    programs = [test[DefaultInfo].files_to_run.executable for test in ctx.attr.tests]
    names = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.write(names, "".join([program.short_path + "\n" for program in programs]))
    runfiles = ctx.runfiles(files = programs + [names])
    for test in ctx.attr.tests:
        runfiles = runfiles.merge(test[DefaultInfo].default_runfiles)
    return [DefaultInfo(files = depset([names]), runfiles = runfiles)]

# Gives whoever has it in `data` the programs, and their names in NAME.txt.
test_programs = rule(
    implementation = _test_programs_impl,
    attrs = {"tests": attr.label_list()},
)
