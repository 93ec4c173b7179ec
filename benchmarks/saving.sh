#!/usr/bin/env bash
# What saving costs: the seconds for which an adapter and a checkpoint stop a run, as a share of all of its seconds, at save_steps = 100. One run, one ratio.
#
#   benchmarks/saving.sh [GRAFT] [FOLDER]
#
# All steps have the same number of tokens, so a step's seconds follow from its rate. A save stands behind a step's line, so its seconds are what the next step
# took longer than the middle one of all. FOLDER is on the disk to be measured. The adapter is large beside the embedded example: with a real model, whose steps are
# longer, the share is smaller. A figure holds only on an otherwise idle machine.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
graft=${1:-$root/build/graft}
work=$(mktemp -d ${2:+-p "$2"})
trap 'rm -rf "$work"' EXIT
python3 - "$work/tokens.jsonl" <<'PY'
import json, random, sys
chance = random.Random(1)
with open(sys.argv[1], "w") as file:
    for _ in range(64):
        file.write(json.dumps({"ids": [chance.randrange(3, 200) for _ in range(256)]}) + "\n")
PY
cat >"$work/run.yaml" <<YAML
model: {path: $root/examples/base, dtype: float32}
adapter: {peft_type: LORA, r: 16, lora_alpha: 32, target_modules: all-linear}
data: {train: [{path: $work/tokens.jsonl, format: tokens}], max_length: 256, over_length: error}
training: {output_dir: $work/out, max_steps: 201, batch_size: 8, micro_batch_tokens: 512, learning_rate: 1.0e-4, logging_steps: 1, save_steps: 100, save_total_limit: 1}
YAML
"$graft" train "$work/run.yaml" --quiet >/dev/null 2>&1
python3 - "$work/out/metrics.jsonl" <<'PY'
import json, statistics, sys
seconds = [8 * 256 / json.loads(line)["tokens_per_second"] for line in open(sys.argv[1])][1:]  # the first step also warms up
usual = statistics.median(seconds)
pauses = [seconds[step - 1] - usual for step in (100, 200)]
print(f"a step: {1000 * usual:.0f} ms; a save: " + ", ".join(f"{1000 * pause:.1f} ms" for pause in pauses) + f" (steps differ by {1000 * statistics.pstdev(seconds):.1f} ms)")
print(f"share of the run at save_steps = 100: {100 * max(pauses) / (100 * usual):.3f} %")
PY
