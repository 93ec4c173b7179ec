"""safetensors: headers, shapes, offsets, folders of shards and their index."""
import struct

from good import EVALUATE, GENERATE, SCORE, SHARDS, edit, fifo, get, header, json_set, link, put, remove, tensors, unpack, with_header, write

MODEL = "base/model.safetensors"
INDEX = "shards/model.safetensors.index.json"
FIRST, SECOND = "shards/model-00001-of-00002.safetensors", "shards/model-00002-of-00002.safetensors"
NORM = "model.norm.weight"


def raw(header_bytes):
    """Another header, as bytes, before the same data."""
    def change(folder):
        put(folder, MODEL, with_header(header_bytes, unpack(get(folder, MODEL))[1]))
    return change


def tensor(**values):
    """Members of the final norm's entry."""
    return header(MODEL, lambda table: table[NORM].update(values))


def bytes_of(change_content):
    return lambda folder: put(folder, MODEL, change_content(get(folder, MODEL)))


def shifted(table):
    table[NORM]["data_offsets"] = [at - 2 for at in table[NORM]["data_offsets"]]


def grown(table):
    dtype, shape, data = table[NORM]
    table[NORM] = (dtype, shape + [1, 1, 1, 1, 1, 1, 1, 1], data)


def renamed(old, new):
    def change(table):
        table[new] = table.pop(old)
    return change


def infinite(folder):
    """A NaN in the final norm."""
    def change(table):
        dtype, shape, data = table[NORM]
        table[NORM] = (dtype, shape, b"\xc0\x7f" + data[2:])
    tensors(MODEL, change)(folder)


ROWS = (
    ("weights of no bytes", SCORE, write(MODEL, b""),
     "base/model.safetensors | 0 bytes, too short for a safetensors header | the download may be incomplete: compare its size with the…"),
    ("weights of seven bytes", SCORE, write(MODEL, b"\x10\0\0\0\0\0\0"),
     "base/model.safetensors | 7 bytes, too short for a safetensors header | the download may be incomplete: compare its size with the…"),
    ("a header of no bytes", SCORE, write(MODEL, struct.pack("<Q", 0)),
     "base/model.safetensors:1:1 | unexpected token near end of file | the text ends too early: the file may be cut off, or a…"),
    ("a header of 2^64 - 1 bytes", SCORE, write(MODEL, b"\xff" * 8 + b"{}"),
     "base/model.safetensors | a header of 18446744073709551615 bytes in a file of 10 bytes | the file is cut off, or is no safetensors file (a Git LFS…"),
    ("a header one byte longer than the file", SCORE, write(MODEL, struct.pack("<Q", 3) + b"{}"),
     "base/model.safetensors | a header of 3 bytes in a file of 10 bytes | the file is cut off, or is no safetensors file (a Git LFS…"),
    ("a header in big endian", SCORE, write(MODEL, struct.pack(">Q", 2) + b"{}"),
     "base/model.safetensors | a header of 144115188075855872 bytes in a file of 10 bytes | the file is cut off, or is no safetensors file (a Git LFS…"),
    ("a header that is a list", SCORE, raw(b"[]"),
     "base/model.safetensors | the header is no JSON object | the file is damaged or was not written by a safetensors…"),
    ("a header that is cut", SCORE, raw(b'{"a": {"dtype": "F32"'),
     "base/model.safetensors:1:21 | '}' expected near end of file | the text ends too early: the file may be cut off, or a…"),
    ("a header with a NUL", SCORE, raw(b'{"a\0": {}}'), "base/model.safetensors:1:4 | a NUL byte | the file must be text in UTF-8, not UTF-16 or binary"),
    ("a header that is not UTF-8", SCORE, raw(b'{"\xff": {}}'), "base/model.safetensors:1:2 | unable to decode byte 0xff near '\"' | save the file as UTF-8"),
    ("a header of 100,000 brackets", SCORE, raw(b'{"a":' + b"[" * 100000),
     "base/model.safetensors:1:2053 | maximum parsing depth reached near '[' | nest less deeply"),
    ("a tensor twice", SCORE, raw(b'{"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}, "a": {}}'),
     "base/model.safetensors:1:64 | duplicate object key near '\"a\"' | keep one of the two members"),
    ("a header without tensors", SCORE, write(MODEL, with_header(b"{}", b"")),
     "base | tensor 'model.embed_tokens.weight' [997, 96] is missing from the weights (and 37 more) | the folder is incomplete, or its config.json belongs to…"),
    ("data that no tensor has", SCORE, raw(b"{}"),
     "base/model.safetensors | 1004160 bytes behind the last tensor belong to none | the file is damaged or was not written by a safetensors…"),
    ("metadata that is a number", SCORE, header(MODEL, lambda table: table.update(__metadata__=5)),
     "base/model.safetensors | '__metadata__' is no object of strings | the file is damaged or was not written by a safetensors…"),
    ("metadata with a list in it", SCORE, header(MODEL, lambda table: table.update(__metadata__={"format": ["pt"]})),
     "base/model.safetensors | '__metadata__' is no object of strings | the file is damaged or was not written by a safetensors…"),
    ("an entry that is a list", SCORE, header(MODEL, lambda table: table.update({NORM: []})),
     "base/model.safetensors | tensor 'model.norm.weight': its entry is no object | the file is damaged or was not written by a safetensors…"),
    ("no dtype", SCORE, header(MODEL, lambda table: table[NORM].pop("dtype")),
     "base/model.safetensors | tensor 'model.norm.weight': has no string 'dtype' | the file is damaged or was not written by a safetensors…"),
    ("a dtype of half bytes", SCORE, tensor(dtype="F4"),
     "base/model.safetensors | tensor 'model.norm.weight': unknown dtype 'F4' | convert the file to a dtype of whole bytes such as F32,…"),
    ("a dtype of integers", SCORE, tensor(dtype="I16"),
     "base/model.safetensors | tensor 'model.norm.weight' is I16: graft reads F32, BF16 and F16 | convert the model to one of these, or use an unquantised one"),
    ("a dtype wider than the data", SCORE, tensor(dtype="F64"),
     "base/model.safetensors | tensor 'model.norm.weight': its shape needs 768 bytes, its data_offsets hold 192 | the file is damaged or was not written by a safetensors…"),
    ("no shape", SCORE, header(MODEL, lambda table: table[NORM].pop("shape")),
     "base/model.safetensors | tensor 'model.norm.weight': has no array 'shape' | the file is damaged or was not written by a safetensors…"),
    ("a shape that is a number", SCORE, tensor(shape=96),
     "base/model.safetensors | tensor 'model.norm.weight': has no array 'shape' | the file is damaged or was not written by a safetensors…"),
    ("a dimension below zero", SCORE, tensor(shape=[-96]),
     "base/model.safetensors | tensor 'model.norm.weight': a dimension of its shape is no integer of at least 0 | the file is damaged or was not written by a safetensors…"),
    ("two dimensions below zero, whose product is right", SCORE, tensor(shape=[-1, -96]),
     "base/model.safetensors | tensor 'model.norm.weight': a dimension of its shape is no integer of at least 0 | the file is damaged or was not written by a safetensors…"),
    ("a dimension with a fraction", SCORE, tensor(shape=[96.0]),
     "base/model.safetensors | tensor 'model.norm.weight': a dimension of its shape is no integer of at least 0 | the file is damaged or was not written by a safetensors…"),
    ("a dimension beyond 64 bits", SCORE, tensor(shape=[2**64 + 96]),
     "base/model.safetensors | tensor 'model.norm.weight': a dimension of its shape is no integer of at least 0 | the file is damaged or was not written by a safetensors…"),
    ("a shape whose product wraps round to the right one", SCORE, tensor(shape=[2**32, 2**32, 96]),
     "base/model.safetensors | tensor 'model.norm.weight': the product of its shape overflows 64 bits | the file is damaged or was not written by a safetensors…"),
    ("a shape whose bytes wrap round to the right ones", SCORE, tensor(shape=[2**63 + 96]),
     "base/model.safetensors | tensor 'model.norm.weight': a dimension of its shape is no integer of at least 0 | the file is damaged or was not written by a safetensors…"),
    ("a shape whose bytes overflow only with the dtype", SCORE, tensor(shape=[2**62, 3]),
     "base/model.safetensors | tensor 'model.norm.weight': its size in bytes overflows 64 bits | the file is damaged or was not written by a safetensors…"),
    ("a shape with a zero that hides an overflow", SCORE, tensor(shape=[2**62, 2**62, 0]),
     "base/model.safetensors | tensor 'model.norm.weight': its shape needs 0 bytes, its data_offsets hold 192 | the file is damaged or was not written by a safetensors…"),
    ("a shape of nine dimensions", SCORE, tensors(MODEL, grown),
     "base/model.safetensors | tensor 'model.norm.weight': has more than 8 dimensions | the file is damaged or was not written by a safetensors…"),
    ("a shape of another size", SCORE, tensor(shape=[95]),
     "base/model.safetensors | tensor 'model.norm.weight': its shape needs 190 bytes, its data_offsets hold 192 | the file is damaged or was not written by a safetensors…"),
    ("a norm of two dimensions", SCORE, tensor(shape=[2, 48]),
     "base/model.safetensors | tensor 'model.norm.weight' has shape [2, 48], but config.json makes it [1, 96] | config.json and weights are of different models"),
    ("a scalar for a norm", SCORE, tensors(MODEL, lambda table: table.update({NORM: ("BF16", [], b"\0\0")})),
     "base/model.safetensors | tensor 'model.norm.weight' has shape [], but config.json makes it [96] | config.json and weights are of different models"),
    ("a transposed matrix", SCORE,
     header(MODEL, lambda table: table["model.layers.0.mlp.gate_proj.weight"].update(shape=[96, 256])),
     "base/model.safetensors | tensor 'model.layers.0.mlp.gate_proj.weight' has shape [96, 256], but config.json makes it [256, 96] | config.json and weights are of different models"),
    ("offsets that run backwards", SCORE, tensor(data_offsets=[192, 0]),
     "base/model.safetensors | tensor 'model.norm.weight': data_offsets [192, 0] run backwards | the file is damaged or was not written by a safetensors…"),
    ("offsets below zero", SCORE, tensor(data_offsets=[-192, 0]),
     "base/model.safetensors | tensor 'model.norm.weight': 'data_offsets' are not two integers of at least 0 | the file is damaged or was not written by a safetensors…"),
    ("offsets behind the end", SCORE, tensor(data_offsets=[2**40, 2**40 + 192]),
     "base/model.safetensors | tensor 'model.norm.weight': data_offsets [1099511627776, 1099511627968] in a file with 1004160 bytes of data | the file may be cut off: compare its size with the…"),
    ("offsets at the end of 64 bits", SCORE, tensor(data_offsets=[2**63 - 193, 2**63 - 1]),
     "base/model.safetensors | tensor 'model.norm.weight': data_offsets [9223372036854775615, 9223372036…in a file with 1004160 bytes of data | the file may be cut off: compare its size with the…"),
    ("offsets with fractions", SCORE, tensor(data_offsets=[0.0, 192.0]),
     "base/model.safetensors | tensor 'model.norm.weight': 'data_offsets' are not two integers of at least 0 | the file is damaged or was not written by a safetensors…"),
    ("three offsets", SCORE, tensor(data_offsets=[0, 192, 384]),
     "base/model.safetensors | tensor 'model.norm.weight': 'data_offsets' are not two integers of at least 0 | the file is damaged or was not written by a safetensors…"),
    ("offsets that overlap", SCORE, header(MODEL, shifted),
     "base/model.safetensors | tensor 'model.norm.weight': its bytes overlap those of another tensor | the file is damaged or was not written by a safetensors…"),
    ("two tensors of the same bytes", SCORE, header(MODEL, lambda table: table.update(copy=table[NORM])),
     "base/model.safetensors | tensor 'copy': its bytes overlap those of another tensor | the file is damaged or was not written by a safetensors…"),
    ("a gap between tensors", SCORE, header(MODEL, lambda table: table.pop("model.layers.1.input_layernorm.weight")),
     "base/model.safetensors | tensor 'model.layers.1.mlp.down_proj.weight': there is a gap of unused bytes before it | the file is damaged or was not written by a safetensors…"),
    ("bytes behind the last tensor", SCORE, bytes_of(lambda content: content + b"\0"),
     "base/model.safetensors | 1 bytes behind the last tensor belong to none | the file is damaged or was not written by a safetensors…"),
    ("weights cut by one byte", SCORE, bytes_of(lambda content: content[:-1]),
     "base/model.safetensors | tensor 'model.norm.weight': data_offsets [1003968, 1004160] in a file with 1004159 bytes of data | the file may be cut off: compare its size with the…"),
    ("weights from the page of a login", SCORE, write(MODEL, "<html><body>Please sign in to continue</body></html>"),
     "base/model.safetensors | a header of 7078601349733312572 bytes in a file of 52 bytes | the file is cut off, or is no safetensors file (a Git LFS…"),
    ("a pickle", SCORE, write(MODEL, b"\x80\x02}q\0(X\x05\0\0\0modelq\x01K\x01u."),
     "base/model.safetensors | a header of 385101750509306496 bytes in a file of 22 bytes | the file is cut off, or is no safetensors file (a Git LFS…"),
    ("a tensor that the model lacks", SCORE, tensors(MODEL, lambda table: table.update(extra=("BF16", [1], b"\0\0"))),
     "base/model.safetensors | tensor 'extra' BF16 [1]: a llama of this config.json has no such tensor | the model computes something that graft would leave out:…"),
    ("a tensor of a layer that the model lacks", SCORE, tensors(MODEL, renamed(NORM, "model.layers.4.input_layernorm.weight")),
     "base | tensor 'model.norm.weight' [1, 96] is missing from the weights | the folder is incomplete, or its config.json belongs to…"),
    ("a name with a line break", SCORE, tensors(MODEL, renamed(NORM, "model\nnorm\x1b[2J")),
     "base | tensor 'model.norm.weight' [1, 96] is missing from the weights | the folder is incomplete, or its config.json belongs to…"),
    ("a head that differs from the tied embedding", SCORE,
     tensors(MODEL, lambda table: table.update({"lm_head.weight": ("BF16", [997, 96], b"\0" * 997 * 96 * 2)})),
     "base/model.safetensors | tensor 'lm_head.weight' differs from the embedding, but config.json ties them (tie_word_embeddings true) | set tie_word_embeddings to false in config.json if the head…"),
    ("a head of another shape than the tied embedding", SCORE,
     tensors(MODEL, lambda table: table.update({"lm_head.weight": ("BF16", [1], b"\0\0")})),
     "base/model.safetensors | tensor 'lm_head.weight' differs from the embedding, but config.json ties them (tie_word_embeddings true) | set tie_word_embeddings to false in config.json if the head…"),
    ("the embedding under two names", SCORE,
     tensors(MODEL, lambda table: table.update({"embed_tokens.weight": table["model.embed_tokens.weight"]})),
     "base/model.safetensors | tensor 'embed_tokens.weight' BF16 [997, 96]: a llama of this config.json has no such tensor | the model computes something that graft would leave out:…"),
    ("weights that are not finite, to score", SCORE, infinite,
     "ids.jsonl:1 | the log-probability of token 1 is not finite | weights of the model or the adapter are not finite: copy or…"),
    ("weights that are not finite, to generate greedily", GENERATE, infinite,
     "prompt 1 | behind 5 ids the logit of id 0 is not a number | weights of the model or the adapter are not finite: copy or…"),
    ("weights that are not finite, to draw from", GENERATE + " --temperature 1 --top-k 5 --top-p 0.9", infinite,
     "prompt 1 | behind 5 ids the logit of id 0 is not a number | weights of the model or the adapter are not finite: copy or…"),
    ("weights that are not finite, to evaluate", EVALUATE, infinite,
     "records.jsonl | the loss of the records is not finite | weights of the model or the adapter are not finite: copy or…"),
    ("weights that are not finite, to evaluate without answers", EVALUATE + " --template-prompt '' --template-response '{response}'", infinite,
     "records.jsonl | the loss of the records is not finite | weights of the model or the adapter are not finite: copy or…"),
    # shards
    ("an index that is empty", SHARDS, write(INDEX, ""), "shards/model.safetensors.index.json | the file is empty | copy or download it again"),
    ("an index that is a list", SHARDS, write(INDEX, "[]"),
     "shards/model.safetensors.index.json | has no object 'weight_map' with entries | copy or download the index again"),
    ("an index without a map", SHARDS, write(INDEX, '{"metadata": {}}'),
     "shards/model.safetensors.index.json | has no object 'weight_map' with entries | copy or download the index again"),
    ("an index with an empty map", SHARDS, write(INDEX, '{"weight_map": {}}'),
     "shards/model.safetensors.index.json | has no object 'weight_map' with entries | copy or download the index again"),
    ("an index with a map that is a list", SHARDS, write(INDEX, '{"weight_map": ["a"]}'),
     "shards/model.safetensors.index.json | has no object 'weight_map' with entries | copy or download the index again"),
    ("an index with a tensor twice", SHARDS, write(INDEX, '{"weight_map": {"a": "b", "a": "c"}}'),
     "shards/model.safetensors.index.json:1:29 | duplicate object key near '\"a\"' | keep one of the two members"),
    ("a shard that is a number", SHARDS, json_set(INDEX, {"weight_map": {NORM: 1}}),
     "shards/model.safetensors.index.json | tensor 'model.norm.weight': its shard is no file name | copy or download the index again"),
    ("a shard above the folder", SHARDS, json_set(INDEX, {"weight_map": {NORM: "../base/model.safetensors"}}),
     "shards/model.safetensors.index.json | tensor 'model.norm.weight': shard '../base/model.safetensors' is no plain file name | shards must lie beside the index: do not use this folder…"),
    ("a shard from the root", SHARDS, json_set(INDEX, {"weight_map": {NORM: "/etc/passwd"}}),
     "shards/model.safetensors.index.json | tensor 'model.norm.weight': shard '/etc/passwd' is no plain file name | shards must lie beside the index: do not use this folder…"),
    ("a shard that is the folder itself", SHARDS, json_set(INDEX, {"weight_map": {NORM: "."}}),
     "shards/model.safetensors.index.json | the shard '.' that it names is missing | copy or download the missing file too"),
    ("a shard without a name", SHARDS, json_set(INDEX, {"weight_map": {NORM: ""}}),
     "shards/model.safetensors.index.json | tensor 'model.norm.weight': shard '' is no plain file name | shards must lie beside the index: do not use this folder…"),
    ("a shard that is missing", SHARDS, remove(SECOND),
     "shards/model.safetensors.index.json | the shard 'model-00002-of-00002.safetensors' that it names is missing | copy or download the missing file too"),
    ("a shard that is a pipe", SHARDS, fifo(SECOND), "shards/model-00002-of-00002.safetensors | is not a regular file | write the data to a file first"),
    ("a shard that links to a device", SHARDS, link(SECOND, "/dev/zero"),
     "shards/model-00002-of-00002.safetensors | is not a regular file | write the data to a file first"),
    ("a shard that is cut", SHARDS, lambda folder: put(folder, SECOND, get(folder, SECOND)[:-100]),
     "shards/model-00002-of-00002.safetensors | tensor 'model.norm.weight': data_offsets [406272, 406464] in a file with 406364 bytes of data | the file may be cut off: compare its size with the…"),
    ("a tensor that is in another shard than the index says", SHARDS,
     edit(INDEX, f'"{NORM}": "model-00002', f'"{NORM}": "model-00001'),
     "shards/model.safetensors.index.json | tensor 'model.norm.weight' is not in the shard 'model-00001-of-00002.safetensors' | index and shards are of different versions: copy or…"),
    ("a tensor in two shards", SHARDS, tensors(SECOND, lambda table: table.update({"model.embed_tokens.weight": ("BF16", [1], b"\0\0")})),
     "tensor 'model.embed_tokens.weight' is in two shards | shards/model-00001-of-00002.safetensors and shards/model-00002-of-00002.safetensors | remove files of another version from the folder, or copy or…"),
    ("the same shard twice", SHARDS, lambda folder: put(folder, SECOND, get(folder, FIRST)),
     "shards/model.safetensors.index.json | tensor 'model.layers.2.input_layernorm.weight' is not in the shard 'model-00002-of-00002.safetensors' | index and shards are of different versions: copy or…"),
    ("a tensor that the index lacks and the model too", SHARDS, tensors(SECOND, lambda table: table.update(extra=("BF16", [1], b"\0\0"))),
     "shards/model-00002-of-00002.safetensors | tensor 'extra' BF16 [1]: a llama of this config.json has no such tensor | the model computes something that graft would leave out:…"),
)
