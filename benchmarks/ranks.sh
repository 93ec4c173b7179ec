#!/usr/bin/env bash
# Two ranks of one thread each against one rank of two threads: prints tokens per second of both, and their ratio, on a LoRA of the embedded example; what a
# meeting of two ranks takes, and the share that is of such a step; and how fast bytes go between two ranks, through MPI (shared memory) and TCP (loopback).
#
#   benchmarks/ranks.sh [GRAFT]
#
# A figure holds only on an otherwise idle machine of two cores or more.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
graft=${1:-$root/build/graft}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/run.yaml" <<YAML
model: {path: $root/examples/base, dtype: float32}
adapter: {peft_type: LORA, r: 16, lora_alpha: 32, target_modules: all-linear}
data:
  train: [{path: $root/examples/tiny_world/train.jsonl, format: dolly, template: {prompt: "{context}\nQuestion: {instruction}\nAnswer:", response: " {response}"}}]
  max_length: 256
  over_length: error
training: {output_dir: $work/out, max_steps: 60, batch_size: 64, micro_batch_tokens: 512, learning_rate: 1.0e-4, logging_steps: 20}
YAML

rate() { # rate COMMAND...: tokens per second of the last forty steps, the better of three runs
    for _ in 1 2 3; do
        "$@" --force --quiet >/dev/null 2>&1
        python3 -c 'import json, sys; r = [json.loads(l)["tokens_per_second"] for l in open(sys.argv[1])][-2:]; print(sum(r) / len(r))' "$work/out/metrics.jsonl"
    done | sort -g | tail -n 1
}

one=$(rate "$graft" train "$work/run.yaml" --threads 2)
two=$(GRAFT=$graft rate "$root/run_scripts/train_multi_rank.sh" 2 "$work/run.yaml" --threads 1)
step=$(python3 -c 'import json, sys; r = [json.loads(l) for l in open(sys.argv[1])]; print(json.load(open(sys.argv[2]))["seconds"] / r[-1]["step"])' \
    "$work/out/metrics.jsonl" "$work/out/manifest.json")
awk -v one="$one" -v two="$two" 'BEGIN { printf "one rank, two threads: %.0f tokens/s\ntwo ranks, one thread each: %.0f tokens/s\nratio %.2f\n", one, two, two / one }'

between=$(dirname "$graft")/benchmark_ranks
[ -x "$between" ] || cmake --build "$(dirname "$graft")" --target benchmark_ranks >/dev/null
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun --oversubscribe --bind-to none -n 2 "$between" | tee "$work/mpi"
export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$((20000 + RANDOM % 12000))
RANK=1 "$between" &
RANK=0 "$between"
wait
awk -v step="$step" '{ for (i = 1; i < NF; i++) if ($i == "meeting") printf "a step takes %.1f ms, of which the meeting is %.4f %%\n", step * 1e3, $(i + 1) / (step * 1e4) }' "$work/mpi"
