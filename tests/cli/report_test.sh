#!/usr/bin/env bash
# graft report: what the page of runs shows, that nothing of a run's files can become markup or a script, and what is said of files that graft did not write.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
cd "$work"
page="python3 $root/tests/cli/report_page.py"

# run NAME RATE FACTOR: a folder as training leaves it, losses falling from FACTOR
run() {
    mkdir -p "$1"
    python3 - "$3" >"$1/metrics.jsonl" <<'PY'
import json, sys
for step in range(1, 41):
    loss = float(sys.argv[1]) / step
    print(json.dumps({"step": step, "epoch": step / 20, "loss": loss, "grad_norm": 2 * loss, "learning_rate": 0 if step == 40 else 1e-3 / step, "tokens_per_second": 100 + step, "trained_tokens": 7,
                      "memory_bytes": 3 << 30, **({"parameter_hash": "00ff"} if step == 40 else {})}))
    if step % 10 == 0:
        print(json.dumps({"step": step, "epoch": step / 20, "eval_loss": loss + (step == 40), "eval_perplexity": 2.5, "eval_tokens": 34}))
PY
    printf 'adapter: {r: 4, target_modules: [q, v]}\ntraining:\n  learning_rate: %s\n' "$2" >"$1/config.yaml"
    echo '{"outcome": "finished", "seconds": 12.5, "threads": 2, "device": "a machine", "steps": 40}' >"$1/manifest.json"
}
run one 1.0e-3 8
run two 2.0e-3 4

shows() { "$graft" report one two --html page.html && $page page.html one two; }
claim "the page has every run, its curves with the values that were recorded, and the settings that differ" shows
alone() { "$graft" report one/ --html alone.html && $page alone.html one; }
claim "one run is a page too" alone
whole() { expect 2 "page.html: already exists" "$graft" report one --html page.html && "$graft" report two one --html page.html --force && $page page.html two one; }
claim "a page is not overwritten unasked" whole
names() { mkdir -p other && cp -r one other/ && "$graft" report one other/one --html names.html && grep -q '</svg>other/one</span>' names.html; }
claim "runs of one name go by their paths" names
running() { cp -r one running && rm running/manifest.json running/config.yaml && printf '{"step": 41, "lo' >>running/metrics.jsonl && "$graft" report running --html running.html 2>said && grep -q "running/metrics.jsonl:45: half a line" said && $page running.html running; }
claim "a run may be under way: half a line is left out, with a warning" running
long() { mkdir -p long && seq 1 20000 | sed 's/.*/{"step": &, "loss": 1}/; 7777s/1}/9}/' >long/metrics.jsonl && "$graft" report long --html long.html && [ "$(wc -c <long.html)" -lt 100000 ] && grep -q '7777' long.html; }
claim "a long run makes a small page, and its peak stays" long
many() { # every row of the comparison is another setting
    mkdir -p many && (cd many && python3 - <<'PY'
import json, os
for run in range(32):
    os.mkdir(f"run{run}")
    open(f"run{run}/metrics.jsonl", "w").write('{"step": 1, "loss": 1}\n')
    for name in ("config.yaml", "manifest.json"):
        json.dump({f"{'x' * 40}_{run}_{i}": i for i in range(1000)}, open(f"run{run}/{name}", "w"))
PY
    ) && "$graft" report many/run* --html many.html && [ "$(grep -c '^<tr><th scope="row">x' many.html)" = 64000 ] && rm -r many many.html
}
claim "32 runs of 1000 settings each, none of them shared, are compared" many
evaluated() {
    echo '{"loss": {"mean": 1.25, "standard_error": 0.5, "count": 3}, "perplexity": 3.49, "exact_match": {"mean": 0.25, "standard_error": 0.1, "count": 4}, "records": 4, "data": "d.jsonl"}' >result.json
    for i in 1 2 3; do echo "{\"where\": \"d.jsonl:$i\", \"answer\": \"said $i\", \"reference\": \"wanted $i\", \"correct\": false}"; done >answers.jsonl
    "$graft" report one --html evaluated.html --evaluation a=result.json --answers b=answers.jsonl --samples 2 &&
        grep -q '1.25 <small>± 0.5</small>' evaluated.html && grep -q 'said 2' evaluated.html && ! grep -q 'said 3' evaluated.html && grep -q 'the first of answers.jsonl' evaluated.html
}
claim "results and answers of graft evaluate are shown, with the file that they are from" evaluated

hostile() {
    local name='<img src=x onerror=alert(1)>"&'
    cp -r one "$name"
    python3 - "$name" <<'PY'
import json, sys
evil = "</script><script>alert(1)</script><b onclick='x'>\u001b[31m\""
folder = sys.argv[1]
json.dump({"outcome": evil, evil: evil}, open(folder + "/manifest.json", "w"))
open(folder + "/config.yaml", "w").write(json.dumps({evil.replace("\u001b", ""): [evil.replace("\u001b", "")]}))
json.dump({"loss": {"mean": 1, "standard_error": 1, "count": 1}, "data": evil}, open("evil.json", "w"))
open("evil.jsonl", "w").write(json.dumps({"where": evil, "answer": evil, "reference": evil}) + "\n")
open(folder + "/metrics.jsonl", "a").write(json.dumps({"step": 41, evil: evil, "loss": evil}) + "\n")
PY
    "$graft" report "$name" two --html hostile.html --evaluation '<b>"=evil.json' --answers '<b>"=evil.jsonl' && $page hostile.html - two
}
claim "nothing that a run holds becomes markup or a script" hostile

# refused STATUS-TEXT LINE: a line of metrics.jsonl behind 44 good ones
refused() { cp -r one bad && echo "$2" >>bad/metrics.jsonl && expect 2 "$1" "$graft" report bad --html bad.html; local got=$?; rm -r bad; [ "$got" = 0 ] && [ ! -e bad.html ]; }
claim "a line that is no JSON is named" refused "bad/metrics.jsonl:45:" '{"step": 41, "loss": }'
claim "a line that is no object" refused "bad/metrics.jsonl:45: not an object" '[1]'
claim "a line without a step" refused "bad/metrics.jsonl:45: no 'step'" '{"loss": 1}'
claim "a step that is none" refused "bad/metrics.jsonl:45: 'step'" '{"step": -3}'
claim "a value that is no cell" refused "bad/metrics.jsonl:45: 'loss' is an array" '{"step": 41, "loss": [1]}'
keys() { refused "bad/metrics.jsonl:45: 'k20' would be key 33" "$(python3 -c 'import json; print(json.dumps({"step": 41, **{f"k{i}": i for i in range(40)}}))')"; }
claim "more keys than a run has" keys
empty() { mkdir -p empty && : >empty/metrics.jsonl && expect 2 "empty/metrics.jsonl: no line of a step" "$graft" report empty --html x.html; }
claim "no line at all" empty
claim "no folder" expect 2 "nowhere: no such folder" "$graft" report nowhere --html x.html
claim "a folder that is no run" expect 2 "other/metrics.jsonl: not there" "$graft" report other --html x.html
claim "nothing to write" expect 2 "nothing to write" "$graft" report one
claim "no name of a result" expect 2 "--evaluation result.json: no NAME=FILE" "$graft" report one --html x.html --evaluation result.json
claim "a result that is none" expect 2 "two/manifest.json: not a result of graft evaluate" "$graft" report one --html x.html --evaluation a=two/manifest.json
claim "answers that are none" expect 2 "one/metrics.jsonl:1: no 'answer'" "$graft" report one --html x.html --answers a=one/metrics.jsonl
[ ! -e x.html ] || { echo "FAIL  a refused report left a file"; failures=$((failures + 1)); }
done_claims
