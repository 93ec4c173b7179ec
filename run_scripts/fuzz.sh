#!/usr/bin/env bash
# Fuzzes graft's readers with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer, and says how much of each reader the inputs reach.
#
#   run_scripts/fuzz.sh [SECONDS] [TARGET...]
#
# SECONDS per target (default 60); targets are the rows of tests/fuzz/targets.txt (default: all). 0 seconds only counts covered lines. Inputs that reached
# something new are kept in build-fuzz/corpus, so a later run goes on from there; an input that broke a reader is kept in build-fuzz/findings, and the
# target ends with it. JOBS=N runs N targets at once (default 1). Exit status 1 if there is a finding.
#
# The short form of this is part of the suite: ctest -R fuzz/ feeds seeds and a fixed number of mutations to the same targets, with any compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-1}
seconds=${1:-60}
shift $(($# > 0))
rows=tests/fuzz/targets.txt

missing=()
for tool in clang llvm-profdata llvm-cov; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "fuzz.sh: missing: ${missing[*]}; on Debian 12: apt-get install --no-install-recommends clang llvm libclang-rt-14-dev libomp-dev" >&2
    exit 2
fi
if ! [[ $seconds =~ ^[0-9]+$ ]]; then
    echo "fuzz.sh: '$seconds' is no number of seconds: run_scripts/fuzz.sh [SECONDS] [TARGET...]" >&2
    exit 2
fi
mapfile -t known < <(grep -o '^[a-z_]*' $rows)
targets=("$@")
[ $# -gt 0 ] || targets=("${known[@]}")
for target in "${targets[@]}"; do
    if [[ " ${known[*]} " != *" $target "* ]]; then
        echo "fuzz.sh: there is no target '$target'; targets are ${known[*]}" >&2
        exit 2
    fi
done

# build FOLDER options...
build() {
    local folder=$1 said
    shift
    CC=clang cmake -S . -B "$folder" -G Ninja -DGRAFT_TESTS=ON -DGRAFT_CUDA=OFF -DCMAKE_BUILD_TYPE=Release "$@" >/dev/null
    said=$(ninja -C "$folder" "${known[@]/#/fuzz_}" 2>&1) || { echo "$said" >&2; exit 1; }
}

# One target: its log is build-fuzz/logs/TARGET.
fuzz() {
    local target=$1 dictionary=()
    [ ! -f "tests/fuzz/seeds/$target.dict" ] || dictionary=("-dict=tests/fuzz/seeds/$target.dict")
    ASAN_OPTIONS=allocator_may_return_null=1 OMP_NUM_THREADS=1 TMPDIR=$scratch "build-fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" \
        -max_len=4096 -timeout=25 -rss_limit_mb=4096 -close_fd_mask=3 -print_final_stats=1 "${dictionary[@]}" \
        -artifact_prefix="build-fuzz/findings/$target/" "build-fuzz/corpus/$target" "tests/fuzz/seeds/$target" >"build-fuzz/logs/$target" 2>&1 || true
}

# Covered lines of the target's own sources, over seeds and corpus: "86.2 % of 507".
coverage() {
    local target=$1 inputs=$scratch/$1 sources
    mkdir -p "$inputs"
    cp tests/fuzz/seeds/"$target"/* "$inputs"
    find "build-fuzz/corpus/$target" -type f -size -64k -exec cp -t "$inputs" {} +
    LLVM_PROFILE_FILE=$scratch/$target.%p.raw TMPDIR=$scratch "build-coverage/tests/fuzz/fuzz_$target" 0 "$inputs" >/dev/null
    llvm-profdata merge -o "$scratch/$target.profile" "$scratch/$target".*.raw
    sources=$(sed -n "s/^$target  *[0-9]*  *[a-z_]*  *//p" $rows)
    # shellcheck disable=SC2086
    llvm-cov export -summary-only -instr-profile "$scratch/$target.profile" "build-coverage/tests/fuzz/fuzz_$target" $sources |
        python3 -c 'import json, sys; lines = json.load(sys.stdin)["data"][0]["totals"]["lines"]; print("%.1f %% of %d" % (lines["percent"], lines["count"]))'
}

build build-fuzz -DGRAFT_FUZZ=ON -DGRAFT_SANITIZE=ON
build build-coverage -DCMAKE_C_FLAGS="-fprofile-instr-generate -fcoverage-mapping"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p build-fuzz/logs "${known[@]/#/build-fuzz/corpus/}" "${known[@]/#/build-fuzz/findings/}"

if [ "$seconds" -gt 0 ]; then
    for target in "${targets[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
        fuzz "$target" &
    done
    wait
fi

status=0
printf '%-16s %12s %12s   %-16s %s\n' target executions 'per second' 'lines covered' findings
for target in "${targets[@]}"; do
    executions=0
    [ "$seconds" -gt 0 ] && executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "build-fuzz/logs/$target" | tail -1)
    findings=$(find "build-fuzz/findings/$target" -type f ! -name "slow-unit-*" | wc -l)
    [ "$findings" -eq 0 ] || status=1
    [ -n "$executions" ] || { echo "fuzz.sh: $target did not run to its end: build-fuzz/logs/$target says why" >&2; status=1; }
    printf '%-16s %12s %12s   %-16s %s\n' "$target" "${executions:-none}" $((${executions:-0} / (seconds > 0 ? seconds : 1))) "$(coverage "$target")" "$findings"
done
[ $status -eq 0 ] || echo "what was found is in build-fuzz/findings; build-fuzz/tests/fuzz/fuzz_TARGET FILE shows one" >&2
exit $status
