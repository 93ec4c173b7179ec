#!/usr/bin/env bash
# What run_scripts/train_slurm.sh promises, shown on a real Slurm: a cluster of this one machine, made in a folder and ended with the test.
# A job of two ranks is signalled, then preempted by another job; it saves, is queued again, goes on, and leaves the bytes of a run that nobody stopped.
# Needs root, and Debian's slurmctld, slurmd, slurm-client and munge.
source "$(dirname "$0")/../cli/lib.sh"

for program in munged slurmctld slurmd sbatch srun; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || { echo "SKIP: $program is not installed"; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "SKIP: a cluster is started by root"; exit 77; }
[ -e "$(dirname "$graft")/graft_mpi.so" ] || { echo "SKIP: built without MPI"; exit 77; }
graft=$(realpath "$graft")
export PATH=$PATH:/usr/sbin SLURM_CONF=$work/slurm.conf GRAFT=$graft
chmod 755 "$work"
mkdir -p "$work/state" "$work/spool" "$work/munge"
host=$(hostname -s)

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# cred_expire is also how long a job that was queued again waits. The preempted one is told, and has GraceTime to save.
cat >"$work/slurm.conf" <<CONF
ClusterName=graft
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthInfo=socket=$work/munge/socket,cred_expire=5
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=2
PartitionName=low Nodes=$host Default=YES PriorityTier=1 GraceTime=60 MaxTime=10
PartitionName=high Nodes=$host PriorityTier=2 PreemptMode=OFF MaxTime=10
CONF

daemons=()
end_cluster() {
    scancel --quiet --state=RUNNING 2>/dev/null
    [ ${#daemons[@]} = 0 ] || kill "${daemons[@]}" 2>/dev/null
    wait
    rm -rf "$work"
}
trap end_cluster EXIT

# until_true SECONDS command...
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

begin_cluster() {
    dd if=/dev/urandom of="$work/munge/key" bs=1024 count=1 status=none && chmod 400 "$work/munge/key"
    munged --foreground --key-file "$work/munge/key" --socket "$work/munge/socket" --pid-file "$work/munge/pid" --log-file "$work/munge/log" \
        --seed-file "$work/munge/seed" >"$work/munged.out" 2>&1 &
    daemons+=($!)
    until_true 20 test -S "$work/munge/socket" || { cat "$work/munged.out" "$work/munge/log"; return 1; }
    slurmctld -D -c >"$work/slurmctld.out" 2>&1 &
    daemons+=($!)
    slurmd -D >"$work/slurmd.out" 2>&1 &
    daemons+=($!)
    until_true 60 eval 'sinfo --noheader --format %T 2>/dev/null | grep -q idle' && return
    tail -n 20 "$work"/slurm*.log "$work"/slurm*.out
    return 1
}

config() { # config FOLDER
    cat >"$work/$1.yaml" <<YAML
model: {path: $root/examples/base, dtype: float32}
adapter: {peft_type: LORA, r: 4, lora_dropout: 0.2, target_modules: all-linear}
data:
  train: [{path: $root/examples/tiny_world/train.jsonl, format: dolly, limit: 40, template: {prompt: "{instruction}\nAnswer:", response: " {response}"}}]
  max_length: 256
  over_length: error
training: {output_dir: $work/$1, max_steps: 2500, batch_size: 6, micro_batch_tokens: 64, logging_steps: 10, learning_rate: 1.0e-4, save_steps: 500, save_total_limit: 2}
YAML
}

lines() { cat "$work/job/metrics.jsonl" 2>/dev/null | wc -l; }
farther_than() { [ "$(lines)" -ge "$1" ]; }
restarts() { scontrol --oneliner show job "$job" | grep -o " Restarts=[0-9]*" | cut -d= -f2; }
queued_again() { [ "$(restarts)" = "$1" ]; }

submitted() {
    config job
    job=$(cd "$work" && sbatch --parsable --ntasks=2 --time=5 --output="$work/job.log" "$root/run_scripts/train_slurm.sh" "$work/job.yaml" --threads 1) &&
        until_true 60 farther_than 5
}

signalled() { # as two minutes before the time limit
    scancel --batch --signal=USR1 "$job" && until_true 60 queued_again 1 && [ -s "$work/PREEMPTED" ] && first=$(lines)
}

preempted() { # by a job of the partition above, which wants the whole machine
    until_true 90 farther_than $((first + 5)) || return 1
    rm -f "$work/PREEMPTED"
    sbatch --partition=high --ntasks=2 --time=1 --output=/dev/null --wrap true && until_true 90 queued_again 2 && [ -s "$work/PREEMPTED" ]
}

ended() { [ -z "$(squeue --noheader --job "$job" --states PENDING,RUNNING,COMPLETING 2>/dev/null)" ]; }

finished() {
    until_true 200 ended
    grep -q '"outcome": "finished"' "$work/job/manifest.json" && [ "$(grep -c "graft: goes on from" "$work/job.log")" = 2 ]
}

alike() {
    config whole
    "$graft" train "$work/whole.yaml" --quiet --threads 2 && cmp "$work/whole/adapter_model.safetensors" "$work/job/adapter_model.safetensors" &&
        cmp <(losses whole) <(losses job)
}
losses() { sed 's/, "tokens_per_second": [^,]*//; s/, "memory_bytes": [0-9]*//' "$work/$1/metrics.jsonl"; }

job='' first=0
told() { "$@" || { cat "$work/job.log"; tail -n 5 "$work/slurmctld.log"; return 1; }; }
claim "a cluster of one machine begins" begin_cluster
claim "two tasks of a job train as two ranks" told submitted
claim "signalled before its time is up, the job saves and is queued again" told signalled
claim "preempted by another job, it saves and is queued again" told preempted
claim "it goes on to its end by itself" told finished
claim "and leaves the bytes and records of a run that nobody stopped" alike
done_claims
