#!/usr/bin/env bash
# What a training run promises, shown on a short run of the embedded example.
source "$(dirname "$0")/lib.sh"

config() { # config NAME: a short run of the embedded example
    cat >"$work/$1.yaml" <<YAML
model: {path: $root/examples/base, dtype: float32}
adapter: {peft_type: LORA, r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}
$(example_data 24 8)
training:
  output_dir: $work/$1
  max_steps: 6
  batch_size: 6
  learning_rate: 5.0e-3
  lr_scheduler_type: constant
  logging_steps: 1
  eval_steps: 3
  seed: 7
YAML
}

train() { # train NAME [key=value | --option ...]
    local name=$1
    shift
    config "$name"
    "$graft" train "$work/$name.yaml" --quiet "$@"
}

same_adapter() { cmp "$work/$1/adapter_model.safetensors" "$work/$2/adapter_model.safetensors"; }

# Losses and gradient norms of two runs, step by step: the first to rounding, the later ones to what AdamW makes of rounding.
near() {
    python3 - "$work/$1/metrics.jsonl" "$work/$2/metrics.jsonl" <<'PY'
import json, sys
a, b = ([json.loads(line) for line in open(path) if "grad_norm" in line] for path in sys.argv[1:3])
worst = [max(abs(x[k] - y[k]) / abs(x[k]) for k in ("loss", "grad_norm")) for x, y in zip(a, b)]
print("relative differences per step:", worst)
sys.exit(not (len(a) == len(b) == 6 and worst[0] <= 1e-6 and max(worst) <= 1e-3))
PY
}

metric() { # metric NAME FIELD: its values, a line each
    python3 -c 'import json, sys
for line in open(sys.argv[1]):
    record = json.loads(line)
    if sys.argv[2] in record: print(record[sys.argv[2]])' "$work/$1/metrics.jsonl" "$2"
}

loss_falls() { metric once loss | python3 -c 'import sys; l = [float(x) for x in sys.stdin]; print(l); sys.exit(not l[-1] < 0.8 * l[0])'; }
files_are_there() { for f in adapter_config.json adapter_model.safetensors README.md config.yaml manifest.json metrics.jsonl best/adapter_model.safetensors; do [ -s "$work/once/$f" ] || { echo "$f"; return 1; }; done; }
saved_configuration_reads_back() { "$graft" train "$work/once/config.yaml" --quiet "training.output_dir=$work/again" && same_adapter once again; }

interrupt() { # a signal ends the run after a step, with the adapter saved and exit status 130
    config stopped
    "$graft" train "$work/stopped.yaml" --quiet training.max_steps=100000 training.eval_steps=0 &
    local pid=$! got=0
    for _ in $(seq 600); do [ -s "$work/stopped/metrics.jsonl" ] && break; sleep 0.1; done
    kill -INT "$pid"
    wait "$pid" || got=$?
    [ "$got" = 130 ] && [ -s "$work/stopped/adapter_model.safetensors" ] && grep -q interrupted "$work/stopped/manifest.json"
}

blown_up() { # a loss that is not finite is a failure, and the last good adapter is kept aside
    expect 1 "not finite" train blown training.learning_rate=1e3 training.max_grad_norm=0 training.max_steps=200 training.eval_steps=0 training.weight_decay=10 || return 1
    [ ! -e "$work/blown/adapter_model.safetensors" ] && ls "$work"/blown/adapters/step-*/adapter_model.safetensors && grep -q failed "$work/blown/manifest.json"
}

going_on() { # init_from continues: its first loss is what the other run's next loss would be
    train first training.max_steps=3 training.eval_steps=0 || return 1
    train second training.eval_steps=0 "adapter={init_from: $work/first}" training.max_steps=1
}

claim "a run ends well" train once
claim "the loss falls" loss_falls
claim "a run leaves what the README says" files_are_there
claim "and again" train twice
claim "the same run twice gives the same bytes" same_adapter once twice
claim "and with three threads" train threads --threads 3
claim "any number of threads gives the same bytes" same_adapter once threads
claim "and with recomputation" train recomputed training.recompute=always
claim "recomputation changes no bit" same_adapter once recomputed
claim "and in small micro-batches" train small training.micro_batch_tokens=150
claim "micro-batches change rounding only, dropout included" near once small
claim "the saved configuration gives the same run" saved_configuration_reads_back
claim "training goes on from an adapter" going_on
claim "an existing run is not overwritten" expect 2 "already holds a run" train once
claim "unless told to" train once --force
claim "a signal saves and exits 130" interrupt
claim "a loss that is not finite is a failure" blown_up
claim "an adapter that did not change is a failure" expect 1 "still what it was" train unchanged training.learning_rate=0
claim "early stopping stops" train early training.learning_rate=0.5 training.max_steps=60 training.early_stopping_patience=2 training.early_stopping_threshold=0.0
claim "what is wrong is said before training" expect 2 "over" train long data.max_length=16
done_claims
