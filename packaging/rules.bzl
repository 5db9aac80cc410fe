"""What packaging needs beyond Bazel's own rules."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _inputs_of(library):
    return library[CcInfo].linking_context.linker_inputs.to_list()

def _merged_archive_impl(ctx):
    cc_toolchain = find_cpp_toolchain(ctx)
    parts = []
    system_libraries = []
    for linker_input in _inputs_of(ctx.attr.library):
        # What belongs to another repository is the system's.
        if linker_input.owner.workspace_name:
            system_libraries += linker_input.user_link_flags
            continue
        for library in linker_input.libraries:
            parts.append(library.pic_static_library or library.static_library)

    archive = ctx.outputs.archive
    ar = cc_toolchain.ar_executable
    tools = [cc_toolchain.ld_executable, cc_toolchain.objcopy_executable, ar]
    if ctx.attr.exports:
        ctx.actions.run(
            executable = ctx.executable._close_archive,
            arguments = tools + [archive.path] + ctx.attr.exports + ["--"] + [
                part.path
                for part in parts
            ],
            inputs = depset(parts, transitive = [cc_toolchain.all_files]),
            outputs = [archive],
            mnemonic = "CloseArchive",
            use_default_shell_env = True,
        )
    else:
        script = ["CREATE " + archive.path]
        script += ["ADDLIB " + part.path for part in parts]
        script += ["SAVE", "END"]
        ctx.actions.run_shell(
            outputs = [archive],
            inputs = depset(parts, transitive = [cc_toolchain.all_files]),
            command = "echo '{}' | {} -M".format("\n".join(script), ar),
            mnemonic = "MergeArchives",
        )

    feature_configuration = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = cc_toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )

    # Whole: nothing in a shared library calls the C API that it offers.
    whole = cc_common.create_library_to_link(
        actions = ctx.actions,
        feature_configuration = feature_configuration,
        cc_toolchain = cc_toolchain,
        pic_static_library = archive,
        alwayslink = True,
    )
    linker_input = cc_common.create_linker_input(
        owner = ctx.label,
        libraries = depset([whole]),
        user_link_flags = depset(system_libraries),
    )
    linking_context = cc_common.create_linking_context(linker_inputs = depset([linker_input]))
    return [
        DefaultInfo(files = depset([archive])),
        CcInfo(linking_context = linking_context),
    ]

merged_archive = rule(
    implementation = _merged_archive_impl,
    attrs = {
        "archive": attr.output(mandatory = True),
        "exports": attr.string_list(
            doc = "Patterns of the symbols that others see, as of a shared library. None: all.",
        ),
        "library": attr.label(mandatory = True, providers = [CcInfo]),
        "_close_archive": attr.label(
            default = "//packaging:close_archive.sh",
            allow_single_file = True,
            cfg = "exec",
            executable = True,
        ),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    doc = """One static archive of all that a library consists of and is this project's.

    A cc_binary(linkshared) that depends on it holds all of it.""",
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def _header_list_impl(ctx):
    headers = ctx.attr.library[CcInfo].compilation_context.direct_public_headers
    files = depset(headers).to_list()
    listed = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(listed, "".join([file.short_path + "\n" for file in files]))
    return [DefaultInfo(
        files = depset([listed]),
        runfiles = ctx.runfiles(files = [listed] + files),
    )]

header_list = rule(
    implementation = _header_list_impl,
    attrs = {"library": attr.label(mandatory = True, providers = [CcInfo])},
    doc = "A file that names the hdrs of a cc_library, one in a line.",
)

def _lines_file_impl(ctx):
    written = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(written, "".join([line + "\n" for line in ctx.attr.lines]))
    return [DefaultInfo(
        files = depset([written]),
        runfiles = ctx.runfiles(files = [written]),
    )]

lines_file = rule(
    implementation = _lines_file_impl,
    attrs = {"lines": attr.string_list(mandatory = True)},
    doc = "A file of these lines.",
)
