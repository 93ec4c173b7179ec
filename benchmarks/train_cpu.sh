#!/usr/bin/env bash
# LoRA training on this CPU, graft beside PyTorch + PEFT, or other adapters of graft beside its LoRA, as a Markdown table (train_cpu.py says what is measured).
#
#   benchmarks/train_cpu.sh [--shape smollm_135m] [--steps 6] [--batch 4] [--trained-share 1.0] [--full-length]
#                           [--max-length 512] [--dtype float32] [--threads N] [--repeat 1]
#                           [--method prefix|prefix_projection|prompt|p_mlp|p_lstm ..]
#
# PYTHON names a Python with torch, transformers and peft (default: what run_scripts/setup_reference.sh made), GRAFT the
# program (default: build/graft). Keep the machine otherwise idle.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv-reference/bin/python}
graft=${GRAFT:-build/graft}

[ -x "$graft" ] || { echo "train_cpu.sh: no program $graft; run run_scripts/build.sh" >&2; exit 2; }
"$python" -c 'import peft' || { echo "train_cpu.sh: no peft in $python; run run_scripts/setup_reference.sh or set PYTHON" >&2; exit 2; }
exec "$python" benchmarks/train_cpu.py --graft "$graft" --python "$python" "$@"
