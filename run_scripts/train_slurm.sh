#!/usr/bin/env bash
# Trains under Slurm, one rank for each task, and goes on after a preemption.
#
#   sbatch --nodes=2 --ntasks-per-node=1 --cpus-per-task=16 run_scripts/train_slurm.sh CONFIG.yaml [key=value | --option ...]
#
# Slurm signals before it takes the job away (SIGUSR1 two minutes before the time limit, SIGTERM on preemption): the ranks finish their step, save and end.
# Then PREEMPTED in the folder where the job was submitted says so, and the job is queued again. GRAFT is the program (build/graft unless set), SRUN_MPI the
# kind of PMI (pmix).
#SBATCH --job-name=graft
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

graft=${GRAFT:-build/graft}
if [ $# -lt 1 ]; then
    echo "usage: sbatch [options] train_slurm.sh CONFIG.yaml [key=value | --option ...]" >&2
    exit 2
fi

# A rank that ends badly ends the step: the others would only wait for it.
srun --mpi="${SRUN_MPI:-pmix}" --kill-on-bad-exit=1 "$graft" train "$@" &
step=$!
signalled=yes
trap 'signalled=yes; kill -USR1 $step 2>/dev/null || true' USR1 TERM
while [ -n "$signalled" ]; do
    signalled=
    code=0
    wait "$step" || code=$?
done

[ "$code" = 130 ] || exit "$code"
date >PREEMPTED
[ -z "${SLURM_JOB_ID-}" ] || scontrol requeue "$SLURM_JOB_ID"
