#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: all that only a GPU can prove, then benchmarks, in nine minutes at most. tests/gpu_check.py says what runs.
#
#   run_scripts/gpu_check.sh [BUILD] [options of tests/gpu_check.py]
#
# BUILD is a portable folder (a build with -DGRAFT_PORTABLE=ON makes BUILD/portable, here or elsewhere) or a build folder with tests; without it one is built
# here, which takes minutes of its own. Results go to the folder OUT (default: benchmarks/results). Without a GPU nothing runs, and the exit status is 1;
# --device cpu rehearses everything on the processors.
set -euo pipefail
out=$(realpath -m "${OUT:-$(dirname "$0")/../benchmarks/results}")
build=
case ${1-} in
"" | -*) ;;
*)
    build=$(realpath -m "$1")
    shift
    ;;
esac
cd "$(dirname "$0")/.."

if [ -z "$build" ]; then
    build=build-gpu-check
    CUDACXX=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)} \
        cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGRAFT_CUDA=ON -DGRAFT_TESTS=ON >/dev/null
    ninja -C $build --quiet
fi
exec python3 -B tests/gpu_check.py "$build" "$out" "$@"
