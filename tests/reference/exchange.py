#!/usr/bin/env python3
"""PEFT and graft read each other's adapters and compute the same logits.

    exchange.py GRAFT       (in the environment of run_scripts/setup_reference.sh)

A row of CASES is one adapter over the model of a recorded case. PEFT makes it and saves it, graft scores with the folder; graft trains the same method and saves
it, PEFT loads that folder without complaint. So it is for the LoRA of every recorded case, which graft goes on training. A row of SUMS is two adapters that both
attach at once. A row of SAVED is a recorded model written by torch.save, as model folders held their weights before safetensors. The logits must be equal each time. Exit status 77 where torch and peft are not installed.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

try:
    import torch
    from peft import LoraConfig, PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
    from safetensors.torch import load_file
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM
    from transformers.utils import logging
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

RECORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "records")
TOLERANCE = 2e-5  # of the largest logit
ATTENTION = {"falcon_rw": "sdpa"}  # as the record was made; else eager

# name: the model's case, the configuration, and a YAML section for graft to train the same method from its own start
CASES = {
    "lora": ("llama_mha", LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False), "{peft_type: LORA, r: 4, init_lora_weights: false}"),
    "lora, pissa": ("llama_mha", LoraConfig(r=4, target_modules="all-linear", init_lora_weights="gaussian"),
                    "{peft_type: LORA, r: 4, lora_alpha: 6, target_modules: all-linear, init_lora_weights: pissa}"),
    "lora, pissa_niter": ("mistral_window", LoraConfig(r=4, init_lora_weights="orthogonal"),
                          "{peft_type: LORA, r: 3, use_rslora: true, rank_pattern: {v_proj: 5}, init_lora_weights: pissa_niter_4}"),
    "lora, pissa on weights stored as [in, out]": ("gpt2_plain", LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False),
                                                   "{peft_type: LORA, r: 3, lora_alpha: 6, target_modules: all-linear, init_lora_weights: pissa}"),
    "dora on weights stored as [in, out]": ("gpt2_plain", LoraConfig(r=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_dora=True, init_lora_weights=False),
                                            "{peft_type: LORA, r: 4, use_dora: true, target_modules: [c_attn, c_fc]}"),
    "lora_bias on weights stored as [in, out]": ("gpt2_plain", LoraConfig(r=4, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, lora_bias=True, init_lora_weights=False),
                                                 "{peft_type: LORA, r: 4, lora_bias: true, target_modules: [c_attn, c_proj]}"),
    "lora on an embedding below positions": ("gpt2_plain", LoraConfig(r=4, target_modules=["wte", "c_attn"], fan_in_fan_out=True, init_lora_weights=False),
                                             "{peft_type: LORA, r: 4, target_modules: [wte, c_attn]}"),
    "lora on an embedding below a norm": ("bloom_heads_3", LoraConfig(r=4, target_modules=["word_embeddings", "dense"], init_lora_weights=False),
                                          "{peft_type: LORA, r: 4, target_modules: [word_embeddings, dense]}"),
    "lora on the head": ("llama_gqa_tied", LoraConfig(r=4, target_modules=["q_proj", "lm_head"], init_lora_weights=False),
                         "{peft_type: LORA, r: 3, target_modules: '.*v_proj|lm_head', lora_dropout: 0.1, init_lora_weights: gaussian}"),
    "lora on a head with a bias": ("gptj_plain", LoraConfig(r=4, target_modules=["lm_head", "k_proj"], bias="all", init_lora_weights=False),
                                   "{peft_type: LORA, r: 4, target_modules: [lm_head, fc_in], bias: lora_only}"),
    "dora on a fused layer": ("gpt_neox_parallel", LoraConfig(r=4, target_modules=["query_key_value", "dense"], use_dora=True, init_lora_weights=False),
                              "{peft_type: LORA, r: 4, use_dora: true, target_modules: all-linear}"),
    "tokens below a norm": ("bloom_heads_3", LoraConfig(r=4, target_modules=["dense"], trainable_token_indices={"word_embeddings": [4, 9]}, init_lora_weights=False),
                            "{peft_type: LORA, r: 4, target_modules: [dense], trainable_token_indices: {word_embeddings: [4, 9]}}"),
    "prefix, learned positions": ("gpt2_plain", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prefix, one key head": ("gpt_bigcode_multi_query", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prompt, learned positions": ("gpt2_plain", PromptTuningConfig(num_virtual_tokens=6), "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6}"),
    "prompt, slopes": ("bloom_heads_3", PromptTuningConfig(num_virtual_tokens=6), "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6}"),
    "prefix, slopes": ("bloom_heads_3", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prefix, rotary neighbours": ("gptj_plain", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prefix, rotary in part": ("gpt_neox_parallel", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prefix, positions from 2": ("opt_no_bias", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prompt, positions from 2": ("opt_plain", PromptTuningConfig(num_virtual_tokens=6), "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6}"),
    "prefix, scaled embedding": ("gemma_biases", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prompt, SAMPLE_VOCAB, scaled embedding": ("gemma_plain", PromptTuningConfig(num_virtual_tokens=4, prompt_tuning_init="SAMPLE_VOCAB"),
                                               "{peft_type: PROMPT_TUNING, num_virtual_tokens: 4, prompt_tuning_init: SAMPLE_VOCAB}"),
    "p-tuning, scaled embedding": ("gemma_plain", PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=7),
                                   "{peft_type: P_TUNING, num_virtual_tokens: 4, encoder_hidden_size: 7}"),
    "lora and tokens of a scaled embedding": ("gemma_plain", LoraConfig(r=4, target_modules=["v_proj"], trainable_token_indices=[4, 9, 30], init_lora_weights=False),
                                              "{peft_type: LORA, r: 4, target_modules: [v_proj, embed_tokens]}"),
    "prefix, window and fused layers": ("phi3_window_in_part", PrefixTuningConfig(num_virtual_tokens=9), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 9}"),
    "pissa on fused layers": ("phi3_plain", LoraConfig(r=4, target_modules=["gate_up_proj"], use_dora=True, init_lora_weights=False),
                              "{peft_type: LORA, r: 4, target_modules: all-linear, init_lora_weights: pissa}"),
    "prefix, norms of heads": ("qwen3_plain", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prefix, one norm": ("stablelm_parallel", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prompt, rotary in part": ("stablelm_plain", PromptTuningConfig(num_virtual_tokens=6), "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6}"),
    "prefix": ("llama_mha", PrefixTuningConfig(num_virtual_tokens=5), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}"),
    "prefix, grouped heads and window": ("mistral_window", PrefixTuningConfig(num_virtual_tokens=9), "{peft_type: PREFIX_TUNING, num_virtual_tokens: 9}"),
    "prefix, zero": ("llama_gqa_tied", PrefixTuningConfig(num_virtual_tokens=4, init_weights="zero"),
                     "{peft_type: PREFIX_TUNING, num_virtual_tokens: 4, init_weights: zero}"),
    "prefix_projection": ("llama_gqa_tied", PrefixTuningConfig(num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=9),
                          "{peft_type: PREFIX_TUNING, num_virtual_tokens: 3, prefix_projection: true, encoder_hidden_size: 9}"),
    "prompt": ("llama_mha", PromptTuningConfig(num_virtual_tokens=6), "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6}"),
    "prompt, SAMPLE_VOCAB": ("qwen2_tied", PromptTuningConfig(num_virtual_tokens=2, prompt_tuning_init="SAMPLE_VOCAB"),
                             "{peft_type: PROMPT_TUNING, num_virtual_tokens: 2, prompt_tuning_init: SAMPLE_VOCAB}"),
    "p-tuning, MLP": ("mistral_window", PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=7),
                      "{peft_type: P_TUNING, num_virtual_tokens: 4, encoder_hidden_size: 7}"),
    "p-tuning, LSTM": ("llama_gqa_tied",
                       PromptEncoderConfig(num_virtual_tokens=4, encoder_reparameterization_type="LSTM", encoder_hidden_size=5, encoder_dropout=0.1),
                       "{peft_type: P_TUNING, num_virtual_tokens: 4, encoder_reparameterization_type: LSTM, encoder_hidden_size: 5, encoder_dropout: 0.1}"),
}


# name: the model's case, and two adapters for it, whose sum is what both attached give
SUMS = {
    "two sums": ("llama_mha", LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False),
                 LoraConfig(r=2, lora_alpha=3, use_rslora=True, target_modules=["v_proj", "down_proj"], init_lora_weights=False)),
    "a sum with lora_bias": ("llama_gqa_tied", LoraConfig(r=4, target_modules=["q_proj", "o_proj"], init_lora_weights=False),
                             LoraConfig(r=2, lora_bias=True, target_modules=["o_proj", "up_proj"], init_lora_weights=False)),
    "a sum with the embedding": ("llama_mha", LoraConfig(r=4, target_modules=["embed_tokens", "k_proj"], init_lora_weights=False),
                                 LoraConfig(r=2, target_modules=["embed_tokens", "up_proj"], init_lora_weights=False)),
    "a sum with DoRA first": ("llama_gqa_tied", LoraConfig(r=4, use_dora=True, target_modules=["q_proj", "up_proj"], init_lora_weights=False),
                              LoraConfig(r=2, target_modules=["q_proj", "k_proj"], init_lora_weights=False)),
    "a sum with DoRA second": ("llama_gqa_tied", LoraConfig(r=4, target_modules=["q_proj", "k_proj"], init_lora_weights=False),
                               LoraConfig(r=2, use_dora=True, target_modules=["q_proj", "up_proj"], init_lora_weights=False)),
}


def in_shards(state, folder):
    """pytorch_model.bin.index.json and two shards."""
    names, weight_map = list(state), {}
    for number, part in enumerate((names[:len(names) // 2], names[len(names) // 2:]), 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: state[name] for name in part}, os.path.join(folder, file))
        weight_map.update(dict.fromkeys(part, file))
    with open(os.path.join(folder, "pytorch_model.bin.index.json"), "w") as out:
        json.dump({"metadata": {"total_size": 0}, "weight_map": weight_map}, out)


def in_one(**options):
    return lambda state, folder: torch.save(state, os.path.join(folder, "pytorch_model.bin"), **options)


ZIP, BEFORE_ZIP = in_one(), in_one(_use_new_zipfile_serialization=False)
# name: the model's case, what writes its state_dict, and what becomes of that before
SAVED = {
    "torch.save, a tied head of one storage": ("bloom_heads_3", ZIP, lambda state: state),
    "torch.save, parameters": ("gptj_plain", ZIP, lambda state: {k: torch.nn.Parameter(v) for k, v in state.items()}),
    "torch.save, one storage for all": ("codegen_heads_4", ZIP, lambda state: {k: v for k, v in zip(state, one_storage(state.values()))}),
    "torch.save, old buffers": ("gpt2_plain", ZIP, lambda state: state | {
        f"transformer.h.{i}.attn.{name}": value for i in range(2) for name, value in (("bias", torch.ones(1, 1, 64, 64, dtype=torch.bool)), ("masked_bias", torch.tensor(-1e4)))}),
    "torch.save, no prefix": ("falcon_rw", ZIP, lambda state: {k.removeprefix("transformer."): v for k, v in state.items() if k != "lm_head.weight"}),
    "torch.save, in shards": ("mistral_window", in_shards, lambda state: state),
    "torch.save, in shards, half precision": ("llama_float16_old", in_shards, lambda state: {k: v.half() for k, v in state.items()}),
    "torch.save before 1.6": ("mpt_heads_3", BEFORE_ZIP, lambda state: state),
    "torch.save before 1.6, half precision": ("gpt2_all_linear", BEFORE_ZIP, lambda state: {k: v.half() for k, v in state.items()}),
}


def one_storage(values):
    values = list(values)
    parts = torch.cat([value.flatten() for value in values]).split([value.numel() for value in values])
    return [part.view(value.shape) for part, value in zip(parts, values)]


def run(*command):
    done = subprocess.run([*command, "--quiet", "--device", "cpu"], capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f"{' '.join(command[1:])}: exit {done.returncode}\n{done.stderr}")


def base_of(case):
    model = AutoModelForCausalLM.from_pretrained(os.path.join(RECORDS, case, "model"), dtype=torch.float32, attn_implementation=ATTENTION.get(case, "eager"))
    model.config.use_cache = False
    return model


def ids_of(case):
    with open(os.path.join(RECORDS, case, "score.jsonl")) as file:
        return [json.loads(line)["ids"] for line in file]


def peft_logits(model, ids):
    with torch.no_grad():
        return [model(input_ids=torch.tensor([one]), use_cache=False).logits[0][-len(one):] for one in ids]


def graft_logits(graft, case, adapters, work, model=None):
    out = os.path.join(work, "logits.safetensors")
    run(graft, "score", "--model", model or os.path.join(RECORDS, case, "model"), *(word for adapter in adapters for word in ("--adapter", adapter)), "--input", os.path.join(RECORDS, case, "score.jsonl"),
        "--output", os.path.join(work, "score.jsonl"), "--logits", out, "--force")
    stored = load_file(out)
    return [stored[f"logits.{i}"] for i in range(len(stored))]


def worst(some, others):
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(some, others, strict=True))


def load_strictly(case, folder):
    """As a user would, but complaints count."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base_of(case), folder).eval()
    complaints = [str(w.message) for w in caught if "key" in str(w.message) or "config" in str(w.message).lower()]
    if complaints:
        raise ValueError(f"PEFT complains: {complaints}")
    return model


def train(graft, case, section, output):
    config = output + ".yaml"
    with open(config, "w") as file:
        file.write(f"model: {{path: {json.dumps(os.path.join(RECORDS, case, 'model'))}, dtype: float32}}\nadapter: {section}\n"
                   f"data: {{train: [{{path: {json.dumps(os.path.join(RECORDS, case, 'train.jsonl'))}, format: tokens}}], max_length: 64, over_length: error}}\n"
                   f"training: {{output_dir: {json.dumps(output)}, max_steps: 3, batch_size: 4, learning_rate: 1.0e-2}}\n")
    run(graft, "train", config)


def check_case(graft, name, work):
    """(error of PEFT's folder in graft, error of graft's folder in PEFT)"""
    case, config, section = CASES[name]
    ids, theirs, ours = ids_of(case), os.path.join(work, "theirs"), os.path.join(work, "ours")
    torch.manual_seed(1)
    config.task_type = "CAUSAL_LM"
    model = get_peft_model(base_of(case), config).eval()
    model.save_pretrained(theirs)
    read = worst(graft_logits(graft, case, [theirs], work), peft_logits(model, ids))
    train(graft, case, section, ours)
    return read, worst(peft_logits(load_strictly(case, ours), ids), graft_logits(graft, case, [ours], work))


def check_record(graft, case, work):
    ids, theirs, ours = ids_of(case), os.path.join(RECORDS, case, "adapter"), os.path.join(work, "ours")
    read = worst(graft_logits(graft, case, [theirs], work), peft_logits(load_strictly(case, theirs), ids))
    train(graft, case, f"{{init_from: {json.dumps(theirs)}}}", ours)
    return read, worst(peft_logits(load_strictly(case, ours), ids), graft_logits(graft, case, [ours], work))


def check_sum(graft, name, work):
    case, one, other = SUMS[name]
    ids = ids_of(case)
    torch.manual_seed(1)
    one.task_type = other.task_type = "CAUSAL_LM"
    model = get_peft_model(base_of(case), one, adapter_name="one")
    model.add_adapter("other", other)
    model.save_pretrained(work)
    model.base_model.set_adapter(["one", "other"])
    folders = [os.path.join(work, "one"), os.path.join(work, "other")]
    return (worst(graft_logits(graft, case, folders, work), peft_logits(model.eval(), ids)),)


def check_saved(graft, name, work):
    case, write, change = SAVED[name]
    model, folder = base_of(case).eval(), os.path.join(work, "model")
    os.makedirs(folder)
    shutil.copy(os.path.join(RECORDS, case, "model", "config.json"), folder)
    write(change(model.state_dict()), folder)
    return (worst(graft_logits(graft, case, [], work, folder), peft_logits(model, ids_of(case))),)


def is_known(case):
    """Whether transformers knows the type of the model: of the names that code beside a model gave it, it does not."""
    with open(os.path.join(RECORDS, case, "model", "config.json")) as file:
        return json.load(file)["model_type"] in CONFIG_MAPPING


def lora_records():
    """Recorded cases with a LoRA and a model of their own."""
    for case in sorted(os.listdir(RECORDS)):
        path = os.path.join(RECORDS, case, "adapter", "adapter_config.json")
        if os.path.exists(path) and os.path.isdir(os.path.join(RECORDS, case, "model")):
            with open(path) as file:
                if json.load(file)["peft_type"] == "LORA" and is_known(case):
                    yield case


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    graft, missed = os.path.abspath(sys.argv[1]), 0
    rows = [(check_case, name) for name in CASES] + [(check_record, case) for case in lora_records()] + [(check_sum, name) for name in SUMS] + [(check_saved, name) for name in SAVED]
    print(f"{'largest difference, of the largest logit':44}{'PEFT to graft':>16}{'graft to PEFT':>16}")
    for check, name in rows:
        with tempfile.TemporaryDirectory() as work:
            try:
                errors = check(graft, name, work)
                missed += not max(errors) <= TOLERANCE
                print(f"{name:44}" + "".join(f"{error:16.1e}" for error in errors), flush=True)
            except ValueError as refusal:
                missed += 1
                print(f"{name:44}  FAILED: {refusal}", flush=True)
    print(f"{len(rows)} rows, {missed} over {TOLERANCE:g} or failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
