"""Local stand-ins for the repositories that Bazel 4.2.3 would download.

@bazel_tools//tools/cpp and @bazel_tools//tools/jdk load rules from rules_cc and
rules_java, and every *_test depends on remote_coverage_tools. Of these, C++
builds use only the native rules, so that thin re-exports are enough.
"""

def _inline_repo_impl(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    for path, text in ctx.attr.files.items():
        ctx.file(path, text, executable = path.endswith(".sh"))

inline_repo = repository_rule(
    implementation = _inline_repo_impl,
    attrs = {"files": attr.string_dict(mandatory = True)},
    local = True,
)

def _reexport(rules):
    return "".join(["{0} = native.{0}\n".format(r) for r in rules])

def offline_repositories():
    inline_repo(
        name = "rules_cc",
        files = {
            "BUILD": "",
            "cc/BUILD": "",
            "cc/defs.bzl": _reexport([
                "cc_binary",
                "cc_import",
                "cc_library",
                "cc_proto_library",
                "cc_test",
                "cc_toolchain",
                "cc_toolchain_suite",
            ]),
        },
    )
    inline_repo(
        name = "rules_java",
        files = {
            "BUILD": "",
            "java/BUILD": "",
            "java/defs.bzl": _reexport(["java_import", "java_runtime", "java_toolchain"]),
        },
    )
    inline_repo(
        name = "remote_coverage_tools",
        files = {
            "BUILD": "package(default_visibility = [\"//visibility:public\"])\n" +
                     "filegroup(name = \"coverage_report_generator\", srcs = [\"unavailable.sh\"])\n" +
                     "filegroup(name = \"lcov_merger\", srcs = [\"unavailable.sh\"])\n",
            "unavailable.sh": "#!/bin/sh\necho 'bazel coverage is not available offline' >&2\nexit 1\n",
        },
    )
