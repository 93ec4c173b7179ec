#!/usr/bin/env bash
# A Python environment in .venv-reference with PyTorch (CPU), transformers, PEFT and TensorBoard, for what makes or measures against
# references: tests/reference/make.py, benchmarks/ and what reads event files back. Nothing else of graft needs it.
#
#   run_scripts/setup_reference.sh
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(torch==2.15.* transformers==5.23.* peft==0.21.* safetensors==0.8.* tensorboard==2.21.*)
python=.venv-reference/bin/python
stamp=.venv-reference/installed

if [ "$(cat "$stamp" 2>/dev/null)" != "${packages[*]}" ]; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
            echo "setup_reference.sh: Python's venv module is missing; install the package python3-venv" >&2
            exit 2
        fi
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    fi
    [ -x "$python" ] || python3 -m venv .venv-reference
    "$python" -m pip install --quiet "${packages[@]}"
    echo "${packages[*]}" >"$stamp"
fi
"$python" -c 'import torch, transformers, peft; print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__)'
