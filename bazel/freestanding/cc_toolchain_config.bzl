"""C++ toolchain for images without an operating system, x86-64, Debian's GCC."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load(
    "@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl",
    "feature",
    "flag_group",
    "flag_set",
    "tool_path",
    "with_feature_set",
)

_COMPILE = [
    ACTION_NAMES.assemble,
    ACTION_NAMES.preprocess_assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.cpp_header_parsing,
    ACTION_NAMES.linkstamp_compile,
]
_CXX = [ACTION_NAMES.cpp_compile, ACTION_NAMES.cpp_header_parsing]

def _impl(ctx):
    flags = feature(
        name = "freestanding",
        enabled = True,
        flag_sets = [
            flag_set(actions = _COMPILE, flag_groups = [flag_group(flags = [
                # Not -ffreestanding: it would turn every small memcpy into a call, and libstdc++'s header-only
                # parts off. What an image must not use is missing when it is linked.
                "-DLIBRETTOS_BARE_METAL=1",
                "-U_FORTIFY_SOURCE",
                "-fno-pic",
                "-fno-pie",
                "-mno-red-zone",  # Exceptions that start on the same stack must not spoil it.
                "-mcmodel=kernel",
                # SSE is allowed everywhere: nothing preempts (guest/platform/xen/cpu.h).
                "-fstack-protector-strong",
                "-mstack-protector-guard=global",
                "-Wframe-larger-than=8192",  # Stacks have 64 KiB.
                "-fstack-clash-protection",  # No frame is large enough to step over the guard page.
                "-fcf-protection=none",
                "-fno-asynchronous-unwind-tables",
                "-fno-omit-frame-pointer",
                "-fdata-sections",
                "-ffunction-sections",
                "-g",
            ])]),
            flag_set(actions = _CXX, flag_groups = [flag_group(flags = [
                "-std=gnu++20",
                "-fno-exceptions",
                "-fno-rtti",
                "-fno-threadsafe-statics",
                "-fno-use-cxa-atexit",  # Destructors of statics never run.
            ])]),
            flag_set(
                actions = [ACTION_NAMES.cpp_link_executable],
                flag_groups = [flag_group(flags = [
                    "-nostdlib",
                    "-static",
                    "-no-pie",
                    "-Wl,--build-id=none",
                    "-Wl,--gc-sections",
                    "-Wl,-z,max-page-size=4096",
                    "-Wl,-z,noexecstack",
                    "-Wl,--fatal-warnings",
                ])],
            ),
        ],
    )
    modes = feature(
        name = "modes",
        enabled = True,
        flag_sets = [
            flag_set(
                actions = _COMPILE,
                flag_groups = [flag_group(flags = ["-O2"])],
                with_features = [with_feature_set(features = ["opt"])],
            ),
            flag_set(
                actions = _COMPILE,
                flag_groups = [flag_group(flags = ["-Og"])],
                with_features = [with_feature_set(not_features = ["opt"])],
            ),
        ],
    )
    deterministic = feature(
        name = "deterministic",
        enabled = True,
        flag_sets = [flag_set(actions = _COMPILE, flag_groups = [flag_group(flags = [
            "-no-canonical-prefixes",
            "-fno-canonical-system-headers",
            "-Wno-builtin-macro-redefined",
            "-D__DATE__=\"redacted\"",
            "-D__TIME__=\"redacted\"",
            "-D__TIMESTAMP__=\"redacted\"",
        ])])],
    )
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        toolchain_identifier = "freestanding-x86_64",
        host_system_name = "local",
        target_system_name = "x86_64-elf",
        target_cpu = "x86_64",
        target_libc = "none",
        compiler = "gcc",
        abi_version = "none",
        abi_libc_version = "none",
        cxx_builtin_include_directories = [
            "/usr/lib/gcc/x86_64-linux-gnu/12/include",
            "/usr/include",
        ],
        features = [
            feature(name = "opt"),
            feature(name = "dbg"),
            feature(name = "fastbuild"),
            # Not enabled: supports_pic, supports_dynamic_linker. Archives only.
            flags,
            modes,
            deterministic,
        ],
        tool_paths = [
            tool_path(name = "gcc", path = "/usr/bin/gcc"),
            tool_path(name = "cpp", path = "/usr/bin/cpp"),
            tool_path(name = "ld", path = "/usr/bin/ld.bfd"),
            tool_path(name = "ar", path = "/usr/bin/ar"),
            tool_path(name = "nm", path = "/usr/bin/nm"),
            tool_path(name = "objcopy", path = "/usr/bin/objcopy"),
            tool_path(name = "objdump", path = "/usr/bin/objdump"),
            tool_path(name = "strip", path = "/usr/bin/strip"),
            tool_path(name = "gcov", path = "/usr/bin/gcov"),
            tool_path(name = "dwp", path = "/usr/bin/dwp"),
        ],
    )

freestanding_cc_toolchain_config = rule(
    implementation = _impl,
    attrs = {},
    provides = [CcToolchainConfigInfo],
)
