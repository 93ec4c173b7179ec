#!/usr/bin/env bash
# What several ranks promise, shown on short runs of the embedded example: the bytes of one rank, one message for one failure, and no endless waiting.
source "$(dirname "$0")/lib.sh"

command -v mpirun >/dev/null || { echo "SKIP: mpirun is not installed"; exit 77; }
[ -e "$(dirname "$graft")/graft_mpi.so" ] || { echo "SKIP: built without MPI"; exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" # MPI keeps what it took
export GRAFT=$graft OMPI_MCA_odls_base_sigkill_timeout=1

config() { # config NAME ADAPTER
    cat >"$work/$1.yaml" <<YAML
model: {path: $root/examples/base, dtype: float32}
adapter: $2
$(example_data 40 7)
training:
  output_dir: $work/$1
  max_steps: 4
  batch_size: 11
  micro_batch_tokens: 150
  learning_rate: 5.0e-3
  logging_steps: 1
  eval_steps: 2
  load_best_model_at_end: true
  check_ranks_steps: 1
  seed: 7
YAML
}

lora="{peft_type: LORA, r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}"
prefix="{peft_type: PREFIX_TUNING, num_virtual_tokens: 5, prefix_projection: true, encoder_hidden_size: 24}"
prompt="{peft_type: PROMPT_TUNING, num_virtual_tokens: 5}"
mlp="{peft_type: P_TUNING, num_virtual_tokens: 5, encoder_reparameterization_type: MLP, encoder_hidden_size: 24}"
lstm="{peft_type: P_TUNING, num_virtual_tokens: 5, encoder_reparameterization_type: LSTM, encoder_hidden_size: 24}"

ranks() { # ranks COUNT NAME [key=value | --option ...]
    local count=$1 name=$2
    shift 2
    "$root/run_scripts/train_multi_rank.sh" "$count" "$work/$name.yaml" --quiet "$@"
}

same() { # same NAME NAME: adapter and metrics, but for the clock and the memory
    cmp "$work/$1/adapter_model.safetensors" "$work/$2/adapter_model.safetensors" && python3 - "$work/$1/metrics.jsonl" "$work/$2/metrics.jsonl" <<'PY'
import json, sys
one, other = ([{k: v for k, v in json.loads(line).items() if k not in ("tokens_per_second", "memory_bytes")} for line in open(path)] for path in sys.argv[1:3])
print(one, other)
sys.exit(one != other or len(one) != 6)
PY
}

near() { # near NAME NAME: the first step's loss and gradient; later ones differ, or the micro-batches were the same
    ! cmp -s "$work/$1/adapter_model.safetensors" "$work/$2/adapter_model.safetensors" && python3 - "$work/$1/metrics.jsonl" "$work/$2/metrics.jsonl" <<'PY'
import json, sys
one, other = (json.loads(open(path).readline()) for path in sys.argv[1:3])
print(one, other)
sys.exit(any(abs(one[k] - other[k]) > 1e-6 * one[k] for k in ("loss", "grad_norm")))
PY
}

as_one() { # as_one NAME ADAPTER RANKS:THREADS...
    local name=$1 adapter=$2 pair
    shift 2
    config "$name" "$adapter"
    "$graft" train "$work/$name.yaml" --quiet --threads 1 || return 1
    for pair in "$@"; do
        echo "$pair ranks:threads"
        ranks "${pair%:*}" "$name" --threads "${pair#*:}" "training.output_dir=$work/$name-$pair" && same "$name" "$name-$pair" || return 1
    done
}

# once PATTERN: stderr of the last `expect` has it in one line only
once() { [ "$(grep -cF -- "$1" "$work/err")" = 1 ]; }

said_once() { # said_once PATTERN command...
    local pattern=$1
    shift
    "$@" && once "$pattern"
}

ranks_of_lora() { # ranks_of_lora COUNT [key=value ...]
    local count=$1
    shift
    config lora "$lora"
    ranks "$count" lora "$@"
}

# rank_1_with OVERRIDE: two ranks, the second with a setting of its own
rank_1_with() {
    config differs "$lora"
    mpirun --oversubscribe --bind-to none -n 1 "$graft" train "$work/differs.yaml" --quiet : -n 1 "$graft" train "$work/differs.yaml" --quiet "$@"
}

process_of() { # process_of NAME RANK: the process, found by its command line and environment
    local stat
    for stat in /proc/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <"$stat/cmdline" | grep -qF "$graft train $work/$1.yaml" &&
            tr '\0' '\n' 2>/dev/null <"$stat/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$2"; then
            echo "${stat#/proc/}"
            return
        fi
    done
}

# under SIGNAL RANK NAME: a long run of three ranks, one of which gets a signal behind its first steps; its exit status is in $got, what it said in err
under() {
    config "$3" "$lora"
    got=0
    "$root/run_scripts/train_multi_rank.sh" 3 "$work/$3.yaml" --quiet training.max_steps=1000000 training.eval_steps=0 training.rank_timeout=$patience \
        training.load_best_model_at_end=false training.save_steps=10 training.save_total_limit=2 >"$work/out" 2>"$work/err" </dev/null &
    local launcher=$! process
    for _ in $(seq 600); do [ "$(cat "$work/$3/metrics.jsonl" 2>/dev/null | wc -l)" -gt 20 ] && break; sleep 0.1; done
    process=$(process_of "$3" "$2")
    [ -n "$process" ] || { echo "no process of rank $2"; cat "$work/err"; return 1; }
    began=$SECONDS
    kill "-$1" "$process"
    wait "$launcher" || got=$?
    echo "exit status $got after $((SECONDS - began)) s"
    cat "$work/err"
}

# Only whole files: every adapter there can be read, and nothing unfinished lies about. The last good one, of any step, takes no place of save_total_limit.
whole() {
    local adapter newest usual
    newest=$(find "$work/$1/adapters" -name 'step-*' | sed 's/.*step-0*//' | sort -n | tail -n 1)
    usual=$(find "$work/$1/adapters" -name 'step-*' | sed 's/.*step-0*//' | grep -c '0$')
    [ "$newest" -ge 20 ] && [ "$usual" -ge 2 ] || { ls "$work/$1/adapters"; return 1; }
    for adapter in "$work/$1"/adapters/*; do
        "$graft" inspect "$adapter" >/dev/null || return 1
    done
    [ -z "$(find "$work/$1" -name '*.partial')" ] && [ ! -e "$work/$1/adapter_model.safetensors" ]
}

# begin NAME command...: at the same time as others, in a folder of its own, for most of it is waiting; `ended NAME` is how it went.
declare -A begun
begin() {
    mkdir "$work/$1"
    (work=$work/$1 && shift && "$@") >"$work/$1.log" 2>&1 &
    begun[$1]=$!
}
ended() {
    local got=0
    wait "${begun[$1]}" || got=$?
    cat "$work/$1.log"
    return "$got"
}

lost() { # lost SIGNAL RANK WORDS: named with step and work, exit status 1
    under "$1" "$2" "lost-$1-$2" || return 1
    [ "$got" = 1 ] && [ "$(grep -c "graft: error: rank $2 .*$3 in step [0-9]*: [a-z]" "$work/err")" = 1 ] && [ "$(grep -c "graft: error" "$work/err")" = 1 ] &&
        whole "lost-$1-$2" && [ $((SECONDS - began)) -lt 120 ]
}

time_is_up() { # SIGTERM to the launcher: the step ends, the adapter is saved, 130
    config stopped "$lora"
    "$root/run_scripts/train_multi_rank.sh" 2 "$work/stopped.yaml" --quiet training.max_steps=1000000 training.eval_steps=0 \
        training.load_best_model_at_end=false 2>"$work/err" &
    local launcher=$! got=0
    for _ in $(seq 600); do [ -s "$work/stopped/metrics.jsonl" ] && break; sleep 0.1; done
    kill -TERM "$launcher"
    wait "$launcher" || got=$?
    cat "$work/err"
    echo "exit status $got"
    [ "$got" = 130 ] && [ -s "$work/stopped/adapter_model.safetensors" ] && once "graft: stopped: by a signal"
}

preempted() { # the job script, with an srun that starts one process: saved, said so, queued again
    config preempted "$lora"
    mkdir -p "$work/slurm"
    printf '#!/bin/sh\nshift 2\nexec "$@"\n' >"$work/slurm/srun"
    printf '#!/bin/sh\necho "$@" >"%s"\n' "$work/slurm/queued" >"$work/slurm/scontrol"
    chmod +x "$work/slurm/srun" "$work/slurm/scontrol"
    (cd "$work/slurm" && SLURM_JOB_ID=17 PATH="$work/slurm:$PATH" exec "$root/run_scripts/train_slurm.sh" "$work/preempted.yaml" --quiet \
        training.max_steps=1000000 training.eval_steps=0 training.load_best_model_at_end=false) &
    local script=$! got=0
    for _ in $(seq 600); do [ -s "$work/preempted/metrics.jsonl" ] && break; sleep 0.1; done
    kill -USR1 "$script"
    wait "$script" || got=$?
    echo "exit status $got"
    [ "$got" = 0 ] && [ -s "$work/slurm/PREEMPTED" ] && [ "$(cat "$work/slurm/queued")" = "requeue 17" ] && [ -s "$work/preempted/adapter_model.safetensors" ]
}

every=(1:1 1:2 2:1 2:2 3:1 3:2 4:1 4:2)
some=(2:1 4:2)
patience=3
! grep -q __asan_init "$graft" || { every=(2:2 3:1); some=(2:1); patience=15; } # sanitized, each run takes seconds
begin one-fails said_once "graft: error" expect 2 "graft: error: rank 1 (" rank_1_with data.max_length=9
begin differs said_once "graft: error" expect 2 ") differs from rank 0 in the configuration: " rank_1_with training.seed=8
begin all-fail said_once "graft: error: $root" expect 2 "max_length is 9" ranks_of_lora 3 data.max_length=9
claim "LoRA with dropout: the bytes and metrics of one rank" as_one lora "$lora" "${every[@]}"
claim "prefix tuning: the same" as_one prefix "$prefix" "${some[@]}"
claim "prompt tuning: the same" as_one prompt "$prompt" "${some[@]}"
claim "p-tuning with an MLP: the same" as_one mlp "$mlp" "${some[@]}"
claim "p-tuning with an LSTM: the same" as_one lstm "$lstm" "${some[@]}"
claim "and with other micro-batches" ranks 3 lora training.micro_batch_tokens=260 "training.output_dir=$work/lora-260"
claim "they change rounding only" near lora lora-260
claim "a failure of one rank is one message that names it" ended one-fails
claim "a rank with another configuration is named, once" ended differs
claim "a failure of all ranks is said once, without a rank" ended all-fail
begin there expect 2 "already holds a run" ranks_of_lora 2 "training.output_dir=$work/lora"
config alike "$lora"
claim "a launcher whose MPI is another is noticed" expect 2 "the launcher started 2 ranks" env OMPI_COMM_WORLD_SIZE=2 "$graft" train "$work/alike.yaml"
claim "tasks of srun without PMI are refused" expect 2 "2 tasks that do not know of each other" env SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 "$graft" train "$work/alike.yaml"
claim "a run that is there is not overwritten" ended there
begin stopped-1 lost STOP 1 "did not answer for $patience s"
begin stopped-0 lost STOP 0 "did not answer for $patience s"
claim "a stopped rank is named and all end" ended stopped-1
claim "so is rank 0" ended stopped-0
claim "a killed rank is named and all end" lost KILL 2 "has ended" # alone: the launcher ends the others soon
begin time-is-up time_is_up
begin preempted preempted
claim "time is up: saved, and 130" ended time-is-up
claim "a preempted job of Slurm saves and is queued again" ended preempted
done_claims
