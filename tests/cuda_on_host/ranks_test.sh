#!/usr/bin/env bash
# Ranks with the CUDA column on the host: the same bytes with any number of them, whether gradients travel by NCCL (its twin) or through the host.
source "$(dirname "$0")/../cli/lib.sh"
unset WORLD_SIZE RANK MASTER_ADDR MASTER_PORT LOCAL_RANK LOCAL_WORLD_SIZE
export GRAFT=$graft MPIRUN=
mkdir "$work/without"
ln "$graft" "$work/without/graft" 2>/dev/null || cp "$graft" "$work/without/graft" # no module beside it

cat >"$work/run.yaml" <<YAML
model: {path: $root/examples/base, dtype: float32}
adapter: {peft_type: LORA, r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}
$(example_data 6)
training: {output_dir: $work/one, max_steps: 2, batch_size: 5, micro_batch_tokens: 60, learning_rate: 5.0e-3, logging_steps: 1, check_ranks_steps: 1, seed: 7}
YAML

ranks() { # ranks COUNT NAME [key=value | --option ...]: what rank 0 says is in said
    local count=$1 name=$2
    shift 2
    "$root/run_scripts/train_multi_gpu.sh" "$count" "$work/run.yaml" --device cuda --threads 1 "training.output_dir=$work/$name" "$@" 2>"$work/said" || {
        cat "$work/said"
        return 1
    }
}

same() { cmp "$work/one/adapter_model.safetensors" "$work/$1/adapter_model.safetensors"; }

process_of() { # process_of RANK
    local stat
    for stat in /proc/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <"$stat/cmdline" | grep -qF "output_dir=$work/lost" && tr '\0' '\n' 2>/dev/null <"$stat/environ" | grep -qx "RANK=$1" &&
            [ "$(readlink "$stat/exe")" = "$(readlink -f "$graft")" ]; then
            echo "${stat#/proc/}"
            return
        fi
    done
}

lost() { # lost SIGNAL RANK WORDS
    local launcher process got=0
    rm -rf "$work/lost"
    "$root/run_scripts/train_multi_gpu.sh" 2 "$work/run.yaml" --device cuda --threads 1 --quiet "training.output_dir=$work/lost" training.max_steps=1000000 \
        "training.rank_timeout=$timeout" 2>"$work/said" </dev/null &
    launcher=$!
    for _ in $(seq 600); do [ -s "$work/lost/metrics.jsonl" ] && break; sleep 0.1; done
    process=$(process_of "$2")
    [ -n "$process" ] || { echo "no process of rank $2"; cat "$work/said"; return 1; }
    kill "-$1" "$process"
    wait "$launcher" || got=$?
    echo "exit status $got"
    cat "$work/said"
    [ "$got" = 1 ] && [ "$(grep -c "graft: error: rank $2 .*$3 in step [0-9]*: [a-z]" "$work/said")" = 1 ] && [ "$(grep -c "graft: error" "$work/said")" = 1 ]
}

claim "one rank" "$graft" train "$work/run.yaml" --device cuda --threads 1
claim "one rank that was started as one of several" ranks 1 launched
claim "trains the same bytes" same launched
counts="2 3 4"
timeout=5 # longer than any step: what is not to be waited for must not end by it
! grep -q __asan_init "$graft" || { counts=2 && timeout=30; } # a kernel is some hundred times a CPU's work there
for count in $counts; do
    claim "$count ranks, a GPU each" ranks "$count" "nccl$count"
    claim "the bytes of one" same "nccl$count"
    claim "by NCCL" grep -qx "gradients travel by NCCL" "$work/said"
done
GRAFT=$work/without/graft
claim "without the module" ranks 2 host
claim "the bytes of one" same host
claim "through the host, and why" grep -q "^gradients travel through the host (rank 0 (.*): graft_nccl.so: the file is not there)" "$work/said"
GRAFT=$graft
if [ "$counts" != 2 ]; then
    claim "two ranks that share a GPU" ranks 5 shared
    claim "the bytes of one" same shared
    claim "through the host, and why" grep -q "^gradients travel through the host (ranks 0 and 4 share GPU host:00 of " "$work/said"
fi
for call in ncclGetUniqueId ncclCommInitRankConfig ncclSend ncclRecv; do
    export NCCL_TWIN_FAILS=$call
    claim "$call fails: said" expect 1 "NCCL: $call failed: unhandled system error" "$root/run_scripts/train_multi_gpu.sh" 2 "$work/run.yaml" --quiet --device cuda --threads 1 \
        "training.output_dir=$work/fails-$call" training.rank_timeout=60
done
unset NCCL_TWIN_FAILS
claim "a killed rank is named and all end" lost KILL 1 "has ended"
claim "a stopped rank is named and all end" lost STOP 1 "did not answer for $timeout s"
done_claims
