#!/usr/bin/env bash
# graft inspect says of an adapter what its files hold: sizes, norms per layer, and whether it fits a model.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
records=$root/tests/reference/records
shared=$root/../shared/data/adapters
cd "$work"

cat >check.py <<'E2'
"""check.py SAID FOLDER: the norms that graft printed are those of the folder's tensors, computed here by multiplying B and A out."""
import array, json, math, os, re, sys
sys.path.insert(0, os.path.join(sys.argv[3], "tests/cli/malformed"))
import good
said, folder = open(sys.argv[1]).read(), sys.argv[2]
config = json.load(open(folder + "/adapter_config.json"))
tensors = {key: (shape, array.array("f", data)) for key, (_, shape, data) in good.unpacked(open(folder + "/adapter_model.safetensors", "rb").read()).items()}
sums = {}
def scale(module, rank):
    alpha = next((v for k, v in config["alpha_pattern"].items() if re.match(rf"(.*\.)?({k})$", module)), config["lora_alpha"])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
for key, (shape, values) in tensors.items():
    layer = re.search(r"\.(\d+)\.", key)
    row = sums.setdefault(int(layer[1]) if layer else -1, [0.0] * 4)
    square = sum(v * v for v in values)
    if ".lora_A." not in key:
        row[1 if ".lora_B." in key else 3] += square
        continue
    row[0] += square
    rank, inward, b = *shape, tensors[key.replace(".lora_A.", ".lora_B.")][1]
    factor = scale(key.split(".lora_A.")[0], rank)
    for o in range(len(b) // rank):
        for i in range(inward):
            row[2] += (factor * sum(b[o * rank + k] * values[k * inward + i] for k in range(rank))) ** 2
printed = {}
for line in said[said.index("norms of layer"):].splitlines()[1:]:
    words = line.replace("of no layer", "-1").split()
    if re.fullmatch(r"-?\d+", words[0]):
        printed[int(words[0])] = [float(word) for word in words[1:]]
print(printed, sums)
assert printed.keys() == sums.keys()
assert all(abs(a - math.sqrt(b)) <= 1e-4 * math.sqrt(b) + 1e-12 for layer in sums for a, b in zip(printed[layer], sums[layer]))
E2
for case in llama_mha llama_linear llama_biases llama_head_dim qwen2_tied mistral_window; do
    norms() { "$graft" inspect "$records/$case/adapter" >said && python3 -B check.py said "$records/$case/adapter" "$root"; }
    claim "norms of $case" norms
done
fits() { "$graft" inspect "$records/llama_mha/adapter" --model "$records/llama_mha/model" >said && grep -q "^  fits  *$records/llama_mha/model, a llama of 2 layers" said; }
claim "an adapter that fits" fits
misfit="lora_B.weight' has shape [24, 4] on model.layers.0.self_attn.k_proj.weight [12, 24]; the model and adapter_config.json ask for [12, 4]"
echo '{"ids": [1, 2]}' >ids.jsonl
echo '{"prompt": "x"}' >prompts.jsonl
other=(--model "$records/llama_biases/model" --adapter "$records/llama_mha/adapter" --quiet)
claim "the first tensor that does not fit is named, with the model's" expect 2 "$misfit" "$graft" inspect "$records/llama_mha/adapter" --model "$records/llama_biases/model"
claim "by score too" expect 2 "$misfit" "$graft" score "${other[@]}" --input ids.jsonl
claim "by generate too" expect 2 "$misfit" "$graft" generate "${other[@]}" --input prompts.jsonl
claim "by evaluate too" expect 2 "$misfit" "$graft" evaluate "${other[@]}" --data ids.jsonl --format tokens
claim "by merge too" expect 2 "$misfit" "$graft" merge "${other[@]}" --output merged
claim "a model folder fits nothing" expect 2 "--model: $root/examples/base is no adapter folder" "$graft" inspect "$root/examples/base" --model "$root/examples/base"
if [ -d "$shared" ]; then
    # as torch computes them
    gpt2() { "$graft" inspect "$shared/lora_gpt2_seqcls" >said && grep -q '^  0  *7.7518  *12.211  *41.266  *0$' said && grep -q '^  11  *6.2996  *11.058  *41.765  *0$' said; }
    soft() { "$graft" inspect "$shared/prompt_tuning_bloomz560m" >said && grep -q 'values  *8192 in 1 tensors, 32 KiB as F32' said && grep -q 'of no layer .* 20.498$' said; }
    claim "a published adapter of a family that graft lacks" gpt2
    claim "a published soft prompt in a pickle" soft
else
    echo "SKIP  published adapters: $shared is absent"
fi
done_claims
