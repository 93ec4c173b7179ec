#!/usr/bin/env python3
"""LoRA training on this CPU, graft beside PyTorch + PEFT: same model, same tokens, same labels, same threads, one run.

Both train LoRA r16 on every linear layer of a random Llama over random tokens of Dolly's lengths. Prints a Markdown
table: real tokens per second (padding does not count; the first step is not timed), peak resident memory, seconds from
the start of the program to the end of its first step; and the first losses, which must agree. Takes every option of
peft_cpu_baseline.py and those below; run it through train_cpu.sh, which finds the programs.

    train_cpu.py --graft PROGRAM --python PROGRAM [--repeat N] [--method NAME ..] [options of peft_cpu_baseline.py]

With --method: graft's other adapters beside graft's own LoRA instead, on the same model and batches; PEFT does not run.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import peft_cpu_baseline  # noqa: E402  (its options; torch is imported only when it trains)

BASELINE = os.path.join(HERE, "peft_cpu_baseline.py")
METHODS = {  # the adapter's section; an encoder is as wide as the model, PEFT's default
    "lora": "peft_type: LORA, r: 16, lora_alpha: 32, target_modules: all-linear",
    "prefix": "peft_type: PREFIX_TUNING, num_virtual_tokens: 20",
    "prefix_projection": "peft_type: PREFIX_TUNING, num_virtual_tokens: 20, prefix_projection: true",
    "prompt": "peft_type: PROMPT_TUNING, num_virtual_tokens: 20",
    "p_mlp": "peft_type: P_TUNING, num_virtual_tokens: 20, encoder_reparameterization_type: MLP",
    "p_lstm": "peft_type: P_TUNING, num_virtual_tokens: 20, encoder_reparameterization_type: LSTM",
}


def run(command, first_line_of=None):
    """Runs a program: (its stdout, what it used, seconds until the file first_line_of had a line)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began, first = time.time(), None
        child = subprocess.Popen(command, stdout=out, stderr=errors)
        while True:
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            if first_line_of and first is None and os.path.exists(first_line_of) and os.path.getsize(first_line_of):
                first = time.time() - began
            if ended:
                break
            time.sleep(0.005)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if child.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit {child.returncode}\n{errors.read().decode()}")
        return out.read().decode(), usage, first


def configuration(folder, options, method):
    """graft's YAML for the work in folder; torch's AdamW decays by 0.01 unless told otherwise."""
    return f"""\
model: {{path: model, dtype: {options.dtype}}}
adapter: {{{METHODS[method]}}}
data:
  train: [{{path: batches.jsonl, format: tokens}}]
  max_length: {options.max_length}
  over_length: error
training:
  output_dir: {json.dumps(os.path.join(folder, "run"))}
  shuffle: false
  max_steps: {options.steps + 1}
  batch_size: {options.batch}
  learning_rate: 1.0e-4
  lr_scheduler_type: constant
  weight_decay: 0.01
  max_grad_norm: 0
  logging_steps: 1
"""


def train_with_graft(program, folder, options, method="lora"):
    """The baseline's fields, measured on graft."""
    with open(os.path.join(folder, "batches.jsonl")) as file:
        lengths = [len(json.loads(line)["ids"]) for line in file]
    tokens = [sum(lengths[i:i + options.batch]) for i in range(0, len(lengths), options.batch)]
    with open(os.path.join(folder, "run.yaml"), "w") as file:
        file.write(configuration(folder, options, method))
    metrics = os.path.join(folder, "run", "metrics.jsonl")
    _, used, first = run([program, "train", os.path.join(folder, "run.yaml"), "--device", "cpu", "--threads", str(options.threads), "--force"], metrics)
    with open(metrics) as file:
        rows = [row for row in map(json.loads, file) if "loss" in row]
    os.remove(metrics)
    counted = list(zip(tokens, rows, strict=True))[1:]
    return {"tokens_per_second": sum(n for n, _ in counted) / sum(n / row["tokens_per_second"] for n, row in counted),
            "peak_mib": used.ru_maxrss / 1024, "cpu_seconds": used.ru_utime + used.ru_stime, "first_step_seconds": first, "losses": [row["loss"] for row in rows],
            "versions": run([program, "--version"])[0].strip()}


def processor():
    """The processor's name as lscpu prints it, with the instructions that matter to matrix products."""
    said = subprocess.run(["lscpu"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    flags = fields.get("Flags", "").split()
    named = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve") if f in flags]
    return f"{fields.get('Model name', platform.machine()).strip()} ({', '.join(named)})"


def middle(runs, field):
    return statistics.median(r[field] for r in runs)


def heading(options, runs, adapter):
    """What was trained, where and when."""
    shape = f"{options.shape}, {options.dtype}, {options.steps} steps of {options.batch} sequences"
    lengths = f"all of {options.max_length} tokens" if options.full_length else f"Dolly's lengths up to {options.max_length} tokens"
    print(f"{shape}; {lengths}, {options.trained_share:.0%} of each trained; {adapter}\n")
    print(f"{processor()}, {options.threads} threads; {platform.system()} {platform.release()}; {time.strftime('%Y-%m-%d')}; middle of {runs}\n")


def report(options, graft, peft):
    """The table; each side is a list of runs, and the middle one counts."""
    heading(options, len(graft), "LoRA r16 on all linear layers")
    print(f"graft: {graft[0]['versions']}; baseline: {peft[0]['versions']}\n")
    print("| | graft | PyTorch + PEFT | ratio |\n|---|---|---|---|")
    rows = (("real tokens/s", "tokens_per_second", 1), ("peak resident MiB", "peak_mib", 0),
            ("seconds to the end of the first step", "first_step_seconds", 2))
    for title, field, digits in rows:
        ours, theirs = middle(graft, field), middle(peft, field)
        print(f"| {title} | {ours:.{digits}f} | {theirs:.{digits}f} | {ours / theirs:.2f} |")
    print(f"| first loss | {graft[0]['losses'][0]:.4f} | {peft[0]['losses'][0]:.4f} | |")
    print(f"\nThe baseline computes {middle(peft, 'padded_tokens_per_second'):.1f} tokens/s with padding, {middle(peft, 'padding'):.0%} of them padding.")


def compare_methods(options, program, folder, methods, repeat):
    """A row per method, LoRA's first; the methods take turns. On a machine that others use, one thread's CPU seconds say more than the clock."""
    runs = {method: [] for method in ["lora", *methods]}
    for _ in range(repeat):
        for method in runs:
            runs[method].append(train_with_graft(program, folder, options, method))
    heading(options, repeat, "adapters of graft, LoRA r16 on all linear layers")
    print(f"{runs['lora'][0]['versions']}; CPU seconds are those of the whole run, loading included\n")
    print("| method | real tokens/s | a step's time, LoRA's = 1 | CPU s | LoRA's = 1 | peak resident MiB |\n|---|---|---|---|---|---|")
    rate, seconds = middle(runs["lora"], "tokens_per_second"), middle(runs["lora"], "cpu_seconds")
    for method, of_method in runs.items():
        own_rate, own_seconds, peak = (middle(of_method, field) for field in ("tokens_per_second", "cpu_seconds", "peak_mib"))
        print(f"| {method} | {own_rate:.1f} | {rate / own_rate:.2f} | {own_seconds:.1f} | {own_seconds / seconds:.2f} | {peak:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", required=True)
    parser.add_argument("--python", required=True, help="with torch, transformers and peft")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each side, taking turns; the median counts")
    parser.add_argument("--method", action="append", choices=METHODS, help="may be repeated")
    mine, others = parser.parse_known_args()
    options = peft_cpu_baseline.options_of(others)
    graft, peft = [], []
    with tempfile.TemporaryDirectory() as folder:
        run([mine.python, BASELINE, *others, "--write", folder])
        if mine.method:
            return compare_methods(options, os.path.abspath(mine.graft), folder, mine.method, mine.repeat)
        for _ in range(mine.repeat):
            peft.append(json.loads(run([mine.python, BASELINE, *others])[0].splitlines()[-1]))
            graft.append(train_with_graft(os.path.abspath(mine.graft), folder, options))
    report(options, graft, peft)
    ours, theirs = graft[0]["losses"][0], peft[0]["losses"][0]
    if not abs(ours - theirs) <= (1e-3 if options.dtype == "float32" else 1e-2) * theirs:
        sys.exit(f"the first losses differ ({ours} and {theirs}): the two did not do the same work")


if __name__ == "__main__":
    main()
