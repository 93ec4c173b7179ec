"""Models in torch.save files: pytorch_model.bin or its shards in place of safetensors. What a pickle itself can do wrong stands in table_pickle.py."""
import json

import torch_file as t
from good import EVALUATE, GENERATE, SCORE, SHARDS, both, get, json_set, put, remove_now, unpacked, write

SINGLE, INDEX = "base/pytorch_model.bin", "shards/pytorch_model.bin.index.json"
FIRST, SECOND = "shards/pytorch_model-00001-of-00002.bin", "shards/pytorch_model-00002-of-00002.bin"
EMBED, NORM = "model.embed_tokens.weight", "model.norm.weight"
DAMAGED = "the file is damaged: copy or download it again"
CUT = "the file is cut off, or is no torch file (a Git LFS…"


def single(change=lambda tensors: tensors, write_file=t.saved, spoil=lambda content: content):
    """The base model in one file."""
    def make(folder):
        tensors = change(unpacked(get(folder, "base/model.safetensors")))
        remove_now(folder + "/base/model.safetensors")
        put(folder, SINGLE, spoil(write_file(tensors)))
    return make


def shards(write_file=t.saved, change_map=lambda weight_map: weight_map):
    """The same in two shards and an index."""
    def make(folder):
        weight_map = {}
        for number, path in (("1", FIRST), ("2", SECOND)):
            old = f"{folder}/shards/model-0000{number}-of-00002.safetensors"
            tensors = unpacked(get(folder, old))
            remove_now(old)
            put(folder, path, write_file(tensors))
            weight_map.update({name: path.split("/")[1] for name in tensors})
        remove_now(folder + "/shards/model.safetensors.index.json")
        put(folder, INDEX, json.dumps({"metadata": {"total_size": 1}, "weight_map": change_map(weight_map)}))
    return make


def with_head(tensors):
    """The tied head under its own name too, of the same storage."""
    items, storages = [], {}
    for key, (name, (dtype, shape, data)) in enumerate(tensors.items()):
        value = t.tensor(str(key), shape, kind=t.STORAGES[dtype])
        items += [(name, value)] + ([("lm_head.weight", value)] if name == EMBED else [])
        storages[str(key)] = data
    return t.archive(t.entries(t.program(items), storages))


def one_storage(tensors):
    """All tensors one behind the other in a single storage."""
    items, at = [], 0
    total = sum(len(data) for _, _, data in tensors.values()) // 2
    for name, (dtype, shape, data) in tensors.items():
        items.append((name, t.tensor("0", shape, offset=at, elements=total, kind=t.STORAGES[dtype])))
        at += len(data) // 2
    return t.archive(t.entries(t.program(items), {"0": b"".join(data for _, _, data in tensors.values())}))


def lying_down(tensors):
    """The final norm as a column of a wider matrix."""
    items, storages = [], {}
    for key, (name, (dtype, shape, data)) in enumerate(tensors.items()):
        wide = name == NORM
        items.append((name, t.tensor(str(key), shape, strides=[2] if wide else None, elements=192 if wide else None, kind=t.STORAGES[dtype])))
        storages[str(key)] = data + data if wide else data
    return t.archive(t.entries(t.program(items), storages))


def flipped(content):
    """A bit of the first storage."""
    at = content.index(b"archive/data/0") + len("archive/data/0") + 100
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


def without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


def changed(**values):
    """{name with __ for dots: (dtype, shape, data)} put among the tensors."""
    return lambda tensors: {**tensors, **{key.replace("__", "."): value for key, value in values.items()}}


ROWS = (
    ("pytorch_model.bin: empty", SCORE, single(spoil=lambda _: b""),
     f"{SINGLE} | 0 bytes that begin neither as torch.save's zip archives nor as its older files | {CUT}"),
    ("pytorch_model.bin: a Git LFS pointer", SCORE, single(spoil=lambda _: b"version https://git-lfs.github.com/spec/v1\n"),
     f"{SINGLE} | 43 bytes that begin neither as torch.save's zip archives nor as its older files | {CUT}"),
    ("pytorch_model.bin: cut by one byte", SCORE, single(spoil=lambda content: content[:-1]),
     f"{SINGLE} | does not end as a zip archive | the file may be cut off: compare its size with the original"),
    ("pytorch_model.bin: code", SCORE,
     single(spoil=lambda _: t.archive(t.entries(t.program([(EMBED, t.name("os", "system") + t.text("touch taken") + b"\x85R")]), {}))),
     f"{SINGLE} | …asks for 'os.system', which no dict of tensors needs | graft runs no code of files: if you trust its origin, write…"),
    ("pytorch_model.bin: a bit of a weight", SCORE, single(spoil=flipped),
     f"{SINGLE} | entry 'archive/data/0' does not have the checksum that the directory says | the file is damaged or was not written by torch.save:…"),
    ("pytorch_model.bin: a weight with strides", SCORE, single(write_file=lying_down),
     f"{SINGLE} | …a tensor of storage '37' with stride 2 in dimension 0, where 1 is contiguous: save tensor.contiguous() | graft runs no code of files:…"),
    ("pytorch_model.bin: a checkpoint around the model", SCORE, single(spoil=lambda _: t.archive(t.entries(t.PROTO + b"}" + t.text("module") + b"}s.", {}))),
     f"{SINGLE} | 'module' is a dict, not a tensor | save the plain dict of tensors, as model.state_dict()…"),
    ("pytorch_model.bin: a weight is missing", SCORE, single(without(NORM)),
     "base | tensor 'model.norm.weight' [1, 96] is missing from the weights | the folder is incomplete, or its config.json belongs to…"),
    ("pytorch_model.bin: a weight too many", SCORE, single(changed(extra=("F32", [1], bytes(4)))),
     f"{SINGLE} | tensor 'extra' F32 [1]: a llama of this config.json has no such tensor | the model computes something that graft would leave out:…"),
    ("pytorch_model.bin: a weight of another shape", EVALUATE, single(changed(model__norm__weight=("F32", [95], bytes(380)))),
     f"{SINGLE} | tensor 'model.norm.weight' has shape [95], but config.json makes it [96] | config.json and weights are of different models"),
    ("pytorch_model.bin: a weight in whole numbers", GENERATE, single(changed(model__norm__weight=("I64", [96], bytes(768)))),
     f"{SINGLE} | tensor 'model.norm.weight' is I64: graft reads F32, BF16 and F16 | convert the model to one of these, or use an unquantised one"),
    ("pytorch_model.bin: a head that differs from the tied embedding", SCORE, single(changed(lm_head__weight=("BF16", [997, 96], bytes(997 * 96 * 2)))),
     f"{SINGLE} | tensor 'lm_head.weight' differs from the embedding, but config.json ties them (tie_word_embeddings true) | set tie_word_embeddings to false…"),
    ("pytorch_model.bin: to plan with, a weight is missing", "plan run.yaml", single(without(NORM)),
     "./base | tensor 'model.norm.weight' [1, 96] is missing from the weights | the folder is incomplete, or its config.json belongs to…"),
    ("pytorch_model.bin, before zip: cut", SCORE, single(write_file=t.saved_before_zip, spoil=lambda content: content[:-1]),
     f"{SINGLE} | …storage '37' of 192 bytes reaches beyond the end of the file | graft runs no code of files:…"),
    ("pytorch_model.bin.index.json: a list", SHARDS, both(shards(), write(INDEX, "[]")), f"{INDEX} | has no object 'weight_map' with entries | copy or download the index again"),
    ("pytorch_model.bin.index.json: a shard above the folder", SHARDS, both(shards(), json_set(INDEX, {"weight_map": {NORM: "../base/model.safetensors"}})),
     f"{INDEX} | tensor 'model.norm.weight': shard '../base/model.safetensors' is no plain file name | shards must lie beside the index: do not use this folder…"),
    ("pytorch_model.bin.index.json: a shard is missing", SHARDS, both(shards(), lambda folder: remove_now(f"{folder}/{SECOND}")),
     f"{INDEX} | the shard 'pytorch_model-00002-of-00002.bin' that it names is missing | copy or download the missing file too"),
    ("pytorch_model.bin.index.json: a tensor in another shard", SHARDS, shards(change_map=lambda names: {**names, NORM: FIRST.split("/")[1]}),
     f"{INDEX} | tensor 'model.norm.weight' is not in the shard 'pytorch_model-00001-of-00002.bin' | index and shards are of different versions: copy or…"),
    ("pytorch_model.bin.index.json: a shard of safetensors", SHARDS,
     both(lambda folder: put(folder, "shards/one.bin", get(folder, "base/model.safetensors")), shards(), json_set(INDEX, {"weight_map": {NORM: "one.bin"}})),
     f"shards/one.bin | …bytes that begin neither as torch.save's zip archives nor as its older files | {CUT}"),
    ("pytorch_model.bin.index.json: a shard cut", SHARDS, both(shards(), lambda folder: put(folder, SECOND, get(folder, SECOND)[:-100])),
     f"{SECOND} | does not end as a zip archive | the file may be cut off: compare its size with the original"),
)

# The same weights in other files give the same results.
HARMLESS = (
    ("pytorch_model.bin, zip", SCORE, single()),
    ("pytorch_model.bin, zip, to evaluate", EVALUATE, single()),
    ("pytorch_model.bin, zip, to generate", GENERATE, single()),
    ("pytorch_model.bin, before zip", SCORE, single(write_file=t.saved_before_zip)),
    ("pytorch_model.bin, all in one storage", SCORE, single(write_file=one_storage)),
    ("pytorch_model.bin, the tied head of the same storage", SCORE, single(write_file=with_head)),
    ("pytorch_model.bin, saved without a head", SCORE, single(lambda tensors: {name.removeprefix("model."): value for name, value in tensors.items()})),
    ("pytorch_model.bin, with a buffer of old days", SCORE,
     single(changed(model__layers__0__self_attn__rotary_emb__inv_freq=("F32", [12], bytes(48))))),
    ("pytorch_model.bin in shards", SHARDS, shards()),
    ("pytorch_model.bin in shards, before zip", SHARDS, shards(t.saved_before_zip)),
    ("pytorch_model.bin beside safetensors, which win", SCORE, write(SINGLE, "spoilt")),
    ("pytorch_model.bin beside shards of safetensors, which win", SHARDS, write("shards/pytorch_model.bin", "spoilt")),
)
