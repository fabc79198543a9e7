"""fault_points_binary: a program as it is, but with its fault points (guest/platform/fault_point.h). For tests."""

def _transition_impl(settings, attr):
    return {"//command_line_option:copt": settings["//command_line_option:copt"] + ["-DLIBRETTOS_FAULT_POINTS"]}

_with_fault_points = transition(
    implementation = _transition_impl,
    inputs = ["//command_line_option:copt"],
    outputs = ["//command_line_option:copt"],
)

def _fault_points_binary_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = out, target_file = ctx.executable.binary, is_executable = True)
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out]), executable = out)]

fault_points_binary = rule(
    implementation = _fault_points_binary_impl,
    executable = True,
    attrs = {
        "binary": attr.label(mandatory = True, executable = True, cfg = _with_fault_points),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
