#!/usr/bin/env bash
# Runs that did not reach their end, and the same command again; what may differ then; and runs taken again to see whether they come out the same.
# (That nothing differs, wherever a run is killed, is for train/resume.)
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
cd "$work"
head -n 12 "$root/examples/tiny_world/train.jsonl" >train.jsonl
head -n 4 "$root/examples/tiny_world/eval.jsonl" >eval.jsonl
cat >run.yaml <<YAML
model: {path: $root/examples/base, dtype: float32}
adapter: {peft_type: LORA, r: 2, lora_dropout: 0.1}
data:
  train: [{path: train.jsonl, format: dolly, template: {prompt: "{instruction}\nAnswer:", response: " {response}"}}]
  eval: [{path: eval.jsonl, format: dolly, template: {prompt: "{instruction}\nAnswer:", response: " {response}"}}]
  max_length: 256
  over_length: error
training: {output_dir: whole, max_steps: 8, batch_size: 3, logging_steps: 1, eval_steps: 4, save_steps: 2, learning_rate: 5.0e-3}
YAML
train() { "$graft" train run.yaml "$@"; }
checkpoint() { printf '%s/checkpoints/step-%06d.h5' "$1" "$2"; }
# killed NAME: the whole run as if it had been killed behind step 6
killed() { cp -r whole "$1" && rm "$1/manifest.json" "$1/adapter_config.json" "$1/adapter_model.safetensors" "$(checkpoint "$1" 8)" && echo '{"step": 7, "half a li' >>"$1/metrics.jsonl"; }
same() { # same NAME: the adapter and the records of the whole run
    cmp whole/adapter_model.safetensors "$1/adapter_model.safetensors" && cmp whole/best/adapter_model.safetensors "$1/best/adapter_model.safetensors" && python3 - "$1" <<'PY'
import json, sys
a, b = ([{k: v for k, v in json.loads(line).items() if k not in ("tokens_per_second", "memory_bytes")} for line in open(f"{d}/metrics.jsonl")] for d in ("whole", sys.argv[1]))
sys.exit(a != b)
PY
}

claim "a run ends well" train --quiet
goes_on() { killed cut && train training.output_dir=cut 2>said && same cut && grep -q "goes on from cut/checkpoints/step-000006.h5, step 6 of 8" said; }
claim "the same command goes on, and says so" goes_on
claim "a run that has ended is not overwritten" expect 2 "already holds a run" train training.output_dir=cut
threads() { killed threads && train training.output_dir=threads --quiet --threads 3 training.save_steps=3 training.save_total_limit=1 training.logging_steps=1 && same_adapter threads; }
same_adapter() { cmp whole/adapter_model.safetensors "$1/adapter_model.safetensors"; }
claim "with other threads, saves and records, the adapter is the same" threads
falls_back() {
    killed fallen && truncate -s -1 "$(checkpoint fallen 6)" && printf x | dd of="$(checkpoint fallen 4)" bs=1 seek=5000 conv=notrunc status=none
    train training.output_dir=fallen 2>said && same fallen && [ "$(grep -c "damaged: its bytes are not those that were sealed; looking for an earlier checkpoint" said)" = 2 ] &&
        grep -q "warning: fallen/checkpoints/step-000006.h5" said && grep -q "goes on from fallen/checkpoints/step-000002.h5" said
}
claim "a damaged checkpoint is named, and the one before it taken" falls_back
named() { killed named && train training.output_dir=named --resume "$(checkpoint named 2)" 2>said && same named && grep -q "step 2 of 8" said; }
claim "a checkpoint may be named" named
again() { # a run that failed before its first checkpoint keeps its last good adapter: of the run that begins again it is none
    killed again && rm again/checkpoints/* && cp -r again/adapters/step-000002 again/adapters/step-000001 && train training.output_dir=again 2>said &&
        grep -q "begins again" said && same again && [ "$(ls again/adapters)" = "$(ls whole/adapters)" ]
}
claim "a run without a checkpoint begins again, and leaves nothing of what it was" again
backwards() { # what stood behind the named one is gone, and a kill before the next save does not bring it back
    killed backwards && train training.output_dir=backwards --resume "$(checkpoint backwards 4)" training.save_steps=0 --quiet && [ "$(ls backwards/checkpoints)" = $'step-000002.h5\nstep-000004.h5' ] && same_adapter backwards
}
claim "what stood behind it is of no run any more" backwards
longer() { cp -r whole longer && train training.output_dir=longer --resume "$(checkpoint longer 8)" training.max_steps=10 --allow-change training.max_steps 2>said && [ "$(tail -n 1 longer/metrics.jsonl | cut -c1-11)" = '{"step": 10' ] && grep -q "training.max_steps was 8 and is 10, as --allow-change allows" said; }
claim "a run that has ended can be made longer, if asked for" longer
changed() {
    killed changed && before=$(cat changed/metrics.jsonl) && expect 2 "is of another run: adapter.lora_alpha was 8" train training.output_dir=changed training.seed=3 adapter.lora_alpha=4 &&
        grep -q "warning: training.seed was 1 and is 3" "$work/err" && [ "$before" = "$(cat changed/metrics.jsonl)" ] && [ -e "$(checkpoint changed 6)" ]
}
claim "a changed setting is listed and refused, and nothing is touched" changed
other_data() { # the same path, and other words behind it
    killed stale && cp train.jsonl kept.jsonl && sed -i '1s/ the / a /' train.jsonl && ! cmp -s train.jsonl kept.jsonl &&
        expect 2 "is of another run: data was" train training.output_dir=stale
    local got=$?
    mv kept.jsonl train.jsonl
    return "$got"
}
claim "so are data that are not the same any more" other_data
rising() { # the best evaluation comes early; killed behind one that was worse, the run still stops where it stopped, with the adapter that was the best
    local settings="training.learning_rate=2.0e-1 training.max_steps=40 training.eval_steps=1 training.save_steps=1 training.early_stopping_patience=3 training.load_best_model_at_end=true --quiet"
    train training.output_dir=early $settings || return 1
    local steps=$(ls early/checkpoints | wc -l)
    grep -q '"outcome": "stopped early"' early/manifest.json && [ "$steps" -gt 3 ] || return 1
    cp -r early cut_early && rm "$(checkpoint cut_early "$steps")" "$(checkpoint cut_early $((steps - 1)))" cut_early/manifest.json cut_early/adapter_{config.json,model.safetensors}
    train training.output_dir=cut_early $settings && cmp early/adapter_model.safetensors cut_early/adapter_model.safetensors &&
        cmp early/best/adapter_model.safetensors cut_early/best/adapter_model.safetensors && [ "$(ls cut_early/checkpoints | wc -l)" = "$steps" ]
}
claim "the best so far, and how long ago it was, outlive a kill" rising
signalled() {
    local settings="training.output_dir=signalled training.max_steps=100000 training.save_steps=0 training.eval_steps=0 --quiet"
    "$graft" train run.yaml $settings &
    local pid=$! got=0
    for _ in $(seq 600); do [ -s signalled/metrics.jsonl ] && break; sleep 0.1; done
    train $settings 2>second && return 1
    grep -q "another process is training" second || return 1
    kill -TERM "$pid"
    wait "$pid" || got=$?
    [ "$got" = 130 ] && [ "$(ls signalled/checkpoints | wc -l)" = 1 ] && "$graft" inspect signalled/checkpoints/*.h5 | grep -q "a checkpoint, intact"
}
claim "a signal leaves a checkpoint; two processes do not train into one folder" signalled
limited() { train training.output_dir=limited training.save_steps=1 training.save_total_limit=3 --quiet && [ "$(ls limited/checkpoints)" = $'step-000006.h5\nstep-000007.h5\nstep-000008.h5' ] && [ "$(ls limited/adapters | wc -l)" = 3 ]; }
claim "save_total_limit keeps the newest" limited
forced() { train training.output_dir=limited training.save_steps=0 --force --quiet && [ -z "$(ls limited/checkpoints limited/adapters | grep step)" ]; }
claim "--force leaves no checkpoint or adapter along the way of the run before" forced
replayed() { "$graft" replay whole | grep -q "^8 steps, equal" && "$graft" replay whole --steps 3 --threads 3 | grep -q "^3 steps, equal"; }
ls -lR --time-style=full-iso whole >before
claim "a run taken again comes out the same" replayed
claim "and writes nothing" bash -c "[ -s before ] && ls -lR --time-style=full-iso whole | cmp - before"
spoil() { rm -rf other && cp -r whole other && sed -i "$1" "other/$2"; }
loss() { spoil '3s/"loss": ./"loss": 9/' metrics.jsonl && expect 1 "loss was 9" "$graft" replay other; }
claim "another loss is found" loss
hash() { spoil '/"step": 4.*hash/s/parameter_hash": "..../parameter_hash": "wxyz/' metrics.jsonl && expect 1 "step 4: parameter_hash was wxyz" "$graft" replay other; }
claim "another hash of the parameters is found" hash
data() { spoil 's/"data_hash": "..../"data_hash": "wxyz/' manifest.json && expect 1 "data_hash was wxyz" "$graft" replay other; }
claim "other data are found" data
end() { spoil 's/"adapter_hash": "..../"adapter_hash": "wxyz/' manifest.json && expect 1 "adapter_hash was wxyz" "$graft" replay other && "$graft" replay other --steps 7 >/dev/null; }
claim "another adapter at the end is found" end
settings() { # every setting that may change freely is one
    "$graft" train --help >help && sed -n '/^When a run goes on/,/^So may/p' help | grep '^  ' | grep -v init_from >free && [ "$(wc -l <free)" = 11 ] &&
        while read -r key; do grep -q "^  $key " help || return 1; done <free
}
claim "what may change freely is in --help, by names that exist" settings
done_claims
