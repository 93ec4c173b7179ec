"""The good folder that every row starts from, and the ways to spoil a file of it.

The folder holds the example's base model (base), the same in two shards (shards), a LoRA adapter (adapter), records of every kind and run.yaml. A change is
a function of the folder. Files of the folder are links into one shared copy: spoiling replaces a file and never writes into it.
"""
import gzip
import json
import os
import shutil
import struct

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
WIDTH, LAYERS, RANK = 96, 4, 2
ABSENT = object()  # as a value: remove the key

RUN = """model:
  path: base
adapter:
  peft_type: LORA
  r: 4
data:
  train:
    - {path: records.jsonl, format: dolly}
  max_length: 512
  over_length: error
training:
  output_dir: out
  max_steps: 1
"""

AS_JSON = {
    "model": {"path": "base"},
    "adapter": {"peft_type": "LORA", "r": 4},
    "data": {"train": [{"path": "records.jsonl", "format": "dolly"}], "max_length": 512, "over_length": "error"},
    "training": {"output_dir": "out", "max_steps": 1},
}

# What rows run on spoilt folders must work on the good one.
SCORE = "score --quiet --model base --input ids.jsonl"
SHARDS = "score --quiet --model shards --input ids.jsonl"
ADAPTED = "score --quiet --model base --adapter adapter --input ids.jsonl"
TEXTS = "score --quiet --model base --input texts.jsonl"
GENERATE = "generate --quiet --model base --input prompts.jsonl --max-new-tokens 4"
TOKENIZE = "tokenize --model base --text 'Lily was happy.'"
DETOKENIZE = "detokenize --model base --input ids.jsonl"
EVALUATE = "evaluate --quiet --model base --data records.jsonl --format dolly"
TRAIN = "train run.yaml --quiet"
TOKENS = "train run.yaml --quiet data.train.0.path=tokens.jsonl data.train.0.format=tokens"
CONTINUE = "train run.yaml --quiet adapter.init_from=adapter adapter.r=2"
PLAN = "plan run.yaml"
KEPT = "train run.yaml --quiet training.output_dir=kept training.max_steps=2 training.save_steps=1"  # a run that ended behind its last checkpoint


def data(path, format, template):
    return f"train run.yaml --quiet data.train.0.path={path} data.train.0.format={format}" + (f" data.train.0.template={template}" if template else "")


CHATS = data("chats.jsonl", "messages", "vicuna")
TALKS = data("chats.jsonl", "messages", "") + " model.path=talks"  # by the model's own template
SHARED = data("shared.json", "sharegpt", "vicuna")
TREES = data("trees.jsonl", "oasst", "vicuna")
CSV, TSV = data("records.csv", "dolly", ""), data("records.tsv", "dolly", "")  # whose names say what their bytes deny: JSON
PACKED = data("packed.jsonl.gz", "gsm8k", "")
PAIRS = data("pairs.jsonl", "esnli", "")
PLOTS = data("plots.jsonl", "duorc", "")
WORDS = data("words.jsonl", "lambada", "")
DIALOGUES = data("dialogues.jsonl", "guanaco", "")
PARALLEL = data("s1.dev", "esnli", "")
COMMANDS = (CHATS, TALKS, SHARED, TREES, PACKED, PAIRS, PLOTS, WORDS, DIALOGUES, PARALLEL, SCORE, SHARDS, ADAPTED, TEXTS, GENERATE, TOKENIZE, DETOKENIZE, EVALUATE, TRAIN, TOKENS, CONTINUE, PLAN, "inspect base", "inspect adapter",
            "data check run.yaml", "data show run.yaml")


def pack(tensors, metadata=None):
    """The bytes of a safetensors file; tensors: {name: (dtype, shape, bytes)}."""
    header, at = {"__metadata__": metadata} if metadata else {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    return with_header(json.dumps(header).encode(), b"".join(data for _, _, data in tensors.values()))


def with_header(header, data):
    return struct.pack("<Q", len(header)) + header + data


def unpack(content):
    """(header, data) of a safetensors file."""
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:8 + length]), content[8 + length:]


def unpacked(content):
    header, data = unpack(content)
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items() if name != "__metadata__"}


def put(folder, path, content):
    """Replaces a file."""
    path = os.path.join(folder, path)
    remove_now(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def get(folder, path):
    with open(os.path.join(folder, path), "rb") as file:
        return file.read()


def remove_now(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def adapter_config():
    return {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "r": RANK, "lora_alpha": 4, "lora_dropout": 0.0,
            "bias": "none", "target_modules": ["q_proj"], "inference_mode": True}


TEMPLATE = ("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
            "{{ m.role + ': ' + m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}")


def adapter_tensors():
    tensors = {}
    for layer in range(LAYERS):
        for side, shape in (("A", [RANK, WIDTH]), ("B", [WIDTH, RANK])):
            values = struct.pack(f"<{RANK * WIDTH}f", *(0.001 * (i % 7) for i in range(RANK * WIDTH)))
            tensors[f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{side}.weight"] = ("F32", shape, values)
    return tensors


def make_shards(folder, base):
    shutil.copytree(base, folder)
    tensors = list(unpacked(get(base, "model.safetensors")).items())
    os.unlink(os.path.join(folder, "model.safetensors"))
    half, weight_map = len(tensors) // 2, {}
    for name, part in (("model-00001-of-00002.safetensors", tensors[:half]), ("model-00002-of-00002.safetensors", tensors[half:])):
        put(folder, name, pack(dict(part)))
        weight_map.update({tensor: name for tensor, _ in part})
    put(folder, "model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": weight_map}))


def make(folder):
    base = os.path.join(folder, "base")
    shutil.copytree(os.path.join(ROOT, "examples", "base"), base)
    shutil.copytree(base, os.path.join(folder, "talks"))
    put(folder, "talks/chat_template.jinja", TEMPLATE)
    make_shards(os.path.join(folder, "shards"), base)
    put(folder, "adapter/adapter_config.json", json.dumps(adapter_config()))
    put(folder, "adapter/adapter_model.safetensors", pack(adapter_tensors(), {"format": "pt"}))
    put(folder, "run.yaml", RUN)
    for name in ("records.jsonl", "records.csv", "records.tsv"):
        put(folder, name, '{"instruction": "Say hello.", "context": "", "response": "Hello.", "category": "open_qa"}\n')
    put(folder, "tokens.jsonl", '{"ids": [5, 6, 7], "labels": [-100, 6, 7]}\n')
    put(folder, "ids.jsonl", '{"ids": [5, 6, 7]}\n')
    put(folder, "texts.jsonl", '{"text": "Lily was happy."}\n{"context": "Lily was", "continuation": " happy."}\n')
    put(folder, "chats.jsonl", '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}\n')
    put(folder, "shared.json", '[{"id": "1", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}]\n')
    put(folder, "trees.jsonl", '{"message_id": "a", "parent_id": null, "text": "Hi", "role": "prompter"}\n'
        '{"message_id": "b", "parent_id": "a", "text": "Ho", "role": "assistant"}\n')
    put(folder, "packed.jsonl.gz", gzip.compress(b'{"question": "1 + 1?", "answer": "2"}\n', mtime=0))
    put(folder, "pairs.jsonl", '{"premise": "It rains.", "hypothesis": "It is wet.", "label": 0, "explanation_1": "Rain is wet."}\n')
    put(folder, "plots.jsonl", '{"plot": "Ann flies.", "title": "Ann", "question": "Who flies?", "answers": ["Ann"], "no_answer": false}\n')
    put(folder, "words.jsonl", '{"text": "Ann went home"}\n')
    put(folder, "dialogues.jsonl", '{"text": "### Human: Hi### Assistant: Ho"}\n')
    for name, line in (("s1", "It rains ."), ("s2", "It is wet ."), ("labels", "entailment"), ("preproc1_expl_1", "rain is wet .")):
        put(folder, name + ".dev", (line + "\n") * 2)
    put(folder, "prompts.jsonl", '{"prompt": "Lily was"}\n')


# The changes.


def nothing(folder):
    """For rows whose mistake is in the command alone."""


def write(path, content):
    return lambda folder: put(folder, path, content)


def edit(path, *pairs):
    """Replaces texts, given as old, new, old, new; the old ones must be there."""
    def change(folder):
        content = get(folder, path)
        for old, new in zip(pairs[::2], pairs[1::2]):
            old, new = (t.encode() if isinstance(t, str) else t for t in (old, new))
            assert old in content, f"{path} lacks {old}"
            content = content.replace(old, new, 1)
        put(folder, path, content)
    return change


def run(old, new):
    return edit("run.yaml", old, new)


def remove(path):
    return lambda folder: remove_now(os.path.join(folder, path))


def json_set(path, values):
    """Sets members of a JSON file by dotted names; numbers index lists."""
    def change(folder):
        root = json.loads(get(folder, path))
        for dotted, value in values.items():
            *parents, last = [int(part) if part.isdigit() else part for part in dotted.split(".")]
            at = root
            for part in parents:
                at = at[part]
            if value is ABSENT:
                del at[last]
            else:
                at[last] = value
        put(folder, path, json.dumps(root))
    return change


def config(**values):
    return json_set("base/config.json", values)


def tokenizer(values):
    return json_set("base/tokenizer.json", values)


def header(path, change_header):
    """Changes the header of a safetensors file, as a dict, in place."""
    def change(folder):
        table, data = unpack(get(folder, path))
        change_header(table)
        put(folder, path, with_header(json.dumps(table).encode(), data))
    return change


def tensors(path, change_tensors):
    """Changes {name: (dtype, shape, bytes)} of a safetensors file in place."""
    def change(folder):
        table = unpacked(get(folder, path))
        change_tensors(table)
        put(folder, path, pack(table))
    return change


def special(path, make_it):
    """Puts something else than a regular file there; make_it gets the whole path."""
    def change(folder):
        whole = os.path.join(folder, path)
        remove_now(whole)
        make_it(whole)
    return change


def fifo(path):
    return special(path, os.mkfifo)


def a_folder(path):
    return special(path, os.mkdir)


def loop(path):
    return special(path, lambda whole: os.symlink(os.path.basename(whole), whole))


def link(path, target):
    return special(path, lambda whole: os.symlink(target, whole))


def sparse(path, size, begin=b""):
    """A file of `size` bytes that takes no room: zeros behind `begin`."""
    def make_it(whole):
        with open(whole, "wb") as file:
            file.write(begin)
            file.truncate(size)
    return special(path, make_it)


def both(*changes):
    def change(folder):
        for one in changes:
            one(folder)
    return change
