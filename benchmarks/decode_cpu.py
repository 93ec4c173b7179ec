#!/usr/bin/env python3
"""Decoding on this CPU: graft beside transformers' generate, both beside what the memory allows.

Greedy decoding reads every weight once per step, so a step cannot be faster than the bytes of the weights (at the file's
own width) divided by the rate at which all threads together read memory. That rate moves from minute to minute on a
shared machine, so `graft doctor` measures it right before and right after every measurement of a rate, and the limit is the
mean of the two. A rate is the steps that a long answer has more than a short one, divided by the time that it takes more:
loading and the prompt do not count. All that is compared takes turns in every round; a cell is the median over the
rounds, with the smallest and the largest behind it. Prints a Markdown table, then the seconds that `graft score` of one
sentence takes from start to end with the files in the page cache.

    PYTHON benchmarks/decode_cpu.py [--graft build/graft] [--shape smollm_135m] [--batches 1 16] [--dtypes float32 bfloat16] [--rounds 7] [--threads N] [--without-transformers]

--graft may name several binaries, to compare them. PYTHON is one with torch and transformers
(run_scripts/setup_reference.sh makes it). Keep the machine otherwise idle.
"""
import argparse
import functools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import peft_cpu_baseline  # noqa: E402

EXAMPLE = os.path.join(HERE, "..", "examples", "base")
SHORT, LONG, PROMPT = 16, 144, 16


def read_bandwidth(options):
    """Bytes per second of all threads together."""
    told = subprocess.run([options.graft[0], "doctor", "--threads", str(options.threads)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(re.search(r"^read +([0-9.]+) GB/s", told, re.MULTILINE)[1]) * 1e9


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


def seconds_of_graft(graft, options, folder, batch, tokens):
    asked = os.path.join(folder, "prompts.jsonl")
    with open(asked, "w") as file:
        file.writelines(json.dumps({"ids": ids}) + "\n" for ids in prompts(batch))
    began = time.perf_counter()
    subprocess.run([graft, "generate", "--model", folder, "--input", asked, "--max-new-tokens", str(tokens), "--ignore-eos", "--quiet",
                    "--threads", str(options.threads)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def seconds_of_transformers(model, batch, tokens):
    import torch

    ids = torch.tensor(prompts(batch))
    began = time.perf_counter()
    with torch.no_grad():
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0)
    return time.perf_counter() - began


def measure(options, contenders, weights, batch):
    """For each contender a list of (tokens per second, share of the limit), an entry per round; and the bandwidths met."""
    found, met = [[] for _ in contenders], []
    for _ in range(options.rounds):
        for seconds, results in zip(contenders, found):
            before = read_bandwidth(options)
            rate = batch * (LONG - SHORT) / max(1e-9, seconds(batch, LONG) - seconds(batch, SHORT))
            met += [before, read_bandwidth(options)]
            results.append((rate, rate * weights / batch / statistics.mean(met[-2:])))
    return found, met


def spread(values, form):
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def score_seconds(options, folder):
    record = os.path.join(folder, "one.jsonl")
    with open(record, "w") as file:
        file.write(json.dumps({"ids": prompts(1)[0]}) + "\n")
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([options.graft[0], "score", "--model", folder, "--input", record, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - began)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", nargs="+", default=["build/graft"])
    parser.add_argument("--shape", default="smollm_135m", choices=peft_cpu_baseline.SHAPES)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], help="of the files")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--without-transformers", action="store_true")
    options = parser.parse_args()
    options.dtype = "float32"
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(options.threads)
    print(f"{options.shape}, {options.threads} threads, {options.rounds} rounds\n")
    print("| file | batch | read GB/s | limit, tokens/s | | tokens/s | share of the limit |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as parent:
        for dtype in options.dtypes:
            folder = os.path.join(parent, dtype)
            weights = write_model(folder, options, dtype)
            contenders = {graft: functools.partial(seconds_of_graft, graft, options, folder) for graft in options.graft}
            if not options.without_transformers:
                model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
                contenders["transformers"] = functools.partial(seconds_of_transformers, model)
            for batch in options.batches:
                found, met = measure(options, contenders.values(), weights, batch)
                bandwidth = spread([rate / 1e9 for rate in met], ".1f")
                for name, results in zip(contenders, found):
                    rates, shares = zip(*results)
                    print(f"| {dtype} | {batch} | {bandwidth} | {batch * statistics.median(met) / weights:.1f} | {name} | {spread(rates, '.1f')} | {spread(shares, '.0%')} |",
                          flush=True)
        folder = os.path.join(parent, options.dtypes[0])
        print(f"\ngraft score of one sentence, {options.dtypes[0]} file: {score_seconds(options, folder):.3f} s")


if __name__ == "__main__":
    main()
