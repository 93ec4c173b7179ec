#!/usr/bin/env bash
# The whole program with its CUDA column, on the host: the same training, evaluation and answers as on the CPU, to rounding.
source "$(dirname "$0")/../cli/lib.sh"

config() { # config NAME DTYPE
    cat >"$work/$1.yaml" <<YAML
model: {path: $root/examples/base, dtype: $2}
adapter: {peft_type: LORA, r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}
$(example_data 6)
training: {output_dir: $work/$1, max_steps: 3, batch_size: 2, learning_rate: 5.0e-3, lr_scheduler_type: constant, logging_steps: 1, seed: 7}
YAML
}

train() { # train NAME DTYPE DEVICE
    config "$1" "$2"
    "$graft" train "$work/$1.yaml" --quiet --device "$3"
}

near() { # near A B TOLERANCE: losses and gradient norms of all steps
    python3 - "$work/$1/metrics.jsonl" "$work/$2/metrics.jsonl" "$3" <<'PY'
import json, sys
a, b = ([json.loads(line) for line in open(path) if "grad_norm" in line] for path in sys.argv[1:3])
worst = [max(abs(x[k] - y[k]) / abs(x[k]) for k in ("loss", "grad_norm")) for x, y in zip(a, b)]
print("relative differences per step:", worst)
sys.exit(not (len(a) == len(b) == 3 and max(worst) <= float(sys.argv[3])))
PY
}

answer() { # answer DEVICE
    "$graft" generate --quiet --device "$1" --dtype float32 --model "$root/examples/base" --adapter "$work/cpu" --prompt "Question: who lives here?" --max-new-tokens 8
}

doctor() { # every row of a GPU, whether its libraries are installed here or not
    "$graft" doctor --device cuda >"$work/doctor" || return 1
    cat "$work/doctor"
    for row in 'GPU +CUDA on the host, compute capability 9\.0' 'GPU driver .*for CUDA up to 13\.1; this build has CUDA 13\.0' 'GPU memory +3 GiB, 2 GiB free; copied within at [0-9]+ GB/s' \
        'GPU upload +[0-9.]+ GB/s' 'GPU float32 +[0-9.]+ TFLOP/s' 'GPU bfloat16 +[0-9.]+ TFLOP/s' '(cuBLASLt|cuDNN|NCCL) +([0-9.]+ \(/|not found: )'; do
        grep -qE "^$row" "$work/doctor" || return 1
    done
}

claim "doctor tells what the GPU is, how fast, and which libraries there are" doctor
claim "training runs: cpu" train cpu float32 cpu
claim "training runs: cuda" train cuda float32 cuda
claim "float32 training is the CPU's to rounding" near cpu cuda 1e-3
claim "training runs: again" train again float32 cuda
claim "the same training twice gives the same bytes" cmp "$work/cuda/adapter_model.safetensors" "$work/again/adapter_model.safetensors"
claim "training runs: half_cpu" train half_cpu bfloat16 cpu
claim "training runs: half_cuda" train half_cuda bfloat16 cuda
claim "bfloat16 training is the CPU's to its rounding" near half_cpu half_cuda 0.05
claim "answers are the same" test "$(answer cpu)" = "$(answer cuda)"
done_claims
