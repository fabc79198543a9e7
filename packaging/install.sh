#!/usr/bin/env bash
# Builds librettos and installs it on this host: /usr/sbin/librettosd and its service, /usr/bin/librettosctl, the images of
# domains, manual pages. In Xen's domain 0 also the images for Xen, and the PCI back end is loaded at boot. As root.
#
# Usage: packaging/install.sh [--no-build] [--no-start] [--destdir DIR] [--uninstall]
#   --no-build     install what was built before
#   --no-start     do not enable and start the service
#   --destdir DIR  install below DIR, which makes nothing run; for packages
#   --uninstall    stop the daemon and remove what was installed; domains, state and logs stay
set -euo pipefail
cd "$(dirname "$0")/.."

build=1 start=1 destdir='' uninstall=0
while [ $# -gt 0 ]; do
  case "$1" in
    --no-build) build=0 ;;
    --no-start) start=0 ;;
    --destdir) destdir=${2:?--destdir needs a directory}; start=0; shift ;;
    --uninstall) uninstall=1 ;;
    *) sed -n '2,9s/^# \?//p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[ -n "$destdir" ] || [ "$(id -u)" = 0 ] || { echo "install: run as root, or give --destdir" >&2; exit 1; }

# What is built: Bazel's target, its file, where it goes. Images for Xen are built everywhere: a host may get Xen later.
artifacts=(
  "//daemon:librettosd daemon/librettosd usr/sbin/librettosd"
  "//client:librettosctl client/librettosctl usr/bin/librettosctl"
  "//netserver:server netserver/server usr/libexec/librettos/librettos-netserver"
  "//guest/apps:guest guest/apps/guest usr/libexec/librettos/librettos-guest"
  "//netserver:image netserver/image.elf usr/libexec/librettos/librettos-netserver.elf"
  "//guest/apps:image guest/apps/image.elf usr/libexec/librettos/librettos-guest.elf"
)
files=(
  "packaging/librettosd.service usr/lib/systemd/system/librettosd.service"
  "packaging/man/librettosctl.1 usr/share/man/man1/librettosctl.1"
  "packaging/man/librettosd.8 usr/share/man/man8/librettosd.8"
)
modules=etc/modules-load.d/librettos-xen.conf

on_xen() { grep -qs control_d /proc/xen/capabilities || grep -qs '^0\{8\}-0000-0000-0000-0\{12\}$' /sys/hypervisor/uuid; }

if [ $uninstall = 1 ]; then
  [ -n "$destdir" ] || systemctl disable --now librettosd.service 2>/dev/null || true
  for line in "${artifacts[@]}" "${files[@]}"; do rm -f "$destdir/${line##* }"; done
  rm -f "$destdir/$modules"
  rmdir --ignore-fail-on-non-empty "$destdir/usr/libexec/librettos" 2>/dev/null || true
  [ -n "$destdir" ] || systemctl daemon-reload
  echo "install: removed; domains that run, /var/lib/librettos and /var/log/librettos are left"
  exit 0
fi

if [ $build = 1 ]; then
  packaging/setup.sh
  targets=()
  for line in "${artifacts[@]}"; do targets+=("${line%% *}"); done
  bazel build -c opt "${targets[@]}"
fi
for line in "${artifacts[@]}"; do
  read -r target file path <<<"$line"
  [ -e ".bazel/bin/$file" ] || { echo "install: $target is not built; run without --no-build" >&2; exit 1; }
  # Replaced, not written over: domains may run the old one.
  install -D -m 0755 ".bazel/bin/$file" "$destdir/$path.new"
  mv "$destdir/$path.new" "$destdir/$path"
done
for line in "${files[@]}"; do
  read -r file path <<<"$line"
  install -D -m 0644 "$file" "$destdir/$path"
done
[ -n "$destdir" ] && { echo "install: installed below $destdir"; exit 0; }

if on_xen; then
  echo xen-pciback >"/$modules"
  modprobe xen-pciback || { echo "install: this kernel has no xen-pciback, so that no NIC can be given to a domain" >&2; exit 1; }
fi
systemctl daemon-reload
if [ $start = 1 ]; then
  systemctl enable librettosd.service
  systemctl restart librettosd.service
  librettosctl server list >/dev/null
  echo "install: librettosd runs; next: librettosctl nic create --help"
else
  echo "install: installed; start it with: systemctl enable --now librettosd"
fi
