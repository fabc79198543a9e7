"""kernel_image: links libraries into an image for bare metal, from any configuration."""

def _transition_impl(settings, attr):
    return {
        "//command_line_option:platforms": "//bazel/freestanding:x86_64",
        # Flags of the hosted build (.bazelrc, --config=asan) must not leak into the image.
        "//command_line_option:conlyopt": [],
        "//command_line_option:copt": [],
        "//command_line_option:cxxopt": [],
        "//command_line_option:linkopt": [],
        "//command_line_option:features": [],
        "//command_line_option:compilation_mode": "opt",
        "//command_line_option:strip": "never",
    }

_bare_metal = transition(
    implementation = _transition_impl,
    inputs = [],
    outputs = [
        "//command_line_option:platforms",
        "//command_line_option:conlyopt",
        "//command_line_option:copt",
        "//command_line_option:cxxopt",
        "//command_line_option:linkopt",
        "//command_line_option:features",
        "//command_line_option:compilation_mode",
        "//command_line_option:strip",
    ],
)

def _stripped_image_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".elf")
    ctx.actions.run(
        executable = "/usr/bin/strip",
        arguments = ["--strip-all", "-o", out.path, ctx.file.binary.path],
        inputs = [ctx.file.binary],
        outputs = [out],
        mnemonic = "StripImage",
        progress_message = "Stripping %s" % out.short_path,
    )
    return [
        DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out])),
        # With symbols, for the addresses in reports: bazel build --output_groups=symbols
        OutputGroupInfo(symbols = depset([ctx.file.binary])),
    ]

_stripped_image = rule(
    implementation = _stripped_image_impl,
    attrs = {
        "binary": attr.label(mandatory = True, allow_single_file = True, cfg = _bare_metal),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

def kernel_image(name, deps, visibility = None, testonly = False):
    """<name>.elf: an image of `deps`, which define DomainMain, on //guest/platform/xen.

    It boots as an HVM domain's firmware, as a PVH domain, and by QEMU's -kernel. Always optimised, never sanitized,
    stripped; `deps` in the order of who calls whom, as archives are linked.
    """
    native.cc_binary(
        name = name + ".symbols",
        additional_linker_inputs = ["//guest/platform/xen:image.ld"],
        linkopts = [
            "-T",
            "$(location //guest/platform/xen:image.ld)",
            "-lgcc",  # Wide division and the like. It uses the red zone: traps have stacks of their own.
        ],
        target_compatible_with = ["//bazel/freestanding:bare_metal"],
        testonly = testonly,
        visibility = ["//visibility:private"],
        deps = deps,
    )
    _stripped_image(
        name = name,
        binary = ":" + name + ".symbols",
        testonly = testonly,
        visibility = visibility,
    )
