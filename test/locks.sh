#!/usr/bin/env bash
# Compiles what has locks with clang, for which a use of guarded data without its lock is an error (.bazelrc, clang).
#   test/locks.sh [JUNIT.xml]
set -uo pipefail
cd "$(dirname "$0")/.."
junit=${1:-/dev/null}
say() { echo "<testsuite name=\"locks\"><testcase classname=\"locks\" name=\"thread-safety\">$1</testcase></testsuite>" >"$junit"; }

if ! command -v clang >/dev/null; then
  say '<skipped message="clang is not installed (packaging/setup.sh --test installs it)"/>'
  exit 0
fi
if bazel build --config=clang --noshow_progress --ui_event_filters=-info --keep_going \
  //daemon:librettosd //client:all //hypervisor:all //hypervisor/process; then
  say ''
else
  say '<failure/>'
  exit 1
fi
