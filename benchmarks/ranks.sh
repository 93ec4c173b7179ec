#!/usr/bin/env bash
# Two ranks of one thread each against one rank of two threads: prints tokens per second of both, and their ratio, on a LoRA of the embedded example.
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
awk -v one="$one" -v two="$two" 'BEGIN { printf "one rank, two threads: %.0f tokens/s\ntwo ranks, one thread each: %.0f tokens/s\nratio %.2f\n", one, two, two / one }'
