"""A header that the compiler reads once in each configuration."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _precompiled_header_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    header = ctx.actions.declare_file("precompiled/" + ctx.attr.header)
    precompiled = ctx.actions.declare_file("precompiled/" + ctx.attr.header + ".gch")
    read = ctx.actions.declare_file("precompiled/" + ctx.attr.header + ".d")
    ctx.actions.write(header, "".join(["#include <%s>\n" % name for name in ctx.attr.includes]))

    # A compiler takes it only where these are a source's own; elsewhere it reads the header.
    flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts
    if [flag for flag in flags if flag.startswith("-fsanitize=address")]:
        flags = flags + ctx.attr.asan_copts
    context = cc_common.merge_cc_infos(
        cc_infos = [dep[CcInfo] for dep in ctx.attr.deps],
    ).compilation_context
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        source_file = header.path,
        output_file = precompiled.path,
        user_compile_flags = flags,
        include_directories = context.includes,
        quote_include_directories = context.quote_includes,
        system_include_directories = context.system_includes,
        use_pic = True,
    )
    arguments = cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = "c++-compile",
        variables = variables,
    )
    ctx.actions.run(
        mnemonic = "PrecompileHeader",
        executable = cc_common.get_tool_for_action(
            feature_configuration = features,
            action_name = "c++-compile",
        ),
        # With what was read, or -fpch-deps has nothing to tell.
        arguments = ["-x", "c++-header", "-MD", "-MF", read.path] + arguments,
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = "c++-compile",
            variables = variables,
        ),
        inputs = depset([header], transitive = [context.headers, toolchain.all_files]),
        outputs = [precompiled, read],
    )
    return [CcInfo(compilation_context = cc_common.create_compilation_context(
        headers = depset([header, precompiled]),
        system_includes = depset([header.dirname]),
    ))]

# Gives whoever depends on it `header`, to be included by the option -include.
precompiled_header = rule(
    implementation = _precompiled_header_impl,
    attrs = {
        "asan_copts": attr.string_list(doc = "Added under AddressSanitizer."),
        "deps": attr.label_list(providers = [CcInfo]),
        "header": attr.string(mandatory = True),
        "includes": attr.string_list(doc = "What the header includes."),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)
