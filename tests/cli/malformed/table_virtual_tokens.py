"""Prefix tuning, prompt tuning and p-tuning: settings that contradict each other or the model, and folders that do not fit."""
import json
import struct

from itertools import permutations

from good import ADAPTED, GENERATE, LAYERS, SCORE, TRAIN, WIDTH, both, pack, put, run, write

P, TOKEN_DIM = 3, 48  # of two key heads


def method(text):
    """The section adapter of run.yaml."""
    return run("  peft_type: LORA\n  r: 4\n", "".join(f"  {line}\n" for line in text.split("; ")))


def folder_of(peft_type, shape, value=0.5, **settings):
    """adapter/ holds such an adapter."""
    def change(folder):
        put(folder, "adapter/adapter_config.json", json.dumps({"peft_type": peft_type, "task_type": "CAUSAL_LM", "num_virtual_tokens": P, **settings}))
        data = struct.pack(f"<{shape[0] * shape[1]}f", *[value] * (shape[0] * shape[1]))
        put(folder, "adapter/adapter_model.safetensors", pack({"prompt_embeddings": ("F32", list(shape), data)}))
    return change


def asks(*adapters):
    """Lines that ask for adapters."""
    return write("ids.jsonl", "".join(json.dumps({"ids": [5, 6, 7], "adapter": adapter}) + "\n" for adapter in adapters))


FIVE = "".join(f" --adapter {name}=adapter" for name in "abcde")
PREFIX = [P, 2 * LAYERS * TOKEN_DIM]
ROWS = (
    ("virtual tokens that are not counted", TRAIN, method("peft_type: PREFIX_TUNING"),
     "adapter.num_virtual_tokens | missing | say how many rows stand in front of every sequence: 8 to 100 are…"),
    ("no virtual tokens", TRAIN, method("peft_type: PROMPT_TUNING; num_virtual_tokens: 0"),
     "run.yaml:5:23 | adapter.num_virtual_tokens: '0' is out of range | num_virtual_tokens must lie between 1 and 65536"),
    ("virtual tokens beyond the positions", TRAIN, method("peft_type: P_TUNING; num_virtual_tokens: 512"),
     "adapter.num_virtual_tokens | 512, the model has 512 positions | leave room for text"),
    ("a rank of virtual tokens", TRAIN, method("peft_type: PREFIX_TUNING; num_virtual_tokens: 4; r: 4"), "run.yaml:6:3 | unknown key 'r' in adapter | …"),
    ("a width that the model has not", TRAIN, method("peft_type: PREFIX_TUNING; num_virtual_tokens: 4; token_dim: 96"),
     "adapter.token_dim | 96, for this model it is 48 (4 layers of width 96, 4 heads and 2 key heads of size 24) | leave the setting out;…"),
    ("a network that does not exist", TRAIN, method("peft_type: P_TUNING; num_virtual_tokens: 4; encoder_reparameterization_type: GRU"),
     "run.yaml:6:36 | adapter.encoder_reparameterization_type: 'GRU' is none of the choices | choose one of: MLP, LSTM"),
    ("a network of no layers", TRAIN, method("peft_type: P_TUNING; num_virtual_tokens: 4; encoder_num_layers: 0"),
     "run.yaml:6:23 | adapter.encoder_num_layers: '0' is out of range | encoder_num_layers must lie between 1 and 64"),
    ("a network that drops everything", TRAIN, method("peft_type: P_TUNING; num_virtual_tokens: 4; encoder_dropout: 1"),
     "run.yaml:6:20 | adapter.encoder_dropout: '1' is out of range | encoder_dropout must lie between 0 and 0.999"),
    ("two starts of a prefix", TRAIN, method("peft_type: PREFIX_TUNING; num_virtual_tokens: 4; prefix_init_text: Lily; init_weights: zero"),
     "adapter.prefix_init_text | given together with init_weights: zero | keep one of the two: the start can be one thing only"),
    ("a prefix of a text through a projection", TRAIN, method("peft_type: PREFIX_TUNING; num_virtual_tokens: 4; prefix_init_text: Lily; prefix_projection: true"),
     "adapter.prefix_init_text | given together with prefix_projection | keep one of the two: the start can be one thing only"),
    ("a prompt of a text that is missing", TRAIN, method("peft_type: PROMPT_TUNING; num_virtual_tokens: 4; prompt_tuning_init: TEXT"),
     "adapter.prompt_tuning_init | TEXT, but prompt_tuning_init_text is missing | say what the task is in a sentence"),
    ("a prompt of a text that nobody asked for", TRAIN, method("peft_type: PROMPT_TUNING; num_virtual_tokens: 4; prompt_tuning_init_text: Lily"),
     "adapter.prompt_tuning_init_text | given, but prompt_tuning_init is RANDOM | write prompt_tuning_init: TEXT"),
    ("a prompt of a text without a tokenizer", TRAIN,
     method("peft_type: PROMPT_TUNING; num_virtual_tokens: 4; prompt_tuning_init: TEXT; prompt_tuning_init_text: Lily; tokenizer_name_or_path: adapter"),
     "adapter.prompt_tuning_init_text | … | …"),
    ("prompt_embeddings of other rows", ADAPTED, folder_of("PREFIX_TUNING", [P + 1, PREFIX[1]]),
     "adapter | tensor 'prompt_embeddings' has shape [4, 384]; the model and adapter_config.json ask for [3, 384] | the adapter belongs to another base…"),
    ("prompt_embeddings of another method", ADAPTED, folder_of("PROMPT_TUNING", PREFIX),
     "adapter | tensor 'prompt_embeddings' has shape [3, 384]; the model and adapter_config.json ask for [3, 96] | the adapter belongs to another base…"),
    ("prompt_embeddings that are no numbers", ADAPTED, folder_of("P_TUNING", [P, WIDTH], value=float("nan")),
     "adapter | tensor 'prompt_embeddings' holds nan at element 0 | the training that wrote it diverged: use an adapter from…"),
    ("an adapter of virtual tokens for an encoder and a decoder", ADAPTED, folder_of("PROMPT_TUNING", [P, WIDTH], num_transformer_submodules=2),
     "adapter.num_transformer_submodules | 2, for this model it is 1 (… | leave the setting out;…"),
    ("an adapter with more virtual tokens than positions", ADAPTED, folder_of("PROMPT_TUNING", [P, WIDTH], num_virtual_tokens=60000),
     "adapter.num_virtual_tokens | 60000, the model has 512 positions | leave room for text"),
    ("an encoder to go on from that is not there", TRAIN, both(folder_of("P_TUNING", [P, WIDTH]), method("init_from: adapter")),
     "./adapter/adapter_trainable.safetensors | no such file; training of this P_TUNING adapter cannot go on without its encoder | start from a folder that graft…"),
    ("two adapters in front", ADAPTED + " --adapter other=adapter", folder_of("PROMPT_TUNING", [P, WIDTH]),
     "ids.jsonl:1: --adapter | adapter (PROMPT_TUNING) and adapter (PROMPT_TUNING) both put rows in front of every sequence | attach one of them"),
    # which adapters a line asks for
    ("an adapter where none is attached", SCORE, asks("support"), "ids.jsonl:1 | no adapter is named 'support' | give it with --adapter support=DIR"),
    ("an adapter of another name", ADAPTED, asks("adapter", "support"), "ids.jsonl:2 | no adapter is named 'support' | name one of: adapter"),
    ("an adapter of another name to generate with", GENERATE + " --adapter a=adapter", write("prompts.jsonl", '{"ids": [5], "adapter": "adapter"}'),
     "prompts.jsonl:1 | no adapter is named 'adapter' | name one of: a"),
    ("an adapter that is a number", ADAPTED, asks(7), "ids.jsonl:1 | \"adapter\" is no name, no list of names and not null | write for instance…"),
    ("an adapter that is an object", ADAPTED, asks({"adapter": "adapter"}), "ids.jsonl:1 | \"adapter\" is no name, no list of names and not null | write…"),
    ("a list of lists of adapters", ADAPTED, asks([["adapter"]]), "ids.jsonl:1 | \"adapter\" is no name, no list of names and not null | write for instance…"),
    ("an adapter named twice", ADAPTED, asks(["adapter", "adapter"]), "ids.jsonl:1 | adapter 'adapter' is named twice | name each adapter once"),
    ("more sets of adapters than there may be", SCORE + FIVE, asks(*[list(names) for names in permutations("abcde")]),
     "ids.jsonl:65 | asks for other adapters than 64 lines before, all different | split the lines into several runs"),
)
