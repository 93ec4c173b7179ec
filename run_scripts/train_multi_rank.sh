#!/usr/bin/env bash
# Trains with several ranks on this machine, or on the hosts that MPIRUN_OPTIONS names (e.g. "--hostfile hosts").
#
#   run_scripts/train_multi_rank.sh N CONFIG.yaml [key=value | --option ...]
#
# GRAFT is the program (build/graft of this tree unless set). Ctrl-C, SIGTERM and SIGUSR1 let the ranks finish their step, save and end (130).
# Exit status as of `graft train`; 1 too when a rank was killed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
graft=${GRAFT:-$root/build/graft}
if [ $# -lt 2 ] || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: train_multi_rank.sh N CONFIG.yaml [key=value | --option ...]" >&2
    exit 2
fi
if ! command -v mpirun >/dev/null; then
    echo "train_multi_rank.sh: mpirun is missing: run_scripts/setup.sh ranks" >&2
    exit 2
fi
if [ ! -x "$graft" ] || [ ! -e "$(dirname "$graft")/graft_mpi.so" ]; then
    echo "train_multi_rank.sh: $graft with graft_mpi.so beside it is missing: run_scripts/setup.sh ranks && run_scripts/build.sh" >&2
    exit 2
fi
ranks=$1
shift
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# graft shares the cores out itself. When a rank dies mpirun ends the others so many seconds later, which is their time to say who it was.
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-5}
set -m # a group of its own: Ctrl-C reaches this script, and mpirun only as SIGUSR1, which it hands on
# shellcheck disable=SC2086 # several words
mpirun --oversubscribe --bind-to none ${MPIRUN_OPTIONS-} -n "$ranks" "$graft" train "$@" &
job=$!
signalled=yes
trap 'signalled=yes; kill -USR1 $job 2>/dev/null || true' INT TERM USR1
while [ -n "$signalled" ]; do
    signalled=
    code=0
    wait "$job" || code=$?
done
case $code in
0 | 1 | 2 | 130) exit "$code" ;;
*) exit 1 ;;
esac
