#!/usr/bin/env bash
# A run from the token cache is the run without it, in every byte; with any number of threads; whatever happens while the cache is made, no part of one is read.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
cd "$work"
ln -s "$root/examples/base" base
python3 - <<'E'
import json
def record(i):
    return {"instruction": f"Say what number {i % 900} is.", "context": "in short" * (i % 3), "response": "" if i % 400 == 7 else f"It is {i % 900}. " * (1 + i % 40)}
with open("data.jsonl", "w") as file:
    file.writelines(json.dumps(record(i)) + "\n" for i in range(3000))
with open("ids.jsonl", "w") as file:
    file.writelines(json.dumps({"ids": [1, 5 + i, 6, 2], "labels": [-100, 5, 6, 2]}) + "\n" for i in range(50))
E
cat >run.yaml <<'E'
model: {path: base}
adapter: {peft_type: LORA, r: 2}
data:
  train: [{path: data.jsonl, format: dolly, template: alpaca}, {path: ids.jsonl, format: tokens}]
  eval_fraction: 0.1
  max_length: 200
  over_length: drop
  deduplicate: true
  accept: [empty_response, no_eos, eval_in_train]
training: {output_dir: out, max_steps: 3, batch_size: 4, learning_rate: 1.0e-3}
E
cached() { "$graft" data "$@" data.cache=kept; }
same_report() {
    "$graft" data check run.yaml --threads 1 >plain && cached check run.yaml >made && cached check run.yaml >read || return 1
    [ "$(ls kept | wc -l)" = 1 ] && cmp plain made && cmp plain read && grep -q "over_length" plain && grep -q "duplicate" plain
}
claim "the same counts and findings, made and read" same_report
same_shown() { "$graft" data show run.yaml --random 300 >plain && cached show run.yaml --random 300 >read && cmp plain read; }
claim "the same sequences" same_shown
same_run() {
    "$graft" train run.yaml training.output_dir=a --quiet && "$graft" train run.yaml training.output_dir=b data.cache=kept --quiet || return 1
    cmp a/adapter_model.safetensors b/adapter_model.safetensors &&
        python3 -c 'import json; a, b = (json.load(open(f"{d}/manifest.json")) for d in "ab"); assert a["data_hash"] == b["data_hash"] and a["eval_data_hash"] == b["eval_data_hash"]'
}
claim "the same training" same_run
threads() { "$graft" data check run.yaml data.cache=other --threads 3 >read && cmp plain_check read && cmp kept/*.h5 other/*.h5; }
"$graft" data check run.yaml --threads 1 >plain_check
claim "the same bytes with three threads" threads
inspected() {
    "$graft" inspect kept/*.h5 >said && grep -q "a token cache" said && grep -q "$(basename kept/*.h5 .h5)" said && grep -q "^source: ./data.jsonl (dolly, template alpaca): 3000 records" said
}
claim "inspect says what it is" inspected
other_key() {
    local count
    for change in data.max_length=150 data.deduplicate=false data.over_length=truncate; do
        count=$(ls kept | wc -l)
        "$graft" data check run.yaml data.cache=kept "$change" >/dev/null && [ "$(ls kept | wc -l)" = $((count + 1)) ] || return 1
    done
    "$graft" data check run.yaml data.cache=kept training.seed=9 >/dev/null && [ "$(ls kept | wc -l)" = $((count + 1)) ]
}
claim "another setting makes another cache, one that matters not does not" other_key
changed() {
    rm -rf kept && cached check run.yaml >/dev/null && sed -i 's/"It is 5\. /"it was 5. /' data.jsonl && cached check run.yaml >read &&
        "$graft" data check run.yaml >plain && cmp plain read && [ "$(ls kept | wc -l)" = 2 ]
}
claim "a changed data file is read again" changed

cat >spoil.py <<'E'
"""spoil.py GRAFT: every kind of damage is told and mended."""
import glob, os, subprocess, sys
def run(*words):
    return subprocess.run([sys.argv[1], *words], capture_output=True)
check = ("data", "check", "run.yaml", "data.cache=kept")
path = max(glob.glob("kept/*.h5"), key=os.path.getmtime)
whole = open(path, "rb").read()
flipped = lambda at: whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]
spoilt = [whole[:n] for n in (0, 100, 512, 600, len(whole) // 2, len(whole) - 1)] + [flipped(at) for at in (3, 30, 512, 530, len(whole) // 3, len(whole) - 1)] + [whole + b"x"]
for bytes_ in spoilt:
    os.remove(path)
    open(path, "wb").write(bytes_)
    looked = run("inspect", path)
    assert looked.returncode == 2 and (b"damaged" in looked.stderr or b"token cache" in looked.stderr) and not looked.stdout, looked
    told = run(*check)
    assert told.returncode == 0 and b"damaged" in told.stderr and b"it is made again" in told.stderr, told
    assert open(path, "rb").read() == whole
    assert not run(*check).stderr
E
claim "a damaged cache is told and made again" python3 spoil.py "$graft"

cat >kill.py <<'E'
"""kill.py GRAFT: killed at many moments, there is a whole cache or none; two at once are both right."""
import os, shutil, signal, subprocess, sys, time
check = [sys.argv[1], "data", "check", "run.yaml", "data.cache=kept"]
start = lambda: subprocess.Popen(check, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
shutil.rmtree("kept", ignore_errors=True)
began = time.monotonic()
wanted, _ = start().communicate()
seconds = time.monotonic() - began
[name] = os.listdir("kept")
whole = open("kept/" + name, "rb").read()
for i in range(12):
    shutil.rmtree("kept")
    child = start()
    time.sleep(seconds * i / 10)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    left = [n for n in (os.listdir("kept") if os.path.isdir("kept") else []) if not n.endswith(".partial")]
    assert left in ([], [name]), left
    assert not left or open("kept/" + name, "rb").read() == whole
    os.makedirs("kept", exist_ok=True)
shutil.rmtree("kept")
for child in [start(), start(), start()]:
    out, err = child.communicate()
    assert child.returncode == 0 and out == wanted and not err, err
assert os.listdir("kept") == [name] and open("kept/" + name, "rb").read() == whole
E
claim "killed at any moment, made by three at once" python3 kill.py "$graft"
cat >reseal.py <<'E'
"""reseal.py GRAFT: caches with changed bytes under a seal that fits them are read or refused, never believed."""
import glob, hashlib, random, subprocess, sys
whole, chance, said = open(glob.glob("small/*.h5")[0], "rb").read(), random.Random(1), set()
for _ in range(100):
    spoilt = bytearray(whole[:chance.randrange(600, len(whole))] if chance.random() < 0.1 else whole)
    for _ in range(chance.choice((1, 1, 2, 4))):
        spoilt[chance.randrange(512, len(spoilt))] = chance.choice((0, 1, 127, 128, 255))
    seal = b"graft, sealed HDF5\n%d\n%s\n" % (len(spoilt), hashlib.sha256(spoilt[512:]).hexdigest().encode())
    open("spoilt.h5", "wb").write(seal.ljust(512, b"\0") + spoilt[512:])
    done = subprocess.run([sys.argv[1], "inspect", "spoilt.h5"], capture_output=True, timeout=60)
    assert done.returncode == 0 or (done.returncode == 2 and b"spoilt.h5: " in done.stderr and not done.stdout), done
    said.add(done.stderr)
assert len(said) > 3, said
E
resealed() { "$graft" data check run.yaml 'data.train=[{path: ids.jsonl, format: tokens}]' data.cache=small >made || return 1; python3 reseal.py "$graft"; }
claim "hostile caches under a good seal" resealed
claim "a folder that cannot be made" expect 1 "data.jsonl" "$graft" data check run.yaml data.cache=data.jsonl/kept
done_claims
