#!/usr/bin/env bash
# The page of graft report in a real browser: values under the pointer, scales, colours by day and night, room on narrow windows, and not one error or request.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "SKIP: no chromium or google-chrome is installed"; exit 77; }
cd "$work"
opened() { python3 -B "$root/tests/cli/report_browser.py" "$browser" "$@"; }

# run NAME RATE FACTOR EVERY: a run that logged every so many steps of 40
run() {
    mkdir -p "$1"
    python3 - "$3" "$4" >"$1/metrics.jsonl" <<'PY'
import json, sys
for step in range(1, 41, int(sys.argv[2])):
    loss = float(sys.argv[1]) / step
    print(json.dumps({"step": step, "loss": loss, "grad_norm": 2 * loss, "learning_rate": 1e-3 / step, "tokens_per_second": 100 + step, "memory_bytes": 3 << 30, "eval_loss": loss + 1}))
PY
    printf 'adapter: {r: 4}\ntraining: {learning_rate: %s}\n' "$2" >"$1/config.yaml"
}
run one 1.0e-3 8 1
run two 2.0e-3 4 3
seven=(one two)
for name in three four five six seven; do run $name 1.0e-${#name} 3 2; seven+=($name); done # a colour each
long=$(printf '%0200d' 0)
echo "{\"where\": \"$long/data.jsonl:1\", \"answer\": \"said 1\", \"reference\": \"wanted 1\", \"correct\": false}" >answers.jsonl
"$graft" report "${seven[@]}" --html page.html --answers a=answers.jsonl
"$graft" report one --html alone.html --answers a=answers.jsonl
claim "seven runs in a wide window" opened page.html 1400 light "${seven[@]}"
claim "in a narrow one, by night" opened page.html 500 dark "${seven[@]}"
claim "one run" opened alone.html 900 light one
long_name() { cp -r one "$long" && "$graft" report "$long" one --html long.html --answers "$long=answers.jsonl" && opened long.html 500 light - one; }
claim "a run of a long name, and answers under one" long_name

hostile() {
    local name='<img src=x onerror=alert(1)>"&'
    cp -r one "$name"
    python3 - "$name" <<'PY'
import json, sys
evil = "</script><script>alert(1)</script><b onclick='x'><img src=http://127.0.0.1:9/x onerror=alert(2)>"
folder = sys.argv[1]
json.dump({"outcome": evil, evil: evil}, open(folder + "/manifest.json", "w"))
open(folder + "/config.yaml", "w").write(json.dumps({evil: [evil]}))
open("evil.jsonl", "w").write(json.dumps({"where": evil, "answer": evil, "reference": evil}) + "\n")
open(folder + "/metrics.jsonl", "a").write(json.dumps({"step": 41, evil: evil, "loss": evil}) + "\n")
PY
    "$graft" report "$name" two --html hostile.html --answers '<b>"=evil.jsonl' && opened hostile.html 1400 light - two
}
claim "nothing that a run holds runs or is fetched" hostile
done_claims
