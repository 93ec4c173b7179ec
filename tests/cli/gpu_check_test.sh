#!/usr/bin/env bash
# The check for machines with a GPU, rehearsed on the processors: every part runs, a part that fails is told and stops no other, and without a GPU nothing runs.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
build=$(dirname "$graft")
[ -x "$build/tests/test_ops_rmsnorm" ] || { echo "SKIP: the ops' tests are not built"; exit 77; }

check() { # check NAME BUILD options...
    local name=$1 of=$2
    shift 2
    OUT=$work/$name bash "$root/run_scripts/gpu_check.sh" "$of" "$@"
}
told() { # told NAME EXPRESSION: of `r`, the results, and `parts`, {name: result}
    python3 - "$work/$1/gpu_check.json" "$2" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
parts = {part["name"]: part["result"] for part in r["parts"]}
print(json.dumps(r, indent=1)[-1500:])
sys.exit(not eval(sys.argv[2]))
PY
}
rehearsed() {
    check rehearsed "$build" --device cpu && told rehearsed 'set(parts.values()) == {"passed", "skipped"} and parts["sanitizer"] == "skipped" and len(parts) == 12 and r["outcome"] == "all checks passed"' &&
        told rehearsed 'all(0 < part["figures"]["limit_tokens_per_second"] and part["figures"]["peak_bytes"] > 1e6 for part in r["parts"] if not part["check"])' &&
        grep -q '^| ops | passed |' "$work/rehearsed/gpu_check.md"
}
stand_in() { # stand_in NAME COMMAND WORDS...: a build whose graft adds words to a command
    mkdir -p "$work/$1.build"
    ln -s "$build/tests" "$work/$1.build/tests"
    printf '#!/bin/sh\n[ "$1" = %s ] && set -- "$@" %s\nexec "%s" "$@"\n' "$2" "${*:3}" "$graft" >"$work/$1.build/graft"
    chmod +x "$work/$1.build/graft"
}
finds() { # another seed every time
    stand_in seeds train 'training.seed=$$'
    ! check seeds "$work/seeds.build" --device cpu --part "trajectory float32" "parity float32" "decode 7b" && grep -q "the same training twice gave other bytes" "$work/seeds/gpu_check.md" &&
        told seeds 'parts == {"parity float32": "passed", "trajectory float32": "failed", "decode 7b": "passed"}'
}
benchmark_fails() {
    stand_in slow generate --no-such-option
    check slow "$work/slow.build" --device cpu --part doctor "decode 7b" && told slow 'parts == {"doctor": "passed", "decode 7b": "failed"}'
}
cut_short() {
    ! check short "$build" --device cpu --minutes 0 --part ops "decode 7b" && told short 'parts == {"ops": "no time", "decode 7b": "no time"} and r["outcome"] == "1 checks did not pass"'
}
without_a_gpu() {
    CUDA_VISIBLE_DEVICES= expect 1 "nothing was run" check none "$build" && told none 'set(parts.values()) == {"not run"} and len(parts) == 12 and r["outcome"] == "not run"' &&
        grep -q '^| train llama2_7b | not run |' "$work/none/gpu_check.md"
}
claim "every part runs" rehearsed
claim "a check that fails is told, and the next parts run" finds
claim "a benchmark that fails fails no check" benchmark_fails
claim "what does not end in its time is told" cut_short
claim "without a GPU nothing runs" without_a_gpu
claim "no program is a mistake of the user" expect 2 "is no program" check nothing "$work"
done_claims
