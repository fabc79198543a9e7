#!/usr/bin/env bash
# Shows librettos at its main job on this machine: installs what it needs, builds, runs. As root.
#   ./run.sh          stays up until Ctrl-C, for you to try things
#   ./run.sh --once   does every step, prints a summary, exits 0 only if all of it held
set -euo pipefail
cd "$(dirname "$0")"
case "${1:-}" in '' | --once) ;; *) sed -n '2,4p' "$0" | cut -c3-; exit 2 ;; esac
[ "$(id -u)" = 0 ] || { echo "run.sh: needs root (network namespaces, TAP interfaces): sudo ./run.sh" >&2; exit 1; }
packaging/setup.sh
bazel build --noshow_progress --ui_event_filters=-info //daemon:librettosd //client:librettosctl //netserver:server \
  //guest/apps:guest //guest/apps/testing:guest_on_kernel_sockets //test/tools:stream
LIBRETTOS_BIN=$(bazel info bazel-bin 2>/dev/null)
export LIBRETTOS_BIN
exec python3 test/main_job.py "$@"
