"""@com_google_protobuf made of the system's protoc, libprotobuf and .proto files.

Bazel's native proto_library and cc_proto_library look for these very labels, so
that neither --proto_compiler nor --proto_toolchain_for_cc has to be given.
"""

# Well-known protos that libprotobuf.so already contains, and what each imports.
_WELL_KNOWN = {
    "any": [],
    "api": ["source_context", "type"],
    "descriptor": [],
    "duration": [],
    "empty": [],
    "field_mask": [],
    "source_context": [],
    "struct": [],
    "timestamp": [],
    "type": ["any", "source_context"],
    "wrappers": [],
}

def _tool(ctx, name):
    path = ctx.which(name)
    if not path:
        fail("%s is not installed" % name)
    ctx.symlink(path, name)

def _system_protobuf_impl(ctx):
    _tool(ctx, "protoc")
    _tool(ctx, "grpc_cpp_plugin")
    lines = [
        "package(default_visibility = [\"//visibility:public\"])",
        "exports_files([\"protoc\", \"grpc_cpp_plugin\"])",
        "alias(name = \"protobuf\", actual = \"@system//:protobuf\")",
    ]
    for name, deps in _WELL_KNOWN.items():
        path = "google/protobuf/%s.proto" % name
        ctx.symlink(ctx.attr.include + "/" + path, path)
        lines.append("proto_library(name = %r, srcs = [%r], deps = %r)" % (
            name + "_proto",
            path,
            [":%s_proto" % d for d in deps],
        ))
    lines += [
        "proto_lang_toolchain(",
        "    name = \"cc_toolchain\",",
        "    blacklisted_protos = %r," % [":%s_proto" % n for n in sorted(_WELL_KNOWN.keys())],
        "    command_line = \"--cpp_out=$(OUT)\",",
        "    runtime = \":protobuf\",",
        ")",
        "",
    ]
    ctx.file("BUILD", "\n".join(lines))

system_protobuf = repository_rule(
    implementation = _system_protobuf_impl,
    attrs = {"include": attr.string(default = "/usr/include")},
    environ = ["PATH"],
    configure = True,
    local = True,
)
