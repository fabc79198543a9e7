#!/usr/bin/env bash
# Runs each fuzzer (bazel/fuzz.bzl) on its corpus, under AddressSanitizer and UndefinedBehaviorSanitizer, some at a time.
#   test/fuzz.sh [SECONDS [JUNIT.xml [NAME …]]]     default: 20 seconds each, all of them
# A finding fails, and leaves its input as hexadecimal text in ./findings.hex, to become a line of the corpus.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
junit=${2:-}
shift $(($# < 2 ? $# : 2))

options=(--config=fuzz --noshow_progress --ui_event_filters=-info)
if ! clang++ -fsanitize=fuzzer,address,undefined -x c++ -o /dev/null - 2>/dev/null \
  <<<'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'; then
  echo "fuzz: skipped: clang with libFuzzer is not installed (packaging/setup.sh --test installs it)" >&2
  exec python3 test/lib/fuzz.py --instead skipped "clang with libFuzzer is not installed" --junit "$junit"
fi
mapfile -t targets < <(bazel query --noshow_progress --ui_event_filters=-info 'attr(tags, "\bfuzz\b", tests(//...))')
nice -n 10 bazel build "${options[@]}" "${targets[@]}" ||
  exec python3 test/lib/fuzz.py --instead failure "the fuzzers do not build" --junit "$junit"
exec nice -n 10 python3 test/lib/fuzz.py --seconds "$seconds" --junit "$junit" \
  --binaries "$(bazel info "${options[@]}" bazel-bin)" "${targets[@]}" ${1:+--only "$@"}
