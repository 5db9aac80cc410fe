"""A repository for a library that is installed on the machine and that pkg-config does not know."""

_INCLUDE = "/usr/include"

def _system_headers_repository_impl(ctx):
    # These headers and no others, as in pkg_config.bzl.
    for header in ctx.attr.headers:
        path = ctx.path(_INCLUDE).get_child(header)
        if not path.exists:
            fail("{} is not there.\nOn Debian: apt-get install {}".format(path, ctx.attr.debian))
        ctx.symlink(path, "include/" + header)
    ctx.symlink(ctx.attr.build_file, "BUILD")

system_headers_repository = repository_rule(
    implementation = _system_headers_repository_impl,
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True),
        "debian": attr.string(doc = "Debian's package, for the error message."),
        "headers": attr.string_list(doc = "Files and folders in the include directory."),
    },
    configure = True,
    local = True,
)
