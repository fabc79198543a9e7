#!/usr/bin/env bash
# Prints all tables of docs/performance.md, and what they were measured on. As root, from the repository's root.
# Usage: test/bench/all.sh [--quick]        (--quick: a look, in about a tenth of the time)
set -euo pipefail
cd "$(dirname "$0")/../.."

declare -A full=([channel]="" [memif]="" [throughput]="" [pauses]="" [failover]="" [hostile]="" [loss]="" [guests]="" [driver_domain]="")
declare -A quick=([channel]="0.1" [memif]="--rounds 2 --seconds 2" [throughput]="--rounds 2" [pauses]="--events 10" [failover]="--events 5 --guests 1,64"
  [hostile]="--rounds 2" [loss]="--rounds 1" [guests]="--counts 1,16" [driver_domain]="--rounds 1")

bazel build //test/bench/... 2>&1 | tail -1
echo "on: $(uname -sr), $(nproc) CPUs, $(grep -m1 '^model name' /proc/cpuinfo | cut -d: -f2-), $(awk '/MemTotal/ {print int($2 / 1048576)}' /proc/meminfo) GiB"
for name in channel memif throughput pauses failover hostile loss guests driver_domain; do
  read -ra options <<<"${full[$name]}"
  [ "${1:-}" != --quick ] || read -ra options <<<"${quick[$name]}"
  printf '\n== %s, load %s\n' "$name" "$(cut -d' ' -f1 /proc/loadavg)"
  # One that fails does not keep the others from being measured.
  ".bazel/bin/test/bench/$name" "${options[@]}" || echo "$name: failed with $?" >&2
done
