#!/usr/bin/env bash
# Compiles the libraries that have locks with clang, for which a use of guarded data without its lock is an error
# (.bazelrc, clang).
#   test/locks.sh [JUNIT.xml]
set -uo pipefail
cd "$(dirname "$0")/.."
junit=${1:-/dev/null}
options=(--noshow_progress --ui_event_filters=-info)
say() { echo "<testsuite name=\"locks\"><testcase classname=\"locks\" name=\"thread-safety\">$1</testcase></testsuite>" >"$junit"; }

if ! command -v clang >/dev/null; then
  say '<skipped message="clang is not installed (packaging/setup.sh --test installs it)"/>'
  exit 0
fi
mapfile -t files < <(grep -rlE 'GUARDED_BY|EXCLUSIVE_LOCKS_REQUIRED' --include='*.h' --include='*.cc' client daemon hypervisor test)
mapfile -t targets < <(bazel query "${options[@]}" "kind(cc_library, same_pkg_direct_rdeps(set(${files[*]})))")
if [ ${#targets[@]} -eq 0 ]; then
  say '<failure message="no library with locks was found"/>'
  exit 1
fi
if bazel build --config=clang "${options[@]}" --keep_going "${targets[@]}"; then
  say ''
else
  say '<failure/>'
  exit 1
fi
