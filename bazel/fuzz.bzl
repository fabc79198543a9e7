"""Fuzz tests: a file with LLVMFuzzerTestOneInput, beside the code that it fuzzes, and a corpus of inputs as text.

Built in two ways:
- as any test: replays the corpus (bazel/corpus_main.cc), which is quick, with whatever compiler and sanitizer;
- with --config=fuzz: a libFuzzer binary under AddressSanitizer and UndefinedBehaviorSanitizer, run by test/fuzz.sh.
"""

def cc_fuzz_test(name, deps, srcs = None, corpus = None, tags = [], **kwargs):
    """`name` ends with _fuzz; srcs: [name + ".cc"]; corpus: testdata/<name without _fuzz>_corpus/."""
    corpus = corpus or "testdata/%s_corpus" % name[:-len("_fuzz")]
    native.cc_test(
        name = name,
        size = "small",
        srcs = srcs or [name + ".cc"],
        args = [native.package_name() + "/" + corpus],
        data = native.glob([corpus + "/*"]),
        linkopts = select({
            "//bazel:fuzzing": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        tags = tags + ["fuzz"],
        deps = deps + ["//bazel:fuzz_input"] + select({
            "//bazel:fuzzing": [],
            "//conditions:default": ["//bazel:corpus_main"],
        }),
        **kwargs
    )
