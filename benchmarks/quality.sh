#!/usr/bin/env bash
# What an adapter learns, and how long it takes: the embedded question task (or any base and files of that form), several seeds, as a Markdown table.
#
#   benchmarks/quality.sh [--method lora] [--base DIR --train FILE --test FILE] [--steps 600] [--seeds "1 2 3"] [--threads 1] [--peft SCRIPT]
#                         [--set training.learning_rate=1.0e-2 ..]
#
# --method is a row of `methods` below; --set changes any setting of graft's side and may be repeated. --peft SCRIPT runs PEFT's side too: a program that takes --method NAME --lr RATE --steps N
# --seed N --base --train --test --threads and prints one JSON line with exact_match, heldout_loss and train_s (PYTHON names its interpreter, default: what run_scripts/setup_reference.sh made).
# GRAFT names the program (default: build/graft). Keep the machine otherwise idle.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
graft=${GRAFT:-$root/build/graft}
python=${PYTHON:-$root/.venv-reference/bin/python}
base=$root/examples/base train=$root/examples/tiny_world/train.jsonl test=$root/examples/tiny_world/eval.jsonl steps=600 seeds="1 2 3" threads=1 peft=
method=lora settings=()
while [ $# -gt 0 ]; do
    case $1 in
    --method | --base | --train | --test | --steps | --seeds | --threads | --peft) printf -v "${1#--}" %s "$2" ;;
    --set) settings+=("$2") ;;
    *)
        echo "quality.sh: unknown option $1" >&2
        exit 2
        ;;
    esac
    shift 2
done
task="Read the story and answer the question about it with a few words from the story."
# The method, its name for SCRIPT (-: PEFT has no such start), its learning rate, its section of the configuration.
methods="
lora              lora          5.0e-3 {peft_type: LORA, r: 8, lora_alpha: 16, target_modules: all-linear}
prefix            prefix        1.0e-1 {peft_type: PREFIX_TUNING, num_virtual_tokens: 16}
prefix_text       -             1.0e-1 {peft_type: PREFIX_TUNING, num_virtual_tokens: 16, prefix_init_text: '$task'}
prefix_projection prefix_proj   3.0e-3 {peft_type: PREFIX_TUNING, num_virtual_tokens: 16, prefix_projection: true, encoder_hidden_size: 128}
prompt_random     prompt_random 1.0e-1 {peft_type: PROMPT_TUNING, num_virtual_tokens: 16, prompt_tuning_init: RANDOM}
prompt_vocab      prompt_vocab  1.0e-1 {peft_type: PROMPT_TUNING, num_virtual_tokens: 16, prompt_tuning_init: SAMPLE_VOCAB}
prompt_text       prompt_text   1.0e-1 {peft_type: PROMPT_TUNING, num_virtual_tokens: 16, prompt_tuning_init: TEXT, prompt_tuning_init_text: '$task'}
p_mlp             ptuning_mlp   1.0e-2 {peft_type: P_TUNING, num_virtual_tokens: 16, encoder_reparameterization_type: MLP, encoder_hidden_size: 128}
p_lstm            ptuning_lstm  1.0e-2 {peft_type: P_TUNING, num_virtual_tokens: 16, encoder_reparameterization_type: LSTM, encoder_hidden_size: 128}
"
read -r _ peft_method rate adapter < <(grep "^$method " <<<"$methods") || {
    echo "quality.sh: no method $method; there are$(awk 'NF {printf " %s", $1}' <<<"$methods")" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prompt=$'{context}\nQuestion: {instruction}\nAnswer:'

echo "| seed | graft exact match | held-out loss | seconds of training | PEFT exact match | held-out loss | seconds of training |"
echo "|---|---|---|---|---|---|---|"
for seed in $seeds; do
    cat >"$work/run.yaml" <<YAML
model: {path: $base, dtype: float32}
adapter: $adapter
data:
  train: [{path: $train, format: dolly, template: {prompt: "{context}\nQuestion: {instruction}\nAnswer:", response: " {response}"}}]
  max_length: 512
  over_length: error
training: {output_dir: $work/run, max_steps: $steps, batch_size: 16, learning_rate: $rate, lr_scheduler_type: cosine, warmup_ratio: 0.05, seed: $seed}
YAML
    "$graft" train "$work/run.yaml" --force --quiet --threads "$threads" "${settings[@]}" >/dev/null
    "$graft" evaluate --model "$base" --adapter "$work/run" --data "$test" --format dolly --template-prompt "$prompt" --template-response " {response}" --output "$work/result.json" --threads "$threads" --force --quiet >/dev/null
    : >"$work/peft.json"
    [ -z "$peft" ] || [ "$peft_method" = - ] || "$python" "$peft" --method "$peft_method" --lr "$rate" --steps "$steps" --seed "$seed" --base "$base" --train "$train" --test "$test" --threads "$threads" 2>/dev/null | tail -n 1 >"$work/peft.json"
    python3 - "$seed" "$work" <<'PY'
import json, os, sys
seed, work = sys.argv[1:]
result, manifest = (json.load(open(os.path.join(work, name))) for name in ("result.json", "run/manifest.json"))
line = open(os.path.join(work, "peft.json")).read()
peft = json.loads(line) if line.strip() else None
cells = [seed, f"{result['exact_match']['mean']:.1%}", f"{result['loss']['mean']:.4f}", f"{manifest['seconds']:.1f}"]
cells += [f"{peft['exact_match']:.1%}", f"{peft['heldout_loss']:.4f}", f"{peft['train_s']:.1f}"] if peft else ["-"] * 3
print("| " + " | ".join(cells) + " |", flush=True)
PY
done
