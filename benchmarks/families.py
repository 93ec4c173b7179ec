#!/usr/bin/env python3
"""How fast each family trains: random models of one small size, LoRA r8 on every linear layer, each beside Llama.

All have width 512, 8 layers, 8 heads and 8,000 tokens; the MLP is the family's: 1,408 wide with a gate, 2,048 without. A step is 1,024 tokens in sequences of
256, every token trained. Families differ in how much they compute, so what counts is GFLOP/s: tokens per second behind the first step, times the operations
that a token takes as `graft train --profile` counts them (products of linear layers, head and attention). The rounds go through all families in turn, and the
middle one of a family counts.

    PYTHON benchmarks/families.py [--graft build/graft] [--family NAME ..] [--dtype float32] [--threads 2] [--steps 3] [--repeat 1] [--profile]

PYTHON is one with torch and transformers (run_scripts/setup_reference.sh makes it), which write the models. With --profile: what graft printed of each first
run, behind the table. Keep the machine otherwise idle.
"""
import argparse
import json
import os
import random
import re
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import train_cpu  # noqa: E402

VOCAB, LENGTH, SEQUENCES = 8000, 256, 4
SAID = dict(vocab_size=VOCAB, bos_token_id=0, eos_token_id=0, pad_token_id=None)
GATED = dict(hidden_size=512, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=8, intermediate_size=1408)
PLAIN = dict(hidden_size=512, num_hidden_layers=8, num_attention_heads=8)
GPT = dict(n_embd=512, n_layer=8, n_head=8, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)  # graft refuses dropout of the base model
FAMILIES = {  # model_type, and what its configuration says; everything else is transformers' default, grouped heads and rotated parts too
    "llama": ("llama", GATED),
    "mistral": ("mistral", GATED),
    "qwen2": ("qwen2", GATED),
    "gpt_neox": ("gpt_neox", dict(PLAIN, intermediate_size=2048)),
    "gpt2": ("gpt2", GPT),
    "bloom": ("bloom", dict(hidden_size=512, n_layer=8, n_head=8)),
    "falcon": ("falcon", PLAIN),
    "falcon, ALiBi": ("falcon", dict(PLAIN, alibi=True, multi_query=False, parallel_attn=False, bias=True)),
    "gpt_bigcode": ("gpt_bigcode", GPT),
    "mpt": ("mpt", dict(d_model=512, n_layers=8, n_heads=8)),
    "codegen": ("codegen", dict(GPT, rotary_dim=32)),
    "gptj": ("gptj", dict(GPT, rotary_dim=32)),
    "opt": ("opt", dict(PLAIN, ffn_dim=2048, word_embed_proj_dim=512, dropout=0.0)),
    "gemma": ("gemma", dict(GATED, head_dim=64)),
    "phi3": ("phi3", GATED),
    "qwen3": ("qwen3", dict(GATED, head_dim=64)),
    "stablelm": ("stablelm", GATED),
}
CONFIGURATION = f"""\
model: {{{{path: {{model}}, dtype: {{dtype}}}}}}
adapter: {{{{peft_type: LORA, r: 8, lora_alpha: 16, target_modules: all-linear}}}}
data: {{{{train: [{{{{path: tokens.jsonl, format: tokens}}}}], max_length: {LENGTH}, over_length: error}}}}
training: {{{{output_dir: run, shuffle: false, max_steps: {{steps}}, batch_size: {SEQUENCES}, micro_batch_tokens: {SEQUENCES * LENGTH}, learning_rate: 1.0e-4,
  lr_scheduler_type: constant, logging_steps: 1}}}}
"""


def write_models(folder, names):
    """A folder of random weights for each family, and tokens for all."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    for name in names:
        model_type, said = FAMILIES[name]
        config = AutoConfig.for_model(model_type, **SAID, **said)
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(os.path.join(folder, name))


def write_tokens(folder, count):
    draw = random.Random(1)
    with open(os.path.join(folder, "tokens.jsonl"), "w") as file:
        for _ in range(count):
            file.write(json.dumps({"ids": [draw.randrange(VOCAB) for _ in range(LENGTH)]}) + "\n")


def measure(options, folder, name):
    """Of one run: tokens per second behind the first step, operations a token in GFLOP, and what graft printed."""
    with open(os.path.join(folder, "run.yaml"), "w") as file:
        file.write(CONFIGURATION.format(model=json.dumps(name), dtype=options.dtype, steps=options.steps + 1))
    said, _, _ = train_cpu.run([options.graft, "train", os.path.join(folder, "run.yaml"), "--threads", str(options.threads), "--profile", "--force"])
    with open(os.path.join(folder, "run", "metrics.jsonl")) as file:
        rates = [row["tokens_per_second"] for row in map(json.loads, file) if "loss" in row][1:]
    operations = float(re.search(r"^all +\S+ +\S+ +\S+ +(\S+)", said, re.MULTILINE)[1])
    return len(rates) / sum(1 / r for r in rates), operations / ((options.steps + 1) * SEQUENCES * LENGTH), said


def report(options, runs):
    """A row per family, Llama's first."""
    print(f"{options.dtype}, {options.threads} threads, {options.steps} counted steps, middle of {options.repeat}; {train_cpu.processor()}\n")
    print("| family | tokens/s | GFLOP a token | GFLOP/s | Llama's = 1 |\n|---|---|---|---|---|")
    rate = {name: statistics.median(r * work for r, work, _ in of_name) for name, of_name in runs.items()}
    for name, of_name in runs.items():
        tokens = statistics.median(r for r, _, _ in of_name)
        print(f"| {name} | {tokens:.0f} | {of_name[0][1]:.3f} | {rate[name]:.1f} | {rate[name] / rate['llama']:.2f} |")
    for name, of_name in runs.items() if options.profile else ():
        print(f"\n{name}\n{of_name[0][2]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", default=os.path.join(HERE, "..", "build", "graft"))
    parser.add_argument("--family", nargs="+", default=list(FAMILIES), choices=FAMILIES, help="beside llama; default: all")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--steps", type=int, default=3, help="counted, behind a first one")
    parser.add_argument("--repeat", type=int, default=1, help="rounds through all families")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    options.graft = os.path.abspath(options.graft)
    names = ["llama", *(name for name in FAMILIES if name in options.family and name != "llama")]
    runs = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        write_models(folder, names)
        write_tokens(folder, SEQUENCES * (options.steps + 1))
        for _ in range(options.repeat):
            for name in names:
                runs[name].append(measure(options, folder, name))
    report(options, runs)


if __name__ == "__main__":
    main()
