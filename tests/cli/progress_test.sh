#!/usr/bin/env bash
# What training shows while it runs: on a terminal one line with the curve of the loss, as wide as there is room; plain lines elsewhere.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
cat >"$work/run.yaml" <<YAML
model: {path: $root/examples/base}
adapter: {peft_type: LORA, r: 4, target_modules: all-linear}
data:
  train:
    - {path: $root/examples/tiny_world/train.jsonl, format: dolly, limit: 8}
  max_length: 256
  over_length: error
training: {output_dir: out, max_steps: 30, batch_size: 1, learning_rate: 1.0e-2, seed: 7}
YAML
cd "$work"
# on_terminal COLUMNS UTF-8|ASCII|quiet [words of graft]: shown.json holds the lines drawn, each as the list of its states
on_terminal() { python3 -B "$root/tests/cli/progress_terminal.py" "$1" "$2" "$graft" train run.yaml --force "${@:3}"; }

claim "a terminal shows the curve in blocks, where the locale has them" on_terminal 120 UTF-8
claim "and in ASCII, where it has not" on_terminal 120 ASCII
claim "on 80 columns, which a terminal has that does not say, the learning rate makes room for the curve if it has to" on_terminal 0 UTF-8
claim "a narrow terminal has the line without the curve, cut to its width" on_terminal 50 UTF-8
claim "a terminal of one column gets nothing that wraps" on_terminal 1 ASCII
claim "--quiet shows nothing" on_terminal 120 UTF-8 --quiet
plain() {
    LC_ALL=C.UTF-8 "$graft" train run.yaml --force 2>said && grep -q '^step 30/30  loss [0-9.]*  lr ' said && ! grep -q "$(printf '[\r\033]')" said &&
        ! LC_ALL=C grep -q '[^ -~]' said
}
claim "a file gets plain lines, without curve and commands" plain
done_claims
