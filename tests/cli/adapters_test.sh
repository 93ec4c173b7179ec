#!/usr/bin/env bash
# Several adapters at once: added where nothing else is said, and chosen line by line.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
base=$root/examples/base
cd "$work"

# make NAME PROJECTION STEP: a LoRA of rank 2
make() {
    PYTHONPATH=$root/tests/cli/malformed python3 -B -c 'import json, struct, sys
import good
name, projection, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
def t(rows, cols):
    return ("F32", [rows, cols], struct.pack(f"<{rows * cols}f", *(0.02 * ((step * i) % 11 - 5) for i in range(rows * cols))))
shape = {"A": (good.RANK, good.WIDTH), "B": (good.WIDTH, good.RANK)}
tensors = {f"base_model.model.model.layers.{i}.self_attn.{projection}.lora_{s}.weight": t(*shape[s]) for i in range(4) for s in "AB"}
good.put(".", name + "/adapter_config.json", json.dumps({**good.adapter_config(), "target_modules": [projection]}))
good.put(".", name + "/adapter_model.safetensors", good.pack(tensors))' "$@"
}
make first q_proj 7
make second o_proj 3

# lines MEMBER...: the same ids in every line, each with its own member; "-" is none
lines() {
    for member in "$@"; do
        echo "{\"ids\": [5, 6, 7, 300, 9, 12]$([ "$member" = - ] || echo ", \"adapter\": $member")}"
    done
}
score() { # score OUT options: of lines on stdin
    cat >ids.jsonl
    "$graft" score --quiet --model "$base" --input ids.jsonl --output "$1.out" "${@:2}" --force
}
both="--adapter a=first --adapter b=second"
mixture() {
    lines null '"a"' '"b"' '["a", "b"]' - '[]' | score mixed $both &&
        lines - - - - - - | score none && lines - - - - - - | score first --adapter first && lines - - - - - - | score second --adapter second && lines - - - - - - | score added $both &&
        { sed -n 1p none.out && sed -n 2p first.out && sed -n 3p second.out && sed -n 4,5p added.out && sed -n 6p none.out; } >expected && cmp mixed.out expected
}
claim "every line has the numbers of its own adapters" mixture
claim "and they are not the same" bash -c '[ "$(sort -u mixed.out | wc -l)" = 4 ]'
logits() { lines '"b"' '"a"' | score mixed $both --logits c && lines - - | score other --adapter first --logits d && python3 - <<'END'
import sys
one, other = (open(name, "rb").read() for name in "cd")
half = len(one) // 2
sys.exit(one[-half // 2:] != other[-half // 2:] or one == other)
END
}
claim "logits too" logits
answers() {
    "$graft" generate --quiet --model "$base" --input ids.jsonl --max-new-tokens 6 --output "$1.out" "${@:2}" --force
}
generated() {
    lines null '"a"' '"b"' '["a", "b"]' >ids.jsonl && answers mixed $both && lines - - - - >ids.jsonl &&
        answers none && answers first --adapter first && answers second --adapter second && answers added $both &&
        { sed -n 1p none.out && sed -n 2p first.out && sed -n 3p second.out && sed -n 4p added.out; } >expected && cmp mixed.out expected
}
claim "answers too" generated
threads() { lines null '"a"' '"b"' | score one $both --threads 1 && lines null '"a"' '"b"' | score four $both --threads 4 && cmp one.out four.out; }
claim "threads do not matter" threads
named() { echo '{"ids": [5], "adapter": "first"}' | score named --adapter first --adapter b=second; }
claim "a folder is its own name" named
done_claims
