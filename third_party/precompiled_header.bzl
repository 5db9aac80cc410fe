"""Headers that the compiler reads once in each configuration."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _precompile(ctx, toolchain, header, number, copts, use_pic):
    """Declares a file beside the header. GCC looks in NAME.gch for one that fits."""
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    precompiled = ctx.actions.declare_file("precompiled/%s.gch/%d" % (ctx.attr.header, number))
    read = ctx.actions.declare_file("precompiled/%s.%d.d" % (ctx.attr.header, number))
    context = cc_common.merge_cc_infos(
        cc_infos = [dep[CcInfo] for dep in ctx.attr.deps],
    ).compilation_context
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        source_file = header.path,
        output_file = precompiled.path,
        user_compile_flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts + copts,
        include_directories = context.includes,
        quote_include_directories = context.quote_includes,
        system_include_directories = context.system_includes,
        use_pic = use_pic,
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
    return precompiled

def _precompiled_header_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    header = ctx.actions.declare_file("precompiled/" + ctx.attr.header)
    ctx.actions.write(header, "".join(["#include <%s>\n" % name for name in ctx.attr.reads]))

    # A compiler takes it only where these are a source's own; elsewhere it reads the header.
    variants = ctx.attr.variants
    if [flag for flag in ctx.fragments.cpp.copts if flag.startswith("-fsanitize=address")]:
        variants = ctx.attr.asan_variants or variants
    precompiled = [
        _precompile(
            ctx,
            toolchain,
            header,
            2 * number + use_pic,
            [variant] if variant else [],
            bool(use_pic),
        )
        for number, variant in enumerate(variants)
        # Only an optimized build has code of both kinds.
        for use_pic in ([0, 1] if ctx.var["COMPILATION_MODE"] == "opt" else [1])
    ]
    return [CcInfo(compilation_context = cc_common.create_compilation_context(
        headers = depset([header] + precompiled),
        system_includes = depset([header.dirname]),
    ))]

# Gives whoever depends on it `header`, to be included by the option -include.
precompiled_header = rule(
    implementation = _precompiled_header_impl,
    attrs = {
        "asan_variants": attr.string_list(doc = "Under AddressSanitizer, if these are others."),
        "deps": attr.label_list(providers = [CcInfo]),
        "header": attr.string(mandatory = True),
        "reads": attr.string_list(doc = "What the header includes."),
        "variants": attr.string_list(doc = "Options of its own of each kind of sources."),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)
