#!/usr/bin/env bash
# Everything that must hold: formatting, layout, all tests in a release build, and again with AddressSanitizer and
# UndefinedBehaviorSanitizer; where nvcc is, GPU kernels are compiled too. Stops at the first part that fails.
#
#   run_scripts/test.sh
#
# JOBS=N limits compilers and tests that run at once (default: one per processor).
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
began=$SECONDS

part() { printf '\n== %s (after %d s)\n' "$1" $((SECONDS - began)); }

# build FOLDER options...
build() {
    local folder=$1
    shift
    cmake -S . -B "$folder" -G Ninja -DGRAFT_TESTS=ON -DGRAFT_CUDA=OFF "$@" >/dev/null
    ninja -C "$folder" -j "$jobs" --quiet
}

part "packages"
bash run_scripts/setup.sh tests

part "formatting"
sources=$(find . -path './build*' -prune -o -path './.*' -prune -o \( -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' \) -print)
# shellcheck disable=SC2086
clang-format --dry-run --Werror $sources

part "release build"
build build-tests -DCMAKE_BUILD_TYPE=Release

part "layout"
python3 tests/layout_test.py --self-test
python3 tests/layout_test.py . build-tests

part "tests"
ctest --test-dir build-tests --output-on-failure -j "$jobs"

part "recorded references"
python3 tests/reference/compare.py build-tests/graft

part "sanitizer build"
build build-sanitize -DCMAKE_BUILD_TYPE=Debug -DGRAFT_SANITIZE=ON

part "tests under the sanitizers"
ctest --test-dir build-sanitize --output-on-failure -j "$jobs"

part "GPU kernels, compiled for one card"
if nvcc=$(command -v nvcc || command -v /usr/local/cuda/bin/nvcc); then
    CUDACXX=$nvcc cmake -S . -B build-test-cuda -G Ninja -DCMAKE_BUILD_TYPE=Release -DGRAFT_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=90a-real >/dev/null
    ninja -C build-test-cuda -j "$jobs" --quiet graft
    build-test-cuda/graft --version
else
    echo "skipped: no nvcc here"
fi

part "all passed"
