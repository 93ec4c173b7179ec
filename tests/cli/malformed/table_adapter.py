"""Adapter folders: adapter_config.json and adapter_model.safetensors, alone, against each other and against the base."""
import struct

from good import ABSENT, ADAPTED, CONTINUE, RANK, WIDTH, edit, fifo, get, header, json_set, nothing, put, remove, tensors, write

CONFIG, WEIGHTS = "adapter/adapter_config.json", "adapter/adapter_model.safetensors"
A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
INSPECT = "inspect adapter"


def config(**values):
    return json_set(CONFIG, values)


def weights(name, dtype=None, shape=None, data=None):
    """One tensor with other contents."""
    def change(table):
        old = table.get(name, ("F32", [RANK, WIDTH], b""))
        table[name] = (dtype or old[0], shape if shape is not None else old[1], data if data is not None else old[2])
    return tensors(WEIGHTS, change)


def floats(count, value=0.0, at=None, odd=0.0):
    values = [value] * count
    if at is not None:
        values[at] = odd
    return struct.pack(f"<{count}f", *values)


ROWS = (
    ("adapter_config.json: missing", ADAPTED, remove(CONFIG),
     "adapter/adapter_config.json | no such file | give the folder of an adapter, as PEFT or graft writes it"),
    ("adapter_config.json: empty", ADAPTED, write(CONFIG, ""), "adapter/adapter_config.json | the file is empty | copy or download it again"),
    ("adapter_config.json: a list", ADAPTED, write(CONFIG, "[]"),
     "adapter/adapter_config.json | holds no JSON object | give a folder that PEFT or graft wrote"),
    ("adapter_config.json: a key twice", ADAPTED, edit(CONFIG, '"r": 2', '"r": 2, "r": 4'),
     "adapter/adapter_config.json:1:94 | duplicate object key near '\"r\"' | keep one of the two members"),
    ("adapter_config.json: no method", ADAPTED, config(peft_type=ABSENT),
     "adapter/adapter_config.json | has no 'peft_type' | give a folder that PEFT or graft wrote"),
    ("adapter_config.json: a method that is a number", ADAPTED, config(peft_type=1), "adapter/adapter_config.json | 'peft_type' is 1 | it must be a string"),
    ("adapter_config.json: another method", ADAPTED, config(peft_type="VERA"),
     "adapter/adapter_config.json | peft_type 'VERA' is no method that graft has | graft reads LORA, PREFIX_TUNING, PROMPT_TUNING, P_TUNING"),
    ("adapter_config.json: another task", ADAPTED, config(task_type="SEQ_2_SEQ_LM"),
     "adapter/adapter_config.json | 'task_type' is \"SEQ_2_SEQ_LM\", which graft does not compute | use an adapter without it, or PEFT itself"),
    ("adapter_config.json: a rank of zero", ADAPTED, config(r=0),
     "adapter/adapter_config.json | adapter.r: '0' is out of range | r must lie between 1 and 65536"),
    ("adapter_config.json: a rank below zero", ADAPTED, config(r=-2),
     "adapter/adapter_config.json | adapter.r: '-2' is out of range | r must lie between 1 and 65536"),
    ("adapter_config.json: a rank of 2^62", ADAPTED, config(r=2**62),
     "adapter/adapter_config.json | adapter.r: '4611686018427387904' is out of range | r must lie between 1 and 65536"),
    ("adapter_config.json: a rank with a fraction", ADAPTED, config(r=2.5),
     "adapter/adapter_config.json | adapter.r: '2.5' is no whole number of 64 bits | write a whole number in digits, without point or exponent"),
    ("adapter_config.json: a rank in quotes", ADAPTED, config(r="2"),
     "adapter/adapter_config.json | adapter.r: '2' in quotes is text, not a number | remove the quotes"),
    ("adapter_config.json: a rank that is a list", ADAPTED, config(r=[2]),
     "adapter/adapter_config.json | adapter.r is a list, not a whole number | write one value on the line of the key"),
    ("adapter_config.json: another rank than the weights", ADAPTED, config(r=4),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' h… adapter_config.json ask for [4, 96] | the adapter belongs to another base model, or its two files…"),
    ("adapter_config.json: an alpha below zero", ADAPTED, config(lora_alpha=-4),
     "adapter/adapter_config.json | adapter.lora_alpha: '-4' is out of range | lora_alpha must lie between 0 and 1000000"),
    ("adapter_config.json: an alpha that is a text", ADAPTED, config(lora_alpha="four"),
     "adapter/adapter_config.json | adapter.lora_alpha: 'four' is no finite number | write a number such as 0.1 or 2e-4"),
    ("adapter_config.json: an alpha beyond doubles", ADAPTED, edit(CONFIG, '"lora_alpha": 4', '"lora_alpha": 1e999'),
     "adapter/adapter_config.json:1:110 | real number overflow near '1e999' | write a number that a double can hold"),
    ("adapter_config.json: dropout above one", ADAPTED, config(lora_dropout=1.5),
     "adapter/adapter_config.json | adapter.lora_dropout: '1.5' is out of range | lora_dropout must lie between 0 and 0.999"),
    ("adapter_config.json: DoRA that the weights lack", ADAPTED, config(use_dora=True),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector' is missing | adapter_config.json asks for it: are both files of one…"),
    ("adapter_config.json: DoRA with a bias", ADAPTED, config(use_dora=True, lora_bias=True),
     "adapter | lora_bias and use_dora, both true | set one of them to false"),
    ("adapter_config.json: QALoRA", ADAPTED, config(use_qalora=True),
     "adapter/adapter_config.json | 'use_qalora' is true, which graft does not compute | use an adapter without it, or PEFT itself"),
    ("adapter_config.json: a member of the future", ADAPTED, config(use_magic=True),
     "adapter/adapter_config.json | 'use_magic' is true, which graft does not compute | use an adapter without it, or PEFT itself"),
    ("adapter_config.json: a bias that does not exist", ADAPTED, config(bias="some"),
     "adapter/adapter_config.json | adapter.bias: 'some' is none of the choices | choose one of: none, all, lora_only"),
    ("adapter_config.json: rank-stabilised by a word", ADAPTED, config(use_rslora="yes"),
     "adapter/adapter_config.json | adapter.use_rslora: 'yes' is neither true nor false | write true or false"),
    ("adapter_config.json: no targets", ADAPTED, config(target_modules=[]),
     "adapter/adapter_config.json | adapter.target_modules: an empty list | name at least one module, or write all-linear"),
    ("adapter_config.json: targets that are numbers", ADAPTED, config(target_modules=[1, 2]),
     "adapter/adapter_config.json | adapter.target_modules: '1' is not a list of names | target_modules must be a list of names"),
    ("adapter_config.json: targets that fit nothing", ADAPTED, config(target_modules=["query_key_value"]),
     "adapter/adapter_config.json | adapter.target_modules: no linear layer of the model is targeted | linear layers here: q_proj, k_proj, v_proj, o_proj,…"),
    ("adapter_config.json: targets that the weights lack", ADAPTED, config(target_modules=["q_proj", "v_proj"]),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight' is missing | adapter_config.json asks for it: are both files of one…"),
    ("adapter_config.json: targets by an expression that does not end", ADAPTED, config(target_modules="(q_proj"),
     "adapter/adapter_config.json | adapter.target_modules: '(q_proj' is no regular expression: missing closing parenthesis at character 7 | a dot matches any character, \\. a dot, .* anything;…"),
    ("adapter_config.json: targets by an expression that takes forever", ADAPTED, config(target_modules="(.*)*(.*)*(.*)*(.*)*[!?]"),
     "adapter/adapter_config.json | adapter.target_modules: matching '(.*)*(.*)*(.*)*(.*)*[!?]' against 'lm_head' failed: match limit exceeded | use fewer nested * and +, or a list of names"),
    ("adapter_config.json: a layer that the model lacks", ADAPTED, config(layers_to_transform=[0, 12]),
     "adapter/adapter_config.json | adapter.layers_to_transform: layer 12 in a model of 4 layers | layers are numbered from 0 to 3"),
    ("adapter_config.json: a rank for some that is a list", ADAPTED, config(rank_pattern={"q_proj": [2]}),
     "adapter/adapter_config.json | adapter.rank_pattern: 'a list' is not a map from names to numbers | rank_pattern must be a map from names to numbers"),
    ("adapter_config.json: a rank for some that the weights lack", ADAPTED, config(rank_pattern={"layers.1.self_attn.q_proj": 8}),
     "adapter | tensor 'base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight' h… adapter_config.json ask for [8, 96] | the adapter belongs to another base model, or its two files…"),
    ("adapter_config.json: maps in maps", ADAPTED, config(rank_pattern={"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}),
     "adapter/adapter_config.json | more than 8 values inside each other | PEFT's settings are flat: check the file"),
    ("adapter_config.json: a module to save that the weights lack", ADAPTED, config(modules_to_save=["model.norm"]),
     "adapter | tensor 'base_model.model.model.norm.weight' is missing | adapter_config.json asks for it: are both files of one…"),
    ("adapter_config.json: transposed layers", ADAPTED, config(fan_in_fan_out=True),
     "adapter.fan_in_fan_out | true, but llama models store linear layers as [out, in] | remove the line, or write false"),
    ("adapter_model.safetensors: missing", ADAPTED, remove(WEIGHTS),
     "adapter | holds no weights: none of adapter_model.safetensors, adapter_model.safetensors.index.json, adapter_model.bin, adapter_model.bin.index.json | give the folder that holds the weights"),
    ("adapter_model.safetensors: empty", ADAPTED, write(WEIGHTS, ""),
     "adapter/adapter_model.safetensors | 0 bytes, too short for a safetensors header | the download may be incomplete: compare its size with the…"),
    ("adapter_model.safetensors: a pipe", ADAPTED, fifo(WEIGHTS),
     "adapter/adapter_model.safetensors | is not a regular file | write the data to a file first"),
    ("adapter_model.safetensors: cut", ADAPTED, lambda folder: put(folder, WEIGHTS, get(folder, WEIGHTS)[:-4]),
     "adapter/adapter_model.safetensors | tensor 'base_model.model.model.layers.3.self_attn.q_proj.lora_B.weight': …4] in a file with 6140 bytes of data | the file may be cut off: compare its size with the…"),
    ("adapter_model.safetensors: no tensors", ADAPTED, tensors(WEIGHTS, lambda table: table.clear()),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' is missing | adapter_config.json asks for it: are both files of one…"),
    ("adapter_model.safetensors: a layer is missing", ADAPTED, tensors(WEIGHTS, lambda table: table.pop(A)),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' is missing | adapter_config.json asks for it: are both files of one…"),
    ("adapter_model.safetensors: a layer too many", ADAPTED, weights(A.replace("layers.0", "layers.4"), data=floats(RANK * WIDTH)),
     "adapter | unexpected tensor 'base_model.model.model.layers.4.self_attn.q_proj.lora_A.weight' | adapter_config.json does not ask for it: are both files of…"),
    ("adapter_model.safetensors: a parameter under two names", ADAPTED, weights(A.replace("lora_A.", "lora_A.default."), data=floats(RANK * WIDTH)),
     "adapter | tensors 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.…ora_A.weight' are the same parameter | keep one of the two"),
    ("adapter_model.safetensors: transposed", ADAPTED, weights(A, shape=[WIDTH, RANK]),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' h… adapter_config.json ask for [2, 96] | the adapter belongs to another base model, or its two files…"),
    ("adapter_model.safetensors: of one dimension", ADAPTED, weights(A, shape=[RANK * WIDTH]),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' h… adapter_config.json ask for [2, 96] | the adapter belongs to another base model, or its two files…"),
    ("adapter_model.safetensors: of another base", ADAPTED, weights(A, shape=[RANK, 64], data=floats(RANK * 64)),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' has shape [2, 64] on model.layers.0.self_attn.q_proj.weight [96, 96]; the model and adapter_config.json ask for [2, 96] | the adapter belongs to another base model, or its two files…"),
    ("adapter_model.safetensors: no rows", ADAPTED, weights(A, shape=[0, WIDTH], data=b""),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' has shape [0, 96] and holds nothing | DeepSpeed and FSDP leave such tensors…"),
    ("adapter_model.safetensors: integers", ADAPTED, weights(A, dtype="I32"),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' is of type I32 | adapters hold F32, BF16 or F16"),
    ("adapter_model.safetensors: doubles", ADAPTED, weights(A, dtype="F64", data=bytes(8 * RANK * WIDTH)),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' is of type F64 | adapters hold F32, BF16 or F16"),
    ("adapter_model.safetensors: a value that is not a number", ADAPTED, weights(A, data=floats(RANK * WIDTH, at=100, odd=float("nan"))),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' holds nan at element 100 | the training that wrote it diverged: use an adapter from…"),
    ("adapter_model.safetensors: an infinite value in half precision", ADAPTED, weights(A, dtype="F16", data=b"\0\x7c" + bytes(2 * RANK * WIDTH - 2)),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' holds inf at element 0 | the training that wrote it diverged: use an adapter from…"),
    ("adapter_model.safetensors: an infinite value to go on from", CONTINUE, weights(A, data=floats(RANK * WIDTH, at=0, odd=float("-inf"))),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' holds -inf at element 0 | the training that wrote it diverged: use an adapter from…"),
    ("adapter_model.safetensors: two tensors in one place", ADAPTED,
     header(WEIGHTS, lambda table: table[A].update(data_offsets=table[A.replace("lora_A", "lora_B")]["data_offsets"])),
     "adapter/adapter_model.safetensors | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight': …e is a gap of unused bytes before it | the file is damaged or was not written by a safetensors…"),
    ("adapter_model.safetensors: a frozen weight that is another's", ADAPTED,
     weights("base_model.model.model.norm.weight", shape=[WIDTH], data=floats(WIDTH, 0.5)),
     "adapter | tensor 'base_model.model.model.norm.weight' is not what the model holds | the adapter was made for a base model with other weights…"),
    ("adapter_model.safetensors: a frozen weight of another shape", ADAPTED, weights("base_model.model.model.norm.weight", shape=[3], data=floats(3)),
     "adapter | tensor 'base_model.model.model.norm.weight' is not what the model holds | the adapter was made for a base model with other weights…"),
    ("an adapter that is a model", "score --quiet --model base --adapter base --input ids.jsonl", nothing,
     "base/adapter_config.json | no such file | give the folder of an adapter, as PEFT or graft writes it"),
    ("a model that is an adapter", "score --quiet --model adapter --input ids.jsonl", nothing,
     "adapter/config.json | no such file | give the folder of a Hugging Face model: config.json and…"),
    ("an adapter that is not there", "score --quiet --model base --adapter nowhere --input ids.jsonl", nothing,
     "nowhere/adapter_config.json | no such file | give the folder of an adapter, as PEFT or graft writes it"),
    ("an adapter to inspect without weights", INSPECT, remove(WEIGHTS),
     "adapter | holds no weights: none of adapter_model.safetensors, adapter_model.safetensors.index.json, adapter_model.bin, adapter_model.bin.index.json | give the folder that holds the weights"),
    ("an adapter to inspect whose method is a list", INSPECT, config(peft_type=["LORA"]),
     "adapter/adapter_config.json | 'peft_type' is an array | it must be a string"),
    ("settings that differ from the adapter to go on from", CONTINUE + " adapter.lora_alpha=8", nothing,
     "command line | adapter.lora_alpha is 8, but adapter/adapter_config.json says 4 | remove the line: with init_from every setting of the…"),
    ("an adapter to go on from with a method that graft lacks", CONTINUE, config(peft_type="ADALORA"),
     "adapter/adapter_config.json | peft_type 'ADALORA' is no method that graft has | graft reads LORA, PREFIX_TUNING, PROMPT_TUNING, P_TUNING"),
)
