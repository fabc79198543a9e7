"""Programs that were broken on purpose, for tests of a test: does it see the defect?"""

def mutant(name, src, remove, put = ""):
    """`name`.cc: a copy of `src` in which `remove`, which occurs exactly once, is replaced by `put`."""
    native.genrule(
        name = name + "_source",
        testonly = True,
        srcs = [src],
        outs = [name + ".cc"],
        cmd = "python3 $(location //bazel:mutate.py) $< $@ '%s' '%s'" % (remove, put),
        tools = ["//bazel:mutate.py"],
    )
