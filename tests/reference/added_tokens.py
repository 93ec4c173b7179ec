#!/usr/bin/env python3
"""Tokens that a run adds (data.added_tokens), against transformers and PEFT.

    added_tokens.py GRAFT       (in the environment of run_scripts/setup_reference.sh)

For models with a tied and with an untied head whose embeddings have spare rows: AutoTokenizer, given the adapter's folder alone, makes the ids that it makes
itself after add_special_tokens() and add_tokens(), and those that graft makes; PEFT loads the folder without complaint and computes the logits that graft does;
what PEFT saves of the same configuration, graft reads, logits alike. Exit status 77 where torch and peft are not installed.
"""
import json
import os
import shutil
import sys
import tempfile

from exchange import TOLERANCE, run, worst  # ends with 77 where the libraries are missing

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "base")
TEXTS = ["<|im_start|>user\nA word.<|im_end|>", "no mark", "<|im_end|><|im_end|>", "over there <extra> and <extra>there", " <|im_start|> ", "a<s>b<|im_start|>"]
SPECIAL, PLAIN = ["<|im_start|>", "<|im_end|>"], ["<extra>"]


def make_base(folder, tied):
    """A Llama with 1,024 rows for the example's 997 tokens."""
    torch.manual_seed(3)
    LlamaForCausalLM(LlamaConfig(vocab_size=1024, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                 max_position_embeddings=256, tie_word_embeddings=tied, bos_token_id=0, eos_token_id=1)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(EXAMPLE, name), folder)
    with open(os.path.join(folder, "chat_template.jinja"), "w") as file:
        file.write("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")


def train(graft, work, base):
    with open(os.path.join(work, "records.jsonl"), "w") as file:
        for text in TEXTS:
            file.write(json.dumps({"text": text}) + "\n")
    with open(os.path.join(work, "run.yaml"), "w") as file:
        added = ", ".join([json.dumps(text) for text in SPECIAL] + [f"{{text: {json.dumps(text)}, special: false, init: mean}}" for text in PLAIN])
        file.write(f"model: {{path: {json.dumps(base)}}}\nadapter: {{peft_type: LORA, r: 4, init_lora_weights: false}}\n"
                   f"data: {{train: [{{path: records.jsonl, format: text}}], max_length: 128, over_length: error, added_tokens: [{added}]}}\n"
                   "training: {output_dir: ours, max_steps: 4, batch_size: 6, learning_rate: 0.01}\n")
    run(graft, "train", os.path.join(work, "run.yaml"))
    return os.path.join(work, "ours")


def graft_ids(graft, folder, work):
    lines, out = os.path.join(work, "texts.jsonl"), os.path.join(work, "ids.jsonl")
    with open(lines, "w") as file:
        for text in TEXTS:
            file.write(json.dumps({"text": text}) + "\n")
    run(graft, "tokenize", "--model", folder, "--input", lines, "--output", out, "--force")
    with open(out) as file:
        return [json.loads(line)["ids"] for line in file]


def graft_logits(graft, base, adapter, work):
    out = os.path.join(work, "logits.safetensors")
    run(graft, "score", "--model", base, "--adapter", adapter, "--input", os.path.join(work, "texts.jsonl"), "--output", os.path.join(work, "score.jsonl"), "--logits", out,
        "--force")
    stored = load_file(out)
    return [stored[f"logits.{i}"] for i in range(len(stored))]


def peft_logits(model, ids):
    with torch.no_grad():
        return [model(input_ids=torch.tensor([one]), use_cache=False).logits[0] for one in ids]


def check(graft, tied, work):
    base = os.path.join(work, "base")
    make_base(base, tied)
    ours = train(graft, work, base)
    wanted = AutoTokenizer.from_pretrained(base)
    wanted.add_special_tokens({"additional_special_tokens": SPECIAL})
    wanted.add_tokens(PLAIN)
    saved = AutoTokenizer.from_pretrained(ours)
    ids = [wanted(text)["input_ids"] for text in TEXTS]
    assert [saved(text)["input_ids"] for text in TEXTS] == ids, "AutoTokenizer of the adapter's folder"
    assert graft_ids(graft, ours, work) == ids, "graft with the adapter's folder"
    assert [saved.decode(one, skip_special_tokens=True) for one in ids] == [wanted.decode(one, skip_special_tokens=True) for one in ids]
    assert max(wanted.convert_tokens_to_ids(SPECIAL + PLAIN)) == 999
    conversation = [{"role": "user", "content": "a"}]
    assert saved.apply_chat_template(conversation, tokenize=False) == wanted.apply_chat_template(conversation, tokenize=False)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), ours).eval()
    error = worst(peft_logits(model, ids), graft_logits(graft, base, ours, work))
    with open(os.path.join(ours, "adapter_config.json")) as file:
        indices = json.load(file)["trainable_token_indices"]
    assert indices == [997, 998, 999] if tied else indices == {"embed_tokens": [997, 998, 999], "lm_head": [997, 998, 999]}, indices

    config = LoraConfig(r=4, task_type="CAUSAL_LM", target_modules=["q_proj"], init_lora_weights=False, trainable_token_indices=indices)
    theirs = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config).eval()
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            if "trainable_tokens_delta" in name:
                value.normal_(std=0.1)
    folder = os.path.join(work, "theirs")
    theirs.save_pretrained(folder)
    wanted.save_pretrained(folder)
    back = worst(peft_logits(theirs, ids), graft_logits(graft, base, folder, work))
    print(f"{'tied' if tied else 'untied':8} ids equal; graft's adapter in PEFT {error:.1e}, PEFT's in graft {back:.1e}")
    assert max(error, back) < TOLERANCE


def main(graft):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for tied in (True, False):
        with tempfile.TemporaryDirectory() as work:
            check(graft, tied, work)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 2 else sys.exit(__doc__)
