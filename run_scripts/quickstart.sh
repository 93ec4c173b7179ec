#!/usr/bin/env bash
# From a fresh clone to a trained adapter in about three minutes on two cores: installs what is missing, builds graft,
# trains a LoRA on the embedded tiny base model, and shows what that changed on questions it was not trained on.
#
#   run_scripts/quickstart.sh
#
# Everything it makes lies in build/ and runs/quickstart/, and is replaced when it runs again.
set -euo pipefail
cd "$(dirname "$0")/.."

bash run_scripts/build.sh
run=runs/quickstart

# evaluate NAME options...: the held-out records, with the template of configs/quickstart.yaml
evaluate() {
    local name=$1
    shift
    build/graft evaluate --model examples/base "$@" --data examples/tiny_world/eval.jsonl --format dolly \
        --template-prompt $'{context}\nQuestion: {instruction}\nAnswer:' --template-response ' {response}' \
        --output "$run/$name.json" --answers "$run/$name.jsonl" --force --quiet >/dev/null
}

echo "training configs/quickstart.yaml (the adapter: $run)"
build/graft train configs/quickstart.yaml --force
echo "evaluating without and with the adapter"
evaluate before
evaluate after --adapter "$run"

python3 - "$run" examples/tiny_world/eval.jsonl <<'PYTHON'
import json
import sys

run, records = sys.argv[1], [json.loads(line) for line in open(sys.argv[2])]
results = [json.load(open(f"{run}/{name}.json")) for name in ("before", "after")]
answers = [[json.loads(line) for line in open(f"{run}/{name}.jsonl")] for name in ("before", "after")]
print(f"\n{results[0]['exact_match']['count']} questions about stories that training did not see")
print(f"{'':24}{'base model':>14}{'with adapter':>14}")
print(f"{'exact match':24}" + "".join(f"{r['exact_match']['mean']:14.1%}" for r in results))
print(f"{'loss per answer token':24}" + "".join(f"{r['loss']['mean']:14.3f}" for r in results))
print(f"\n{'question':32}{'wanted':20}{'base model':34}with adapter")
for record, before, after in list(zip(records, *answers))[:3]:
    short = " ".join(before["answer"].split())
    print(f"{record['instruction']:32}{record['response']:20}{short[:30] + ('..' if len(short) > 30 else ''):34}{after['answer'].strip()}")
PYTHON
cat <<MORE

Ask it yourself:
  build/graft generate --model examples/base --adapter $run --prompt \$'Once Ben went to the lake. He found a red toy.\nQuestion: What did Ben find?\nAnswer:'
MORE
