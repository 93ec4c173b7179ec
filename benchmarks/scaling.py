#!/usr/bin/env python3
"""How training time grows: one random Llama, steps of the same number of tokens cut into sequences of 64 to 4,096, on 1 and on 2 threads.

Work per token is the same but for attention, which grows with the length of a sequence, so the table gives both: real tokens per second, and GFLOP/s over
whole steps as `graft train --profile` counts them (products of linear layers, head and attention). Linear arithmetic should cost linear time: GFLOP/s
should not fall with the length, and should double with the threads. The first step is not counted among the tokens per second.

    PYTHON benchmarks/scaling.py [--graft build/graft] [--shape smollm_135m] [--lengths 64 256 1024 4096] [--threads 1 2] [--tokens 4096] [--steps 2]

PYTHON is one with torch and transformers (run_scripts/setup_reference.sh makes it), which write the model. Keep the machine otherwise idle.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import train_cpu  # noqa: E402

CONFIGURATION = """\
model: {{path: model, dtype: {dtype}}}
adapter: {{peft_type: LORA, r: 16, lora_alpha: 32, target_modules: all-linear}}
data: {{train: [{{path: tokens.jsonl, format: tokens}}], max_length: 4096, over_length: error}}
training: {{output_dir: run, shuffle: false, max_steps: {steps}, batch_size: {batch}, micro_batch_tokens: {tokens}, learning_rate: 1.0e-4,
  lr_scheduler_type: constant, logging_steps: 1}}
"""


def measure(options, folder, length, threads):
    """(tokens per second behind the first step, GFLOP/s of all steps)."""
    draw = random.Random(length)
    count = options.tokens // length
    with open(os.path.join(folder, "model", "config.json")) as file:
        vocab = json.load(file)["vocab_size"]
    with open(os.path.join(folder, "tokens.jsonl"), "w") as file:
        for _ in range(count * (options.steps + 1)):
            file.write(json.dumps({"ids": [draw.randrange(vocab) for _ in range(length)]}) + "\n")
    with open(os.path.join(folder, "run.yaml"), "w") as file:
        file.write(CONFIGURATION.format(dtype=options.dtype, steps=options.steps + 1, batch=count, tokens=options.tokens))
    said, _, _ = train_cpu.run([options.graft, "train", os.path.join(folder, "run.yaml"), "--threads", str(threads), "--profile", "--force"])
    with open(os.path.join(folder, "run", "metrics.jsonl")) as file:
        rates = [row["tokens_per_second"] for row in map(json.loads, file) if "loss" in row][1:]
    whole = re.search(r"^all +\S+ +(\S+) +\S+ +(\S+)", said, re.MULTILINE)
    return len(rates) / sum(1 / r for r in rates), float(whole[2]) / float(whole[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", default=os.path.join(HERE, "..", "build", "graft"))
    parser.add_argument("--shape", default="smollm_135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 256, 1024, 4096])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tokens", type=int, default=4096, help="of a step")
    parser.add_argument("--steps", type=int, default=2, help="counted, behind a first one")
    options = parser.parse_args()
    options.graft = os.path.abspath(options.graft)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, train_cpu.BASELINE, "--shape", options.shape, "--steps", "1", "--max-length", "64", "--write", folder], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(f"{options.shape}, {options.dtype}, LoRA r16 on all linear layers, every token trained, {options.tokens} tokens a step; {train_cpu.processor()}\n")
        print("| tokens a sequence |" + "".join(f" {t} thread{'s' * (t > 1)}: tokens/s | GFLOP/s |" for t in options.threads) + " speed-up |")
        print("|---|" + "---|---|" * len(options.threads) + "---|")
        for length in options.lengths:
            rows = [measure(options, folder, length, threads) for threads in options.threads]
            cells = "".join(f" {rate:.1f} | {flops:.1f} |" for rate, flops in rows)
            print(f"| {length} |{cells} {rows[-1][1] / rows[0][1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
