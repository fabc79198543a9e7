#!/usr/bin/env bash
# Shows librettos at its main job on this machine: installs what it needs, builds, runs. As root.
#   ./run.sh          stays up until Ctrl-C, for you to try things
#   ./run.sh --once   does every step, prints a summary, exits 0 only if all of it held
#   ./run.sh --xen    on Xen, which runs in an emulated machine; with or without --once
set -euo pipefail
cd "$(dirname "$0")"
targets=(//daemon:librettosd //client:librettosctl //guest/apps/testing:guest_on_kernel_sockets //test/tools:stream)
images=(//netserver:server //guest/apps:guest)
setup=()
for option in "$@"; do
  case "$option" in
    --once) ;;
    --xen) images=(//netserver:image //guest/apps:image) setup=(--xen) ;;
    *) sed -n '2,5p' "$0" | cut -c3-; exit 2 ;;
  esac
done
[ "$(id -u)" = 0 ] || { echo "run.sh: needs root (network namespaces, TAP interfaces): sudo ./run.sh" >&2; exit 1; }
packaging/setup.sh "${setup[@]}"
bazel build --noshow_progress --ui_event_filters=-info "${targets[@]}" "${images[@]}"
LIBRETTOS_BIN=$(bazel info bazel-bin 2>/dev/null)
export LIBRETTOS_BIN
exec python3 test/main_job.py "$@"
