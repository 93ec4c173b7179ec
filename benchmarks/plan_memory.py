#!/usr/bin/env python3
"""What `graft plan` predicts is what the command then takes: its peak against the most that the process had resident.

  plan_memory.py GRAFT [WORD ...]     only the cases whose name has all words

Models of random values are made here, large enough for two percent to be more than a process's own few MiB; data are ids, so no tokenizer is needed.
Bytes are compared, never times. Prints a table; fails where a prediction is further off than ALLOWED.
"""
import array, json, os, random, re, shutil, struct, subprocess, sys, tempfile

ALLOWED = 2.0  # percent
WIDTH, LAYERS, MLP, VOCAB, HEADS, KV_HEADS = 512, 6, 1408, 16000, 8, 4
ARCHITECTURES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}
UNITS = {"float32": ("F32", 4), "bfloat16": ("BF16", 2), "float16": ("F16", 2)}


def value_block(dtype):
    """A few thousand small values in a dtype, to be repeated: this program must stay smaller than what it measures."""
    draw = random.Random(3)
    values = array.array("f", [draw.gauss(0, 0.02) for _ in range(4099)])
    wide = values.tobytes()
    if dtype == "float32":
        return wide
    if dtype == "bfloat16":
        return b"".join(wide[i + 2:i + 4] for i in range(0, len(wide), 4))
    return b"".join(struct.pack("<e", v) for v in values)


def tensors_of(family, tied):
    kv = WIDTH // HEADS * KV_HEADS
    yield "model.embed_tokens.weight", [VOCAB, WIDTH]
    for i in range(LAYERS):
        at = f"model.layers.{i}."
        for name, rows, cols in (("self_attn.q_proj", WIDTH, WIDTH), ("self_attn.k_proj", kv, WIDTH), ("self_attn.v_proj", kv, WIDTH),
                                 ("self_attn.o_proj", WIDTH, WIDTH), ("mlp.gate_proj", MLP, WIDTH), ("mlp.up_proj", MLP, WIDTH), ("mlp.down_proj", WIDTH, MLP)):
            yield at + name + ".weight", [rows, cols]
            if family == "qwen2" and name[-6] in "qkv" and name.startswith("self"):
                yield at + name + ".bias", [rows]
        yield at + "input_layernorm.weight", [WIDTH]
        yield at + "post_attention_layernorm.weight", [WIDTH]
    yield "model.norm.weight", [WIDTH]
    if not tied:
        yield "lm_head.weight", [VOCAB, WIDTH]


def make_model(folder, family, dtype, tied):
    os.makedirs(folder)
    config = {"model_type": family, "architectures": [ARCHITECTURES[family]], "vocab_size": VOCAB, "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
              "intermediate_size": MLP, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "max_position_embeddings": 2048,
              "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": tied, "torch_dtype": dtype, "bos_token_id": 1, "eos_token_id": 2}
    if family == "mistral":
        config["sliding_window"] = None
    with open(folder + "/config.json", "w") as file:
        json.dump(config, file)
    name, size = UNITS[dtype]
    header, offset, sizes = {}, 0, []
    for tensor, shape in tensors_of(family, tied):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[tensor] = {"dtype": name, "shape": shape, "data_offsets": [offset, offset + count * size]}
        offset += count * size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = value_block(dtype)
    with open(folder + "/model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        while offset > 0:
            file.write(block[:min(offset, len(block))])
            offset -= len(block)


def write_records(path, count, shortest, longest):
    draw = random.Random(5)
    with open(path, "w") as file:
        for _ in range(count):
            length = draw.randint(shortest, longest)
            ids = [draw.randrange(3, VOCAB // 2) for _ in range(length)]
            file.write(json.dumps({"ids": ids, "labels": [-100] * (length // 4) + ids[length // 4:]}) + "\n")


def run(command):
    """Exit status, stdout and the most bytes that the process had resident at once."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    if process.returncode:
        sys.exit(f"{' '.join(command)}\n{text}")
    return text, usage.ru_maxrss * 1024


LORA = {"attention": "r: 8, lora_alpha: 16, target_modules: [q_proj, v_proj]",
        "all": "r: 16, lora_alpha: 32, target_modules: all-linear",
        "head": "r: 8, lora_alpha: 16, target_modules: [q_proj, v_proj], modules_to_save: [lm_head]",
        "biases": "r: 8, lora_alpha: 16, target_modules: [q_proj, v_proj], bias: all"}

# family, tied, stored, computed, adapter, what stands in the training section beside the usual, evaluation, command
CASES = [
    ("llama", False, "float32", "float32", "attention", "recompute: never, micro_batch_tokens: 1024", False, "train"),
    ("llama", False, "float32", "float32", "all", "recompute: always, micro_batch_tokens: 1024", True, "train"),
    ("llama", False, "float32", "bfloat16", "attention", "recompute: never, micro_batch_tokens: 512", False, "train"),
    ("mistral", False, "bfloat16", "float32", "all", "recompute: never, micro_batch_tokens: 512", True, "train"),
    ("mistral", False, "bfloat16", "bfloat16", "all", "recompute: always, micro_batch_tokens: 512", False, "train"),
    ("mistral", False, "float32", "float32", "head", "recompute: never, micro_batch_tokens: 256", False, "train"),
    ("qwen2", True, "float16", "float32", "biases", "recompute: never, micro_batch_tokens: 512", True, "train"),
    ("qwen2", True, "float16", "bfloat16", "all", "recompute: always, micro_batch_tokens: 1024", False, "train"),
    ("qwen2", True, "float32", "float32", "attention", "micro_batch_tokens: 256", True, "train"),
    ("llama", False, "float32", "float32", "all", "", False, "train"),
    ("llama", False, "float32", "float32", "attention", "", True, "evaluate"),
    ("qwen2", True, "bfloat16", "bfloat16", "all", "", True, "evaluate"),
    ("llama", False, "float32", "float32", "attention", "", False, "generate"),
    ("mistral", False, "bfloat16", "float32", "all", "", False, "generate"),
]
PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 24, 200, 24


def model_folder(work, family, stored, tied):
    folder = f"{work}/{family}-{stored}"
    if not os.path.exists(folder):
        make_model(folder, family, stored, tied)
    return folder


def configuration(work, model, case):
    family, tied, stored, computed, adapter, training, evaluation, command = case
    path = f"{work}/run.yaml"
    rows = [f"model: {{path: {model}, dtype: {computed}}}", f"adapter: {{peft_type: LORA, {LORA[adapter]}}}", "data:",
            f"  train: [{{path: {work}/train.jsonl, format: tokens}}]"]
    if evaluation:
        rows.append(f"  eval: [{{path: {work}/eval.jsonl, format: tokens}}]")
    rows += ["  max_length: 1024", "  over_length: error", "  accept: [eval_in_train]", "training:", f"  output_dir: {work}/run", "  max_steps: 2", "  batch_size: 4", "  learning_rate: 1.0e-4",
             "  eval_steps: 0"]
    rows += ["  " + row for row in training.split(", ") if row]
    with open(path, "w") as file:
        file.write("\n".join(rows) + "\n")
    return path


def peak_of(text):
    return int(re.search(r"peak .*?(\d+) bytes", text).group(1))


def measure(graft, work, case):
    family, tied, stored, computed, adapter, training, evaluation, command = case
    model = model_folder(work, family, stored, tied)
    config = configuration(work, model, case)
    shutil.rmtree(f"{work}/run", ignore_errors=True)
    if command == "train":
        text, _ = run([graft, "plan", config])
        return text, peak_of(text), run([graft, "train", config, "--quiet"])[1]
    run([graft, "train", config, "--quiet", "training.max_steps=1", "training.batch_size=1"])
    common = ["--model", model, "--adapter", f"{work}/run", "--dtype", computed, "--quiet"]
    if command == "evaluate":
        text, _ = run([graft, "plan", config, "--for", "evaluate"])
        return text, peak_of(text), run([graft, "evaluate", *common, "--data", f"{work}/eval.jsonl", "--format", "tokens"])[1]
    text, _ = run([graft, "plan", config, "--for", "generate", "--prompts", str(PROMPTS), "--prompt-tokens", str(PROMPT_TOKENS), "--max-new-tokens", str(NEW_TOKENS)])
    return text, peak_of(text), run([graft, "generate", *common, "--input", f"{work}/prompts.jsonl", "--max-new-tokens", str(NEW_TOKENS), "--ignore-eos"])[1]


def main(graft, words):
    far = 0
    with tempfile.TemporaryDirectory() as work:
        write_records(f"{work}/train.jsonl", 12, 200, 256)
        write_records(f"{work}/eval.jsonl", 6, 200, 256)
        draw = random.Random(11)
        with open(f"{work}/prompts.jsonl", "w") as file:
            for i in range(PROMPTS):
                file.write(json.dumps({"ids": [draw.randrange(3, VOCAB) for _ in range(PROMPT_TOKENS)]}) + "\n")
        print(f"{'case':<100} {'planned':>12} {'measured':>12} {'off %':>7}")
        for case in CASES:
            family, tied, stored, computed, adapter, training, evaluation, command = case
            name = f"{command} {family} {stored} as {computed}, LoRA {adapter}{', ' + training if training else ''}{', evaluation' if evaluation else ''}"
            if not all(word in name for word in words):
                continue
            text, planned, measured = measure(graft, work, case)
            off = 100 * (planned - measured) / measured
            far += abs(off) > ALLOWED
            print(f"{name:<100} {planned:>12} {measured:>12} {off:>+7.2f}", flush=True)
            if os.environ.get("SHOW"):
                print(text)
    print(f"{far} further off than {ALLOWED} %")
    return far > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
