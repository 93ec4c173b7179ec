#!/usr/bin/env bash
# Trains with N ranks on this machine, one for each GPU (on CPUs they share the cores): through mpirun where graft was built with MPI, else as processes
# that find each other through TCP on the loopback, with the variables that torchrun sets.
#
#   run_scripts/train_multi_gpu.sh N CONFIG.yaml [key=value | --option ...]
#
# GRAFT is the program (build/graft of this tree unless set); MPIRUN= (empty) leaves mpirun out. Ctrl-C, SIGTERM and SIGUSR1 let the ranks finish their step,
# save and end (130). Exit status as of `graft train`; 1 too when a rank was killed. Several hosts: torchrun --no-python, mpirun or train_slurm.sh.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
graft=${GRAFT:-$root/build/graft}
if [ $# -lt 2 ] || ! [[ $1 =~ ^[1-9][0-9]{0,3}$ ]]; then
    echo "usage: train_multi_gpu.sh N CONFIG.yaml [key=value | --option ...]" >&2
    exit 2
fi
if [ ! -x "$graft" ]; then
    echo "train_multi_gpu.sh: $graft is missing: run_scripts/build.sh" >&2
    exit 2
fi
if [ -n "${MPIRUN-mpirun}" ] && command -v "${MPIRUN-mpirun}" >/dev/null && [ -e "$(dirname "$graft")/graft_mpi.so" ]; then
    exec "$root/run_scripts/train_multi_rank.sh" "$@"
fi

ranks=$1
shift
port=$((20000 + RANDOM % 12000)) # below those that systems hand out
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
export WORLD_SIZE=$ranks LOCAL_WORLD_SIZE=$ranks MASTER_ADDR=127.0.0.1 MASTER_PORT=$port

set -m # groups of their own: Ctrl-C reaches this script, which hands it on
process=()
trap 'kill -USR1 "${process[@]}" 2>/dev/null || true' INT TERM USR1
for ((rank = 0; rank < ranks; rank++)); do
    RANK=$rank LOCAL_RANK=$rank "$graft" train "$@" &
    process+=($!)
done

# A rank that others miss is named by them, and all end by themselves, but for one that is stopped.
code=0 left=${#process[@]}
while [ "$left" -gt 0 ]; do
    left=0
    for i in "${!process[@]}"; do
        if kill -0 "${process[$i]}" 2>/dev/null; then
            left=$((left + 1))
            [ "$code" = 0 ] || ! grep -q '^State:.*T' "/proc/${process[$i]}/status" 2>/dev/null || kill -KILL "${process[$i]}" 2>/dev/null || true
        else
            one=0
            wait "${process[$i]}" || one=$?
            unset "process[$i]"
            [ "$one" = 0 ] || [ "$code" != 0 ] || code=$one
        fi
    done
    [ "$left" = 0 ] || sleep 0.1
done
case $code in
0 | 1 | 2 | 130) exit "$code" ;;
*) exit 1 ;;
esac
