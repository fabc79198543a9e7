"""gRPC C++ stubs from a proto_library, made by the system's protoc and plugin."""

def _stem(proto, ext):
    return proto.basename[:-len(".proto")] + ext

def _grpc_sources_impl(ctx):
    info = ctx.attr.proto[ProtoInfo]
    hdrs, srcs = [], []
    for p in info.direct_sources:
        hdrs.append(ctx.actions.declare_file(_stem(p, ".grpc.pb.h"), sibling = p))
        srcs.append(ctx.actions.declare_file(_stem(p, ".grpc.pb.cc"), sibling = p))
    args = ctx.actions.args()
    args.add("--plugin=protoc-gen-grpc=" + ctx.executable._plugin.path)
    root = info.proto_source_root
    args.add("--grpc_out=" + (ctx.bin_dir.path if root == "." else root))
    args.add_all(info.transitive_proto_path, format_each = "--proto_path=%s")
    args.add("--proto_path=external/com_google_protobuf")
    args.add_all(info.direct_sources)
    ctx.actions.run(
        executable = ctx.executable._protoc,
        arguments = [args],
        inputs = info.transitive_sources,
        tools = [ctx.executable._plugin],
        outputs = hdrs + srcs,
        mnemonic = "GrpcCc",
        progress_message = "Generating gRPC C++ for %s" % ctx.label,
    )
    return [
        DefaultInfo(files = depset(hdrs + srcs)),
        OutputGroupInfo(hdrs = depset(hdrs), srcs = depset(srcs)),
    ]

_grpc_sources = rule(
    implementation = _grpc_sources_impl,
    attrs = {
        "proto": attr.label(mandatory = True, providers = [ProtoInfo]),
        "_plugin": attr.label(default = "@com_google_protobuf//:grpc_cpp_plugin", allow_single_file = True, executable = True, cfg = "exec"),
        "_protoc": attr.label(default = "@com_google_protobuf//:protoc", allow_single_file = True, executable = True, cfg = "exec"),
    },
)

def cc_grpc_library(name, proto, deps, **kwargs):
    """A cc_library of the services in `proto`; `deps` holds its cc_proto_library."""
    _grpc_sources(name = name + "_gen", proto = proto)
    native.filegroup(name = name + "_hdrs", srcs = [name + "_gen"], output_group = "hdrs")
    native.filegroup(name = name + "_srcs", srcs = [name + "_gen"], output_group = "srcs")
    native.cc_library(
        name = name,
        srcs = [name + "_srcs"],
        hdrs = [name + "_hdrs"],
        deps = deps + ["@system//:grpcpp"],
        **kwargs
    )
