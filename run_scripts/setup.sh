#!/usr/bin/env bash
# Installs what building graft needs from Debian or Ubuntu packages; with the argument `ranks` also what training with several ranks needs, with
# `tests` all that the tests need.
#
#   run_scripts/setup.sh [ranks | tests]
#
# Installs only what is missing, and only as root; otherwise it says exactly what is missing and stops. Nothing is
# downloaded when everything is there.
set -euo pipefail

# ocl-icd-opencl-dev: Debian's oneDNN is built with OpenCL, and its CMake file asks for it though graft does not use it.
packages=(gcc g++ cmake ninja-build pkg-config python3
          libjansson-dev libyaml-dev libpcre2-dev libutf8proc-dev zlib1g-dev libdnnl-dev ocl-icd-opencl-dev libssl-dev libhdf5-dev)
ranks=(libopenmpi-dev openmpi-bin)
case "${1-}" in
"") ;;
ranks) packages+=("${ranks[@]}") ;;
tests) packages+=("${ranks[@]}" libcmocka-dev clang-format gzip git) ;;
*)
    echo "setup.sh: unknown argument '$1': nothing, 'ranks' or 'tests' is wanted" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "setup.sh: not a Debian-like system, so nothing was checked; the build needs (Debian's names): ${packages[*]}" >&2
    exit 0 # CMake names what it does not find
fi

# pkg-config is a transitional package of pkgconf, and python3 may come from elsewhere: a command found is enough for both.
missing=()
for package in "${packages[@]}"; do
    case $package in
    pkg-config | python3 | git | gzip) command -v "$package" >/dev/null && continue ;;
    esac
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "setup.sh: missing packages: ${missing[*]}" >&2
    echo "install them with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 2
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
