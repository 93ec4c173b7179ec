#!/usr/bin/env bash
# graft merge: the merged folder computes what base and adapter compute, keeps what it need not change, and appears whole or not at all.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
base=$root/examples/base
records=$root/tests/reference/records
cd "$work"

# python EXPRESSION: over folders and safetensors files; must be true
python() {
    PYTHONPATH=$root/tests/cli/malformed ROOT=$root python3 -B -c 'import array, json, math, os, sys
import good
def tensors(path):
    return good.unpacked(open(path, "rb").read())
def floats(tensor):
    return array.array("f", tensor[2])
def folder(path):
    found = {}
    for name in sorted(os.listdir(path)):
        if name.endswith(".safetensors"):
            found.update(tensors(os.path.join(path, name)))
    return found
def same_logits(one, other, most):
    a, b = tensors(one), tensors(other)
    worst = max(abs(x - y) for key in a for x, y in zip(floats(a[key]), floats(b[key])))
    print(sorted(a), sorted(b), worst)
    return a.keys() == b.keys() and worst <= most
'"sys.exit(not ($1))"
}

# make NAME TENSORS CONFIG: an adapter of rank 2; Python expressions of layer-wise tensors and of members of adapter_config.json
make() {
    PYTHONPATH=$root/tests/cli/malformed NAME=$1 TENSORS=$2 CONFIG=$3 python3 -B -c 'import json, os, struct
import good
def f(count, scale=0.01):
    return struct.pack(f"<{count}f", *(scale * ((7 * i) % 11 - 5) for i in range(count)))
def t(rows, cols, scale=0.01):
    return ("F32", [rows, cols], f(rows * cols, scale))
W, R = good.WIDTH, good.RANK
root = "base_model.model."
tensors = {root + key: value for key, value in eval(os.environ["TENSORS"]).items()}
folder = os.environ["NAME"]
good.put(".", folder + "/adapter_config.json", json.dumps({**good.adapter_config(), **eval(os.environ["CONFIG"])}))
good.put(".", folder + "/adapter_model.safetensors", good.pack(tensors))'
}
q='{f"model.layers.{i}.self_attn.q_proj.lora_{s}.weight": t(R, W) if s == "A" else t(W, R) for i in range(4) for s in "AB"}'
echo '{"ids": [5, 6, 7, 300, 9]}' >ids.jsonl
logits() { # logits OUT MODEL [ADAPTER]
    "$graft" score --quiet --model "$2" ${3:+--adapter "$3"} --input ids.jsonl --logits "$1" --output /dev/null --force
}

make plain "$q" '{}'
merges() { # options; the folder is `merged` unless they say another
    local output=merged
    [[ " $* " == *" --output "* ]] && output=
    "$graft" merge --quiet --model "$base" --adapter plain ${output:+--output $output} "$@" >said
}
claim "merge runs" merges
claim "it says what it checked" grep -q 'checked  *largest logit difference .* allowed), .* % of 64 greedy tokens equal' said
claim "only targeted tensors changed, and kept their type" python 'all((one == other) == ("q_proj" not in key) and one[:2] == other[:2] for (key, one), other in zip(sorted(folder("merged").items()), (v for _, v in sorted(folder(os.environ["ROOT"] + "/examples/base").items()))))'
copied() { for file in config.json generation_config.json tokenizer.json tokenizer_config.json; do cmp "$base/$file" "merged/$file" || return 1; done; [ "$(ls merged | wc -l)" = "$(ls "$base" | wc -l)" ]; }
claim "all other files are copied" copied
claim "it generates without an adapter" "$graft" generate --quiet --model merged --prompt "Once" --max-new-tokens 4

exact() { merges --output exact --dtype float32 && logits a "$base" plain && logits b exact && python 'same_logits("a", "b", 1e-5)'; }
claim "in float32 the logits are those of base and adapter" exact
claim "config.json says float32" grep -q '"dtype": "float32"' exact/config.json
claim "and nothing else changed in it" python '{**json.load(open(os.environ["ROOT"] + "/examples/base/config.json")), "dtype": "float32"} == json.load(open("exact/config.json"))'
in_halves() { merges --output half --dtype float16 && python 'all(t[0] == "F16" for t in folder("half").values())'; }
claim "float16 is written" in_halves

sharded() { merges --output shards --dtype float32 --max-shard-size 300KB && logits b shards && python 'same_logits("a", "b", 1e-5)'; }
claim "a small shard size gives an index that is read back" sharded
indexed() { python '(lambda index: index["metadata"]["total_size"] == sum(len(t[2]) for t in folder("shards").values()) and all(key in tensors("shards/" + file) for key, file in index["weight_map"].items()) and len(set(index["weight_map"].values())) > 4)(json.load(open("shards/model.safetensors.index.json")))'; }
claim "the index names every tensor's file" indexed
small() { python 'all(os.path.getsize("shards/" + f) < 320000 or len(tensors("shards/" + f)) == 1 for f in os.listdir("shards") if f.endswith(".safetensors"))'; }
claim "no file is larger than it may be" small
again() { merges --output again --dtype float32 --threads 1 && cmp again/model.safetensors exact/model.safetensors; }
claim "threads do not matter" again

make head '{"lm_head.weight": t(997, W), "model.layers.0.self_attn.q_proj.lora_A.weight": t(R, W), "model.layers.0.self_attn.q_proj.lora_B.weight": t(W, R)}' '{"modules_to_save": ["lm_head"], "layers_to_transform": [0]}'
unties() { "$graft" merge --quiet --model "$base" --adapter head --output untied --dtype float32 >said && logits a "$base" head && logits b untied && python 'same_logits("a", "b", 1e-5)'; }
claim "a trained head is untied from the embedding" unties
claim "config.json says so" grep -q '"tie_word_embeddings": false' untied/config.json
own() { python '(lambda t, b: t["model.embed_tokens.weight"][0] == "BF16" and t["model.embed_tokens.weight"] == b["model.embed_tokens.weight"] and t["lm_head.weight"] != b["model.embed_tokens.weight"])(folder("kept"), folder(os.environ["ROOT"] + "/examples/base"))'; }
keeps() { "$graft" merge --quiet --model "$base" --adapter head --output kept >said && own; }
claim "the embedding keeps its bytes" keeps

make copied '{"model.embed_tokens.modules_to_save.default.weight": t(997, W), "model.layers.0.self_attn.q_proj.lora_A.default.weight": t(R, W), "model.layers.0.self_attn.q_proj.lora_B.default.weight": t(W, R)}' '{"modules_to_save": ["embed_tokens"], "layers_to_transform": [0]}'
saved() { "$graft" merge --quiet --model "$base" --adapter copied --output saved --dtype float32 >said && logits a "$base" copied && logits b saved && python 'same_logits("a", "b", 1e-5)'; }
claim "a trained embedding leaves the tied head as it was" saved

# A head that follows the embedding row by row stays tied to it; one that does not is untied.
tie() { "$graft" merge --quiet --model "$records/$1/model" --adapter "$records/$1/adapter" --output "tie_$1" >said && [ "$(grep -c 'no longer tied' said)" = "$2" ] && [ "$(grep -c '"tie_word_embeddings": false' "tie_$1/config.json")" = "$2" ]; }
claim "trained tokens of a tied model leave it tied" tie llama_tokens_gqa_tied 0
claim "an updated embedding unties the head" tie llama_embedding_gqa_tied 1

# What PEFT computed with base and adapter, from one merged folder, for every recorded case: the stored type can hold it, or float32 does.
recorded=0
for case in "$records"/*; do
    [ -d "$case/adapter" ] && [ -d "$case/model" ] || continue
    wide=()
    grep -q '"b*float16"' "$case/model/config.json" && wide=(--dtype float32)
    peft() {
        "$graft" merge --quiet --model "$case/model" --adapter "$case/adapter" --output "${case##*/}" "${wide[@]}" >said && "$graft" score --quiet --model "${case##*/}" --input "$case/score.jsonl" --logits c --output /dev/null --force &&
            CASE=$case python '(lambda ours, peft: all(max(abs(x - y) for x, y in zip(floats(ours[f"logits.{i}"]), floats(peft[f"adapter_logits.{i}"]))) < 1e-4 for i in range(len(ours))))(tensors("c"), tensors(os.environ["CASE"] + "/expected.safetensors"))'
    }
    case ${case##*/} in
        *lora_bias_gqa | *loraplus_gqa) # as PEFT does
            claim "a bias that the base has no place for is refused, ${case##*/}" expect 2 "(lora_bias), and the base model has none there to add it to" "$graft" merge --quiet --model "$case/model" --adapter "$case/adapter" --output none
            continue
            ;;
    esac
    claim "merged, ${case##*/} gives PEFT's logits" peft
    recorded=$((recorded + 1))
done
claim "there are recorded cases" [ $recorded -gt 10 ]

nothing_left() { [ ! -e "$1" ]; }
claim "an existing file is not overwritten" expect 2 "merged/config.json: already exists" merges
claim "--force overwrites" merges --force
claim "weights that would stay beside are refused" expect 2 "which would stay beside the merged weights" merges --output shards --force
claim "the model's own folder is refused" bash -c "cp -r '$base' self && ! '$graft' merge --model self --adapter plain --output self/../self --force 2>err && grep -q 'is the model.s own folder' err && cmp self/model.safetensors '$base/model.safetensors'"
claim "a file as the folder is refused" expect 2 "is a file, not a folder" merges --output ids.jsonl
claim "an unknown dtype is refused" expect 2 "--dtype: 'int8' is no dtype of merged weights" merges --output none --dtype int8
claim "a size without a unit is refused" expect 2 "--max-shard-size: '5' is no size" merges --output none --max-shard-size 5
claim "a size of nothing is refused" expect 2 "--max-shard-size: '0GB' is no size" merges --output none --max-shard-size 0GB
claim "a size beyond 64 bits is refused" expect 2 "is no size" merges --output none --max-shard-size 99999999999GB
make large '{k: (v[0], v[1], f(2 * W, 10.0)) for k, v in '"$q"'.items()}' '{"lora_alpha": 1000}'
claim "a value that float16 cannot hold is refused" expect 2 "is not finite as float16" "$graft" merge --quiet --model "$base" --adapter large --output none --dtype float16
make tiny '{"lm_head.weight": t(997, W, 1e-7), "model.layers.0.self_attn.q_proj.lora_A.weight": t(R, W), "model.layers.0.self_attn.q_proj.lora_B.weight": t(W, R)}' '{"modules_to_save": ["lm_head"], "layers_to_transform": [0]}'
claim "values below what float16 holds make too large a difference" expect 1 "the merged model's logits differ by up to" "$graft" merge --quiet --model "$base" --adapter tiny --output none --dtype float16
claim "refusals leave nothing behind" nothing_left none
done_claims
