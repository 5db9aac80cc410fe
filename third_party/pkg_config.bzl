"""A repository for a library that is installed on the machine."""

def _query(ctx, pkg_config, option):
    # Without the variable pkg-config keeps -I/usr/include to itself.
    result = ctx.execute(
        [pkg_config, option, ctx.attr.package],
        environment = {"PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"},
    )
    if result.return_code != 0:
        fail("{} {} {}: {}\nOn Debian: apt-get install {}".format(
            pkg_config,
            option,
            ctx.attr.package,
            result.stderr.strip(),
            ctx.attr.debian,
        ))
    return [word for word in result.stdout.strip().split(" ") if word]

def _is_there(ctx, pkg_config):
    return ctx.execute([pkg_config, "--exists", ctx.attr.package]).return_code == 0

def _include_directory(ctx, pkg_config):
    directory = _query(ctx, pkg_config, "--variable=includedir")
    if directory:
        return ctx.path(directory[0])

    # Header-only packages may name their folder in Cflags only.
    for flag in _query(ctx, pkg_config, "--cflags-only-I"):
        return ctx.path(flag[len("-I"):])
    fail("pkg-config knows no include directory of {}".format(ctx.attr.package))

def _pkg_config_repository_impl(ctx):
    pkg_config = ctx.os.environ.get("PKG_CONFIG") or ctx.which("pkg-config")
    if not pkg_config:
        fail("no pkg-config. On Debian: apt-get install pkg-config")

    if ctx.attr.optional and not _is_there(ctx, pkg_config):
        ctx.file("flags.bzl", "LINKOPTS = []\n")
        ctx.symlink(ctx.attr.build_file, "BUILD")
        return

    # Link this library's headers and no others: with the whole of /usr/include
    # behind -isystem, libstdc++'s #include_next <stdlib.h> finds nothing.
    include = _include_directory(ctx, pkg_config)
    for header in ctx.attr.headers:
        if not include.get_child(header).exists:
            fail("{} is not in {}".format(header, include))
        ctx.symlink(include.get_child(header), "include/" + header)

    linkopts = _query(ctx, pkg_config, "--libs")
    ctx.file("flags.bzl", "LINKOPTS = {}\n".format(repr(linkopts)))
    ctx.symlink(ctx.attr.build_file, "BUILD")

pkg_config_repository = repository_rule(
    implementation = _pkg_config_repository_impl,
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True),
        "debian": attr.string(doc = "Debian's package, for the error message."),
        "headers": attr.string_list(doc = "Files and folders in the include directory."),
        "optional": attr.bool(doc = "Without it the repository is empty."),
        "package": attr.string(mandatory = True, doc = "pkg-config's name for it."),
    },
    configure = True,
    environ = ["PATH", "PKG_CONFIG", "PKG_CONFIG_PATH"],
    local = True,
)
