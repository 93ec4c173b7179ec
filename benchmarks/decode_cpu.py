#!/usr/bin/env python3
"""Decoding on this CPU: graft beside transformers' generate, both beside what the memory allows.

Greedy decoding reads every weight once per step, so a step cannot be faster than the bytes of the weights (at the file's
own width) divided by the read bandwidth, which is measured in the same run. A rate is the time of a long answer minus
that of a short one, so loading and the prompt do not count. Prints a Markdown table, then the seconds that `graft score`
of one sentence takes from start to end with the files in the page cache.

    PYTHON benchmarks/decode_cpu.py [--graft build/graft] [--shape smollm_135m] [--batches 1 16] [--threads N] [--without-transformers]

PYTHON is one with torch and transformers (run_scripts/setup_reference.sh makes it). Keep the machine otherwise idle.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import peft_cpu_baseline  # noqa: E402

EXAMPLE = os.path.join(HERE, "..", "examples", "base")
SHORT, LONG, PROMPT = 8, 72, 16


def read_bandwidth():
    """Bytes per second of summing 2 GiB, best of five."""
    import torch

    values = torch.ones(1 << 29)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        values.sum()
        best = min(best, time.perf_counter() - began)
    return values.numel() * 4 / best


def write_model(folder, options, dtype):
    """The random model of the training benchmark, with the example's tokenizer grown to its vocabulary. Returns the bytes a step reads."""
    import torch

    peft_cpu_baseline.new_model(options).to(getattr(torch, dtype)).save_pretrained(folder)
    shutil.copy(os.path.join(EXAMPLE, "tokenizer_config.json"), folder)
    with open(os.path.join(EXAMPLE, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary.update({f"piece {i}": i for i in range(len(vocabulary), peft_cpu_baseline.SHAPES[options.shape][5])})
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)
    return os.path.getsize(os.path.join(folder, "model.safetensors"))


def prompts(count):
    return [[3 + (7 * i + j) % 900 for j in range(PROMPT)] for i in range(count)]


def seconds_of_graft(options, folder, batch, tokens):
    asked = os.path.join(folder, "prompts.jsonl")
    with open(asked, "w") as file:
        file.writelines(json.dumps({"ids": ids}) + "\n" for ids in prompts(batch))
    began = time.perf_counter()
    subprocess.run([options.graft, "generate", "--model", folder, "--input", asked, "--max-new-tokens", str(tokens), "--ignore-eos", "--quiet",
                    "--threads", str(options.threads)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def seconds_of_transformers(model, batch, tokens):
    import torch

    ids = torch.tensor(prompts(batch))
    began = time.perf_counter()
    with torch.no_grad():
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0)
    return time.perf_counter() - began


def rate(seconds, batch):
    """Tokens per second of the steps between a short and a long answer; the best of three pairs."""
    return max(batch * (LONG - SHORT) / max(1e-9, seconds(LONG) - seconds(SHORT)) for _ in range(3))


def score_seconds(options, folder):
    record = os.path.join(folder, "one.jsonl")
    with open(record, "w") as file:
        file.write(json.dumps({"ids": prompts(1)[0]}) + "\n")
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([options.graft, "score", "--model", folder, "--input", record, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - began)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", default="build/graft")
    parser.add_argument("--shape", default="smollm_135m", choices=peft_cpu_baseline.SHAPES)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--without-transformers", action="store_true")
    options = parser.parse_args()
    options.dtype = "float32"
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(options.threads)
    bandwidth = read_bandwidth()
    print(f"{options.shape}, {options.threads} threads; reads {bandwidth / 1e9:.1f} GB/s\n")
    print("| file | batch | limit, tokens/s | graft | share | transformers | share |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as parent:
        for dtype in ("float32", "bfloat16"):
            folder = os.path.join(parent, dtype)
            weights = write_model(folder, options, dtype)
            model = None if options.without_transformers else AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            for batch in options.batches:
                limit = batch * bandwidth / weights
                cells = [rate(lambda n: seconds_of_graft(options, folder, batch, n), batch)]
                if model:
                    cells.append(rate(lambda n: seconds_of_transformers(model, batch, n), batch))
                shares = " | ".join(f"{cell:.1f} | {cell / limit:.0%}" for cell in cells) + (" | - | -" if not model else "")
                print(f"| {dtype} | {batch} | {limit:.1f} | {shares} |", flush=True)
        print(f"\ngraft score of one sentence, float32 file: {score_seconds(options, os.path.join(parent, 'float32')):.3f} s")


if __name__ == "__main__":
    main()
