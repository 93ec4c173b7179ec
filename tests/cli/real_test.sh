#!/usr/bin/env bash
# Real data that nobody here wrote: a trained base, the whole of Dolly, Alpaca, gsm8k. Skips where the shared folder is absent.
source "$(dirname "$0")/lib.sh"
shared=$root/../shared/data
if [ ! -d "$shared" ]; then
    echo "skip: the shared data are not here"
    exit 77
fi
stories=$shared/weights/stories260K_hf

config() { # config NAME FORMAT FILE [template]: a run on one file
    cat >"$work/$1.yaml" <<YAML
model: {path: $stories}
adapter: {peft_type: LORA, r: 8, lora_alpha: 16, target_modules: all-linear}
data:
  train: [{path: $shared/$3, format: $2${4:+, template: $4}}]
  eval_fraction: 0.01 # of training runs
  max_length: 384
  over_length: drop
  accept: [empty_response, unknown_field]
training:
  output_dir: $work/$1
  max_steps: 500
  batch_size: 4
  learning_rate: 2.0e-3
  warmup_ratio: 0.03
  lr_scheduler_type: cosine
  eval_steps: 250
YAML
}

config dolly dolly dolly15k/databricks-dolly-15k.jsonl alpaca
dolly() {
    "$graft" train "$work/dolly.yaml" --quiet training.max_steps=1 training.learning_rate=1e-9 training.output_dir="$work/before" training.eval_steps=1 training.warmup_ratio=0 &&
        "$graft" train "$work/dolly.yaml" --quiet &&
        python3 - "$work/before/metrics.jsonl" "$work/dolly/metrics.jsonl" <<'PY'
import json, sys
before, after = ([json.loads(line)["eval_loss"] for line in open(path) if "eval_loss" in line][-1] for path in sys.argv[1:])
print(f"held-out loss {before:.4f} before, {after:.4f} after 500 steps")
sys.exit(not after < 0.95 * before)
PY
}
claim "LoRA on the real Dolly file lowers the held-out loss" dolly

reports() { # reports NAME PATTERN...: data check says each pattern
    local name=$1
    shift
    sed -e '/of training runs/d' -e '/eval_steps/d' "$work/$name.yaml" >"$work/$name-check.yaml"
    "$graft" data check "$work/$name-check.yaml" data.max_length=1200 --quiet >"$work/report" 2>&1
    cat "$work/report"
    for pattern in "$@"; do grep -qE "$pattern" "$work/report" || { echo "missing: $pattern"; return 1; }; done
}
claim "data check reports on Dolly" reports dolly '15011 records' 'over_length +[1-9]' 'databricks-dolly-15k.jsonl:[0-9]+'
config alpaca alpaca alpaca/gumbelsoft_alpaca_data.json
claim "data check reports on Alpaca" reports alpaca '2000 records' 'over_length +[1-9]'
config gsm8k dolly gsm8k/train.jsonl
claim "data check says what gsm8k lacks" reports gsm8k "train.jsonl:1: field 'instruction' of format dolly is missing"
done_claims
