"""What a test with threads is linked with under --config=tsan."""

# Debian's abseil and gRPC were not built with ThreadSanitizer: this says what abseil's locks do, and passes over gRPC.
TSAN = select({
    "//bazel:tsan": ["//bazel/tsan"],
    "//conditions:default": [],
})
