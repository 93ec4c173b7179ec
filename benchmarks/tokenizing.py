#!/usr/bin/env python3
"""Tokenizing on this CPU: graft tokenize beside the Python package tokenizers (encode_batch with all threads), both from lines of JSON.

Each tokenizer takes turns with the other program in every round; the rate is megabytes of UTF-8 text a second. graft's seconds are those of the whole command, which reads lines
of {"text"} and writes ids and tokens; those of the package are encode_batch alone, all texts in one list. Prints a Markdown table of medians.

    PYTHON benchmarks/tokenizing.py --data RECORDS.jsonl --tokenizer TOKENIZER.json [TOKENIZER.json ...] [--graft build/graft] [--copies 10] [--rounds 3]

PYTHON is one with tokenizers (run_scripts/setup_reference.sh makes it). Every text member of a record is part of its text. Keep the machine otherwise idle.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time


def seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main():
    import tokenizers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--tokenizer", required=True, nargs="+")
    parser.add_argument("--graft", default="build/graft")
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with open(options.data, encoding="utf-8") as file:
        texts = ["\n\n".join(v for v in json.loads(line).values() if isinstance(v, str)) for line in file if line.strip()] * options.copies
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} texts, {megabytes:.1f} MB, {len(os.sched_getaffinity(0))} cores, tokenizers {tokenizers.__version__}\n")
    print("| tokenizer | graft MB/s | tokenizers MB/s | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        asked = os.path.join(folder, "texts.jsonl")
        with open(asked, "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
        for path in options.tokenizer:
            package = tokenizers.Tokenizer.from_file(path)
            command = [options.graft, "tokenize", "--model", path, "--input", asked, "--output", os.path.join(folder, "ids.jsonl"), "--force"]
            rounds = [(seconds(lambda: subprocess.run(command, check=True)), seconds(lambda: package.encode_batch(texts))) for _ in range(options.rounds)]
            ours, theirs = (megabytes / statistics.median(side) for side in zip(*rounds))
            print(f"| {os.path.basename(os.path.dirname(path))} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
