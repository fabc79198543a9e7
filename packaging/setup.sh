#!/usr/bin/env bash
# Installs what building, running and testing librettos needs, from Debian's packages. Quick when all is there.
# Usage: packaging/setup.sh [--test] [--xen]     (--test: also what only the tests need; --xen: and the Xen lab). As root.
set -euo pipefail

build=(bazel-bootstrap pkgconf g++ dpkg-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libgrpc++-dev
  libabsl-dev libgtest-dev libgmock-dev libbenchmark-dev libsystemd-dev libseccomp-dev libcli11-dev
  libxen-dev libarchive-dev iproute2 curl ca-certificates procps)
xen=(qemu-system-x86 qemu-utils mmdebstrap e2fsprogs openssh-client python3)
tests=(python-is-python3 wrk iperf iputils-ping python3 clang libclang-rt-14-dev qemu-system-x86)
lwip=/usr/src/librettos/lwip

packages=("${build[@]}")
for option in "$@"; do
  case "$option" in
    --test) packages+=("${tests[@]}") ;;
    --xen) packages+=("${xen[@]}") ;;
    *) echo "setup: unknown option $option" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ] || [ ! -e "$lwip/src/core/tcp.c" ]; then
  [ "$(id -u)" = 0 ] || { echo "setup: run as root to install: ${missing[*]:-} lwip (source)" >&2; exit 1; }
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
fi
[ ${#missing[@]} -eq 0 ] || { echo "setup: installing ${missing[*]}"; apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }

if [ ! -e "$lwip/src/core/tcp.c" ]; then
  # Debian's source package, from the mirrors this machine already uses, without changing its configuration.
  echo "setup: fetching the source package of lwip"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/sources.d" "$work/lists/partial"
  for list in /etc/apt/sources.list.d/*.sources; do
    [ -e "$list" ] && sed -E 's/^Types:.*/Types: deb-src/' "$list" >"$work/sources.d/$(basename "$list")"
  done
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$list" ] && sed -nE 's/^deb(-src)?[[:space:]]/deb-src /p' "$list" >"$work/sources.d/$(basename "$list" .list).list"
  done
  # Only Debian's own archives have it; others may have no sources at all.
  options=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$work/sources.d" -o "Dir::State::lists=$work/lists" -o "APT::Sandbox::User=root")
  apt-get "${options[@]}" update -qq >/dev/null 2>"$work/log" || true
  (cd "$work" && apt-get "${options[@]}" source -qq lwip >"$work/log2" 2>&1) || { cat "$work/log" "$work/log2" >&2; exit 1; }
  mkdir -p "$(dirname "$lwip")"
  rm -rf "$lwip"
  mv "$work"/lwip-*/ "$lwip"
fi
