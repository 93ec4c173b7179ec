#!/usr/bin/env bash
# Configures and builds graft; the program is then build/graft.
#
#   run_scripts/build.sh
#
# JOBS=N limits how many files are compiled at once (default: one per processor).
set -euo pipefail
cd "$(dirname "$0")/.."

bash run_scripts/setup.sh
said=$(cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release 2>&1) || { echo "$said" >&2; exit 1; }
ninja -C build -j "${JOBS:-$(nproc)}" graft
echo "built build/graft: $(build/graft --version)"
