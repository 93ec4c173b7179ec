#!/usr/bin/env bash
# graft report --csv and --tensorboard: other programs read there what the runs recorded, and nothing is written outside the folder that was named.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
cd "$work"
python=$root/.venv-reference/bin/python # has the package tensorboard
"$python" -c 'import tensorboard' 2>/dev/null || python=python3
tables() { "$python" -B "$root/tests/cli/report_tables.py" "$@"; }

# run FOLDER LINES: training lines, evaluations between them, a number that has no place in JSON, one beyond float32, and one that needs 17 digits
run() {
    mkdir -p "$1"
    python3 - "$2" >"$1/metrics.jsonl" <<'PY'
import json, sys
for step in range(1, int(sys.argv[1]) + 1):
    print(json.dumps({"step": step, "epoch": step / 20, "loss": 8 / step / 3 if step != 3 else None, "grad_norm": 1e300 if step == 2 else -1e-300 if step == 5 else 0.1,
                      "memory_bytes": 1234567890123 + step, **({"parameter_hash": "00ff", "late": True} if step == 7 else {})}))
    if step % 5 == 0:
        print(json.dumps({"step": step, "eval_loss": 0.30000000000000004 + step}))
PY
}
run one 20
run two 12
mkdir -p other && cp -rp one other/

csv() { "$graft" report one two --csv table.csv && tables csv table.csv one=one two=two; }
claim "the table has every line, key and number, of several runs too" csv
stream() { "$graft" report one --csv - >streamed.csv && tables csv streamed.csv one=one; }
claim "the table goes into a pipe as well" stream
events() { "$graft" report one two --tensorboard events && tables events events one=one two=two; }
claim "event files hold the same numbers, with both checksums" events
same() { "$graft" report one two/ --tensorboard again && diff -r events again; }
claim "the same run makes the same bytes" same
all() { "$graft" report one --csv a.csv --html a.html --tensorboard a && tables csv a.csv one=one && tables events a one=one && grep -q "<h1>One run" a.html; }
claim "page, table and events in one call" all
names() { "$graft" report ./one ../"$(basename "$work")"/other/one --tensorboard names && tables events names one=one "$(basename "$work")/other/one"=other/one; }
claim "runs of one name go by their paths, and none leaves the folder" names
running() { cp -r one running && printf '{"step": 41, "lo' >>running/metrics.jsonl && "$graft" report running --csv r.csv --tensorboard r && tables csv r.csv running=running && tables events r running=running; }
claim "a run may be under way" running
here() { (cd one && "$graft" report . --tensorboard ../here) && [ -f here/events.out.tfevents.graft ]; }
claim "the run of this folder needs no name" here
one_step() { mkdir -p first && echo '{"step": 0, "loss": 1}' >first/metrics.jsonl && "$graft" report first --tensorboard first_events && tables events first_events first=first; }
claim "step 0 is a step" one_step

hostile() {
    local name='=1+1,"x'
    mkdir -p "$name" && cat >"$name/metrics.jsonl" <<'JSON'
{"step": 1, "@SUM(A1)": "=cmd|' /C calc'!A0", "a,\"b\"": "x\ny", "plain": "+1", "minus": "-2", "loss": -2, "last": "fine"}
JSON
    "$graft" report "$name" --csv hostile.csv && python3 - <<'PY'
import csv
rows = list(csv.reader(open("hostile.csv", newline="")))
assert rows[0] == ["run", "step", "'@SUM(A1)", 'a,"b"', "plain", "minus", "loss", "last"], rows[0]
assert rows[1] == ["'=1+1,\"x", "1", "'=cmd|' /C calc'!A0", "x\ny", "'+1", "'-2", "-2", "fine"], rows[1]
assert len(rows) == 2
PY
}
claim "no text of a run is a formula or a row of its own" hostile

kept() { "$graft" report one two --tensorboard kept && cp -rp kept kept_before && touch -d 2001-01-01 one/metrics.jsonl && expect 2 "kept/one/events.out.tfevents.graft: already exists" "$graft" report one two --tensorboard kept && diff -r kept kept_before && "$graft" report one two --tensorboard kept --force && tables events kept one=one two=two; }
claim "events are not overwritten unasked" kept
refused() { expect "$@" && [ ! -e x ] && [ ! -e x.csv ]; }
claim "a table is not overwritten unasked" refused 2 "table.csv: already exists" "$graft" report one --csv table.csv --tensorboard x
claim "two outputs of one name" refused 2 "x.csv: two outputs would go there" "$graft" report one --csv x.csv --html ./x.csv --force
claim "one run twice" refused 2 "x/one/events.out.tfevents.graft: the runs one and one/ would both go there" "$graft" report one one/ --tensorboard x
claim "a file where the folder of events should be" refused 1 "table.csv: is a file where a folder is needed" "$graft" report one --tensorboard table.csv/one
broken() { mkdir -p broken && printf '{"step": 1}\n{"step": }\n' >broken/metrics.jsonl && refused 2 "broken/metrics.jsonl:2:" "$graft" report one broken --csv x.csv --tensorboard x; }
claim "a broken line of one run leaves no file of another" broken
partial() { mkdir -p half/two && mkfifo half/two/events.out.tfevents.graft && expect 2 "half/two/events.out.tfevents.graft: is no regular file" "$graft" report one two --tensorboard half --force && [ ! -e half/one ]; }
claim "a pipe among the event files is refused" partial
done_claims
