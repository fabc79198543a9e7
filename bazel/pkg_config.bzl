"""One external repository, @system, made of what pkg-config knows."""

def _run(ctx, args, what):
    result = ctx.execute(args)
    if result.return_code != 0:
        fail("%s: %s%s" % (what, result.stdout, result.stderr))
    return result.stdout.strip()

def _dedupe_keep_last(items):
    seen = {}
    out = []
    for item in reversed(items):
        if item.startswith("-l"):
            if item in seen:
                continue
            seen[item] = True
        out.append(item)
    return [x for x in reversed(out)]

def _system_libraries_impl(ctx):
    pc = ctx.which("pkg-config")
    if not pc:
        fail("pkg-config is not installed (Debian: pkgconf)")
    for module, version in ctx.attr.min_versions.items():
        _run(ctx, [pc, "--print-errors", "--exists", "%s >= %s" % (module, version)], "system library")
    lines = ["package(default_visibility = [\"//visibility:public\"])", ""]
    for target, modules in sorted(ctx.attr.modules.items()):
        names = modules.split(" ")
        _run(ctx, [pc, "--print-errors", "--exists"] + names, "system library %s" % target)
        cflags = _run(ctx, [pc, "--cflags"] + names, target).split(" ")
        libs = _dedupe_keep_last(_run(ctx, [pc, "--libs"] + names, target).split(" "))
        defines = [f[2:] for f in cflags if f.startswith("-D")]
        linkopts = ["-Wl,--push-state,--as-needed"] + [f for f in libs if f] + ["-Wl,--pop-state"]
        lines += [
            "cc_library(",
            "    name = %r," % target,
            "    defines = %r," % defines,
            "    linkopts = %r," % linkopts,
            ")",
            "",
        ]
    ctx.file("BUILD", "\n".join(lines))

system_libraries = repository_rule(
    implementation = _system_libraries_impl,
    attrs = {
        "min_versions": attr.string_dict(),
        "modules": attr.string_dict(),
    },
    environ = ["PATH", "PKG_CONFIG_PATH"],
    configure = True,
    local = True,
)
