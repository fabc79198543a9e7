#!/usr/bin/env bash
# The long form of the tests of faults: 10,000 mode changes, 1,000 deaths and 200 hangs of servers, 200 upgrades, 200 deaths of
# the daemon with random pauses (test/system/soak_test.py), then every fault at every step of the protocols
# (test/system/fault_points_test.py). As root; about half an hour.
#   test/soak.sh [SHARE]     SHARE of the soak: 1
set -euo pipefail
cd "$(dirname "$0")/.."
packaging/setup.sh --test
exec bazel test --noshow_progress --ui_event_filters=-info --cache_test_results=no --test_output=streamed \
  --test_env=LIBRETTOS_SOAK="${1:-1}" --test_env=LIBRETTOS_FAULTS=all //test/system:soak_test //test/system:fault_points_test
