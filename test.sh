#!/usr/bin/env bash
# Builds everything and runs every test: all targets once as built, the unit tests again under AddressSanitizer and
# UndefinedBehaviorSanitizer. The last line counts test cases. As root: system tests make network namespaces.
#   ./test.sh [BAZEL TARGETS …]     default: //... and the sanitizers; with targets: only those, without sanitizers
set -uo pipefail
cd "$(dirname "$0")"
packaging/setup.sh --test --xen || exit 1

options=(--noshow_progress --ui_event_filters=-info --keep_going)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
status=0

if [ $# -gt 0 ]; then
  bazel test "${options[@]}" --build_event_json_file="$results/plain.json" "$@" || status=1
else
  bazel build "${options[@]}" //... || status=1
  bazel test "${options[@]}" --build_event_json_file="$results/plain.json" //... || status=1
  bazel test "${options[@]}" --config=asan --test_tag_filters=-system,-no-sanitizer --build_tests_only \
    --build_event_json_file="$results/asan.json" //... || status=1
fi
python3 test/lib/summary.py "$results"/*.json || status=1
exit $status
