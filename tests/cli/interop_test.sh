#!/usr/bin/env bash
# What graft merges, transformers computes alike; what torch.save writes, graft reads alike: tests/reference/interop.py, where torch can be imported.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=$root/.venv-reference/bin/python
[ -x "$python" ] || python=python3
"$python" -c 'import torch, transformers, peft' 2>/dev/null || { echo "SKIP: torch, transformers and peft cannot be imported (run_scripts/setup_reference.sh)"; exit 77; }
HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 exec "$python" -B "$root/tests/reference/interop.py" "$1" "$root/../shared/data"
