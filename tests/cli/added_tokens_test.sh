#!/usr/bin/env bash
# Tokens of a run's own (data.added_tokens): ids behind the tokenizer's, rows of their own, and a tokenizer that goes with the adapter.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
cd "$work"

# A base whose embedding has seven rows more than there are tokens: the example without the last seven tokens of its vocabulary.
python3 - "$root/examples/base" <<'END'
import json, os, shutil, sys
shutil.copytree(sys.argv[1], "base")
with open("base/tokenizer.json") as file:
    tokenizer = json.load(file)
vocab, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
gone = {token for token, id in vocab.items() if id >= 990}
assert len(gone) == 7
tokenizer["model"]["vocab"] = {token: id for token, id in vocab.items() if token not in gone}
pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
tokenizer["model"]["merges"] = [pair for pair in pairs if "".join(pair) not in gone and not gone & set(pair)]
with open("base/tokenizer.json", "w") as file:
    json.dump(tokenizer, file)
with open("records.jsonl", "w") as file:
    for i in range(6):
        file.write(json.dumps({"messages": [{"role": "user", "content": f"word {i}"}, {"role": "assistant", "content": f"reply {i}"}]}) + "\n")
END

# config NAME ADDED ADAPTER MORE...: a run that adds tokens
config() {
    cat >"$1.yaml" <<END
model: {path: base}
adapter: {$3}
data: {train: [{path: records.jsonl, format: messages, template: chatml}], max_length: 128, over_length: error, accept: [no_eos, split_marker], added_tokens: $2}
training: {output_dir: $1, max_steps: 3, batch_size: 6, learning_rate: 0.01}
END
}
train() { "$graft" train --quiet "$1.yaml" "${@:2}"; }
ids() { "$graft" tokenize --quiet --model "$1" --text "$2" --no-special-tokens; }

config run '["<|im_start|>", "<|im_end|>"]' 'peft_type: LORA, r: 2'
claim "a run with tokens of its own trains" train run
claim "they have the first free rows" bash -c "'$graft' tokenize --quiet --model run --text 'a<|im_start|>' --no-special-tokens | grep -q '990\]' && '$graft' tokenize --quiet --model run --text '<|im_end|>' --no-special-tokens | grep -q '\[991\]'"
claim "other texts keep their ids" bash -c "[ \"\$('$graft' tokenize --model run --text 'It is a word.')\" = \"\$('$graft' tokenize --model base --text 'It is a word.')\" ]"
rows() { python3 - "$1" <<'END'
import json, struct, sys
with open(sys.argv[1] + "/adapter_config.json") as file:
    config = json.load(file)
with open(sys.argv[1] + "/adapter_model.safetensors", "rb") as file:
    size = struct.unpack("<Q", file.read(8))[0]
    header = json.loads(file.read(size))
assert config["trainable_token_indices"] == [990, 991], config
assert header["base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"]["shape"] == [2, 96], header.keys()
END
}
claim "their rows alone are saved" rows run
claim "a setting that says so by itself trains the same adapter" bash -c "
    sed -e 's/adapter: {/&trainable_token_indices: [990, 991], /' -e 's/output_dir: run/output_dir: same/' run.yaml >same.yaml && '$graft' train --quiet same.yaml && cmp run/adapter_model.safetensors same/adapter_model.safetensors"
claim "the resolved configuration trains it again" bash -c "'$graft' train --quiet run/config.yaml training.output_dir=again && cmp run/adapter_model.safetensors again/adapter_model.safetensors"
scored() {
    printf '%s\n' '{"text": "<|im_start|>word"}' >lines.jsonl
    printf '{"ids": %s}\n' "$("$graft" tokenize --model run --text '<|im_start|>word' | grep -o '"ids": \[[^]]*\]' | cut -d: -f2)" >ids.jsonl
    "$graft" score --quiet --model base --adapter run --input lines.jsonl --output text.out --force &&
        "$graft" score --quiet --model base --adapter run --input ids.jsonl --output ids.out --force && cmp text.out ids.out
}
claim "score reads text with the adapter's tokenizer" scored
generated() {
    "$graft" generate --quiet --model base --adapter run --prompt '<|im_start|>' --max-new-tokens 4 --output text.out --force &&
        sed 's/]/]/' ids.jsonl >/dev/null && printf '{"ids": %s}\n' "$("$graft" tokenize --model run --text '<|im_start|>' | grep -o '"ids": \[[^]]*\]' | cut -d: -f2)" >ids.jsonl &&
        "$graft" generate --quiet --model base --adapter run --input ids.jsonl --max-new-tokens 4 --output ids.out --force && cmp text.out ids.out
}
claim "generate too" generated
evaluated() {
    "$graft" evaluate --quiet --model base --adapter run --data records.jsonl --format messages --template chatml --output with.json --force &&
        "$graft" merge --quiet --model base --adapter run --output merged --dtype float32 &&
        "$graft" evaluate --quiet --model merged --data records.jsonl --format messages --template chatml --output merged.json --force &&
        python3 -c 'import json
one, other = (json.load(open(name)) for name in ("with.json", "merged.json"))
count = lambda j: j["loss"]["count"] if "loss" in j else [v for v in j.values() if isinstance(v, dict) and "count" in v][0]["count"]
assert count(one) == count(other), (one, other)'
}
claim "evaluate too, and a merged model has the tokenizer" evaluated
claim "which is the same file" cmp run/tokenizer.json merged/tokenizer.json

config more '["<|im_start|>", "<|im_end|>"]' 'init_from: run'
claim "a run goes on from an adapter with its tokens" train more
claim "and keeps the tokenizer" cmp run/tokenizer.json more/tokenizer.json
config silent '[]' 'init_from: run'
claim "also without naming them again" train silent
claim "and keeps it then" cmp run/tokenizer.json silent/tokenizer.json

config begun '[{text: "<x>", init: mean}, {text: "<y>", special: false, init: "word"}]' 'peft_type: LORA, r: 2'
claim "rows begin where they are told to" train begun training.learning_rate=1e-30
starts() { python3 - <<'END'
import json, struct
def tensors(path):
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(size)), file.read()
def values(dtype, bytes):
    if dtype == "F32":
        return struct.unpack(f"<{len(bytes) // 4}f", bytes)
    return [struct.unpack("<f", b"\0\0" + bytes[i:i + 2])[0] for i in range(0, len(bytes), 2)]
def tensor(path, name):
    header, body = tensors(path)
    begin, end = header[name]["data_offsets"]
    rows, cols = header[name]["shape"]
    flat = values(header[name]["dtype"], body[begin:end])
    return [flat[r * cols:(r + 1) * cols] for r in range(rows)]
embed = tensor("base/model.safetensors", "model.embed_tokens.weight")
mean, word = tensor("begun/adapter_model.safetensors", "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta")
for c in range(96):
    assert abs(mean[c] - sum(embed[i][c] for i in range(990)) / 990) < 1e-6
with open("word.ids") as file:
    ids = json.load(file)["ids"]
for c in range(96):
    assert abs(word[c] - sum(embed[i][c] for i in ids) / len(ids)) < 1e-6
END
}
claim "the ids of that text" bash -c "'$graft' tokenize --model base --text word --no-special-tokens >word.ids"
claim "and do" starts

config full '["<1>", "<2>", "<3>", "<4>", "<5>", "<6>", "<7>", "<8>"]' 'peft_type: LORA'
claim "a table without room is an error with the cure" expect 2 "full.yaml:3:209: data.added_tokens: '<8>' gets id 997, and the embedding has 997 rows" train full
claim "which says how to make room" grep -q "resize_token_embeddings(1024)" err
config twice '["<1>", "<1>"]' 'peft_type: LORA'
claim "a token named twice" expect 2 "data.added_tokens: '<1>' is there twice" train twice
config empty '[""]' 'peft_type: LORA'
claim "a token of no text" expect 2 "data.added_tokens: a token of no text" train empty
config key '[{text: "<1>", int: mean}]' 'peft_type: LORA'
claim "a key that is none" expect 2 "unknown key 'int'" train key
config prompt '["<1>"]' 'peft_type: PROMPT_TUNING'
claim "a method without rows" expect 2 "adapter.peft_type PROMPT_TUNING trains no rows of the embedding" train prompt
config start '[{text: "<1>", init: "<1>"}]' 'peft_type: LORA'
claim "a row that begins as itself" expect 2 "init '<1>' has a token that is new itself" train start
config backward '[{text: "<|im_start|>", init: mean}, "<|im_end|>"]' 'init_from: run'
claim "a row that begins twice" expect 2 "init of '<|im_start|>', but adapter.init_from is given" train backward
config whole '["<1>"]' 'peft_type: LORA, r: 2, modules_to_save: [embed_tokens]'
claim "a table that is trained whole needs no rows" train whole
config other '["<1>"]' 'peft_type: LORA, r: 2'
claim "another tokenizer" train other
claim "two tokenizers at once" expect 2 "have different tokenizers" "$graft" generate --model base --adapter run --adapter other --prompt x
claim "the same twice" "$graft" generate --quiet --model base --adapter run --adapter again=more --prompt x --max-new-tokens 1
done_claims
