#!/usr/bin/env bash
# Builds everything and runs every test: all targets once as built, the unit tests again under AddressSanitizer and
# UndefinedBehaviorSanitizer, those with threads under ThreadSanitizer, the use of locks by clang, and each fuzzer for
# FUZZ_SECONDS (20; 60 for a whole check). The last line counts test cases. As root: system tests make network namespaces.
#   ./test.sh [--xen] [BAZEL TARGETS …]     default: //... and all of the above; with targets: only those, as built
#   --xen: also the tests in the Xen lab (an emulated machine with Xen; needs 6 GiB of memory and tens of minutes)
set -uo pipefail
shopt -s nullglob
cd "$(dirname "$0")"
setup=(--test) filter=-xen
if [ "${1:-}" = --xen ]; then
  setup+=(--xen) filter=
  shift
fi
packaging/setup.sh "${setup[@]}" || exit 1

options=(--noshow_progress --ui_event_filters=-info --keep_going)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
status=0

if [ $# -gt 0 ]; then
  bazel test "${options[@]}" --build_event_json_file="$results/plain.json" "$@" || status=1
else
  bazel build "${options[@]}" //... || status=1
  bazel test "${options[@]}" --test_tag_filters=$filter --build_event_json_file="$results/plain.json" //... || status=1
  bazel test "${options[@]}" --config=asan --test_tag_filters=-system,-no-sanitizer --build_tests_only \
    --build_event_json_file="$results/asan.json" //... || status=1
  nice bazel test "${options[@]}" --config=tsan --build_event_json_file="$results/tsan.json" //... || status=1
  nice test/locks.sh "$results/locks.xml" || status=1
  test/fuzz.sh "${FUZZ_SECONDS:-20}" "$results/fuzz.xml" || status=1
fi
[ -z "$filter" ] || echo "not run: the tests in the Xen lab (./test.sh --xen)"
python3 test/lib/summary.py "$results"/*.{json,xml} || status=1
exit $status
