#!/usr/bin/env python3
"""Holds graft against the recorded references: logits, log-probabilities, and a training run from the same start.

For every folder in records/ (made by make.py, which says what is in it) this runs `graft score` with and without the
adapter, and `graft train` from the recorded adapter over the recorded batch; then it compares what graft wrote with
what transformers and PEFT computed. Only the standard library is used. Prints the worst error per case and kind, and
exits with 1 if any is over its tolerance.

    compare.py GRAFT [--records FOLDER] [--only CASE ..] [--device cpu|cuda] [--dtype float32|bfloat16] [--jobs N]
"""
import argparse
import array
import concurrent.futures
import json
import math
import os
import subprocess
import sys
import tempfile
import typing

HERE = os.path.dirname(os.path.abspath(__file__))

# A tensor's error is relative to its largest recorded value, a number's to itself. "gradient" is for tests that see gradients.
TOLERANCE = {"logits": 2e-5, "logprobs": 2e-5, "losses": 5e-5, "grad_norms": 1e-4, "gradient": 2e-4, "final": 2e-4}
# In bfloat16 an activation is rounded to 8 bits at every step through the model: twice the worst that AVX512-BF16 gave over all records, against the same numbers.
TOLERANCES = {"float32": TOLERANCE, "bfloat16": {"logits": 0.25, "logprobs": 0.06, "losses": 0.03, "grad_norms": 0.8, "final": 0.5}}
SHOWN = ("logits", "adapter_logits", "logprobs", "adapter_logprobs", "losses", "grad_norms", "final")


def read_safetensors(path):
    """{name: (shape, values)} of a file of F32 or BF16 tensors; the layout is 8 bytes of header length, JSON, data."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, row in header.items():
        begin, end = row["data_offsets"]
        stored = data[begin:end]
        if row["dtype"] == "BF16":  # the upper half of a float
            wide = bytearray(2 * len(stored))
            wide[2::4], wide[3::4] = stored[0::2], stored[1::2]
            stored = bytes(wide)
        elif row["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {row['dtype']}, F32 or BF16 is expected")
        values = array.array("f", stored)
        if sys.byteorder == "big":
            values.byteswap()
        if len(values) != math.prod(row["shape"]):
            raise ValueError(f"{path}: {name} has {len(values)} values for shape {row['shape']}")
        tensors[name] = (row["shape"], values)
    return tensors


def read_lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def tensor_error(values, expected):
    """Largest difference, relative to the largest expected value; infinite if anything is not finite."""
    scale = max((abs(e) for e in expected), default=0.0) or 1.0
    differences = [abs(v - e) for v, e in zip(values, expected, strict=True)]
    return max(differences, default=0.0) / scale if all(map(math.isfinite, differences)) else math.inf


def number_error(values, expected):
    """Largest difference of a number, relative to what it should be."""
    differences = [abs(v - e) / (abs(e) or 1.0) for v, e in zip(values, expected, strict=True)]
    return max(differences, default=0.0) if all(map(math.isfinite, differences)) else math.inf


def compare_tensors(written, expected):
    """The worst error over all tensors; names and shapes must be the same."""
    if set(written) != set(expected):
        raise ValueError(f"tensors missing: {sorted(set(expected) - set(written))}, unexpected: {sorted(set(written) - set(expected))}")
    for name, (shape, _) in expected.items():
        if written[name][0] != shape:
            raise ValueError(f"{name} has shape {written[name][0]}, {shape} is expected")
    return max(tensor_error(written[name][1], values) for name, (_, values) in expected.items())


class Graft(typing.NamedTuple):
    """The program, where it computes and in what."""
    program: str
    device: str = "cpu"
    dtype: str = "float32"

    def run(self, command, *arguments):
        done = subprocess.run([self.program, command, *arguments, "--device", self.device], capture_output=True, text=True)
        if done.returncode != 0:
            raise ValueError(f"{command} {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")

    def score(self, case, *arguments):
        self.run("score", "--model", case.path("model"), "--dtype", self.dtype, "--input", case.path("score.jsonl"), *arguments)


def score(graft, case, folder, what, options):
    """Errors of logits and log-probabilities; `what` is "" or "adapter_"."""
    lines, logits = os.path.join(folder, f"{what}score.jsonl"), os.path.join(folder, f"{what}logits.safetensors")
    graft.score(case, *options, "--output", lines, "--logits", logits)
    rows = read_lines(lines)
    lengths = [len(row["ids"]) for row in read_lines(case.path("score.jsonl"))]
    if [row["tokens"] for row in rows] != [n - 1 for n in lengths]:
        raise ValueError(f"score: counts of tokens {[row['tokens'] for row in rows]} for sequences of {lengths}")
    return {f"{what}logits": compare_tensors(read_safetensors(logits), case.tensors(f"{what}logits.", "logits.")),
            f"{what}logprobs": number_error([row["logprob"] for row in rows], case.numbers[f"{what}logprobs"])}


def configuration(case, output, dtype):
    """The run's YAML. Quoted as JSON, which YAML contains. The batch does not fit one micro-batch, so accumulation is compared too."""
    quote, settings = json.dumps, case.numbers["settings"]
    return f"""\
model: {{path: {quote(case.path("model"))}, dtype: {dtype}}}
adapter: {quote(case.numbers.get("section") or {"init_from": case.path("adapter")})}
data:
  train: [{{path: {quote(case.path("train.jsonl"))}, format: tokens}}]
  max_length: 64
  over_length: error
training:
  output_dir: {quote(output)}
  seed: 0
  shuffle: false
  max_steps: {settings["max_steps"]}
  batch_size: {len(read_lines(case.path("train.jsonl")))}
  micro_batch_tokens: 24
  learning_rate: {settings["learning_rate"]:.10f}
  lr_scheduler_type: constant
  weight_decay: {settings["weight_decay"]:.10f}
  max_grad_norm: {settings["max_grad_norm"]:.10f}
  logging_steps: 1
""" + "".join(f"  {key}: {value:.10f}\n" for key, value in settings.items() if key.startswith("loraplus_"))


def train(graft, case, folder):
    """Errors of losses and gradient norms at every step, and of the final adapter."""
    output, config = os.path.join(folder, "run"), os.path.join(folder, "run.yaml")
    with open(config, "w") as file:
        file.write(configuration(case, output, graft.dtype))
    graft.run("train", config)
    steps = [row for row in read_lines(os.path.join(output, "metrics.jsonl")) if "loss" in row]
    if [row["step"] for row in steps] != list(range(1, case.numbers["settings"]["max_steps"] + 1)):
        raise ValueError(f"train: metrics for steps {[row['step'] for row in steps]}")
    return {"losses": number_error([row["loss"] for row in steps], case.numbers["losses"]),
            "grad_norms": number_error([row["grad_norm"] for row in steps], case.numbers["grad_norms"]),
            "final": compare_tensors((what_training_adds if "section" in case.numbers else trained_tensors)(graft, case, output), case.tensors("final.", ""))}


def trained_tensors(graft, case, folder):
    """Of the adapter, and of its encoder where it has one."""
    trainable = os.path.join(folder, "adapter_trainable.safetensors")
    return read_safetensors(os.path.join(folder, "adapter_model.safetensors")) | (read_safetensors(trainable) if os.path.exists(trainable) else {})


def what_training_adds(graft, case, folder):
    """{MODULE.update: scale times B A} of the saved LoRA, and the logits with it over the base model."""
    logits = os.path.join(folder, "logits.safetensors")
    graft.score(case, "--adapter", folder, "--output", os.path.join(folder, "score.jsonl"), "--logits", logits)
    tensors, written = read_safetensors(os.path.join(folder, "adapter_model.safetensors")), read_safetensors(logits)
    with open(os.path.join(folder, "adapter_config.json")) as file:
        config = json.load(file)
    scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
    for key, ((rank, width), a) in tensors.items():
        if not key.endswith(".lora_A.weight"):
            continue
        (height, _), b = tensors[key.replace(".lora_A.", ".lora_B.")]
        update = [scale * sum(b[r * rank + k] * a[k * width + c] for k in range(rank)) for r in range(height) for c in range(width)]
        written[key.removeprefix("base_model.model.").replace(".lora_A.weight", ".update")] = ([height, width], update)
    return written


class Case:
    """One folder of records; model and data may be those of the case that its name begins with, up to the dot."""

    def __init__(self, folder):
        self.folder, self.base = folder, folder.removesuffix(os.path.basename(folder)) + os.path.basename(folder).split(".")[0]
        self.recorded = read_safetensors(self.path("expected.safetensors"))
        with open(self.path("expected.json")) as file:
            self.numbers = json.load(file)

    def path(self, name):
        own = os.path.join(self.folder, name)
        return own if os.path.exists(own) else os.path.join(self.base, name)

    def tensors(self, prefix, renamed):
        return {renamed + name.removeprefix(prefix): value for name, value in self.recorded.items() if name.startswith(prefix)}


def compare_case(graft, folder):
    """Errors by kind; ValueError, OSError or KeyError if graft refuses or writes something else."""
    case = Case(folder)
    with tempfile.TemporaryDirectory() as scratch:
        errors = score(graft, case, scratch, "", []) if "logprobs" in case.numbers else {}
        if "adapter_logprobs" in case.numbers:
            errors |= score(graft, case, scratch, "adapter_", ["--adapter", case.path("adapter")])
        return errors | train(graft, case, scratch)


def shown_case(graft, folder):
    """What is printed of a case, and whether it missed."""
    name = os.path.basename(folder)
    try:
        errors = compare_case(graft, folder)
    except (ValueError, OSError, KeyError) as refusal:
        return f"{name:34}  FAILED: {refusal!r}" if isinstance(refusal, KeyError) else f"{name:34}  FAILED: {refusal}", True
    misses = {kind for kind, error in errors.items() if not error <= TOLERANCES[graft.dtype].get(kind.removeprefix("adapter_"), math.inf)}
    shown = [f"{errors[kind]:17.1e}{'!' if kind in misses else ' '}" if kind in errors else " " * 18 for kind in SHOWN]
    return f"{name:34}" + "".join(shown), bool(misses)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("graft", help="the program")
    arguments.add_argument("--records", default=os.path.join(HERE, "records"))
    arguments.add_argument("--only", metavar="CASE", nargs="+")
    arguments.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments.add_argument("--dtype", default="float32", choices=TOLERANCES)
    arguments.add_argument("--jobs", type=int, default=1, help="cases at once")
    options = arguments.parse_args()
    records, graft = os.path.abspath(options.records), Graft(os.path.abspath(options.graft), options.device, options.dtype)
    names = options.only or sorted(os.listdir(records))
    if not names:
        sys.exit(f"{records}: no records")
    missed = 0
    print(f"{'worst error':34}" + "".join(f"{kind:>18}" for kind in SHOWN))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for line, is_miss in pool.map(lambda name: shown_case(graft, os.path.join(records, name)), names):
            print(line, flush=True)
            missed += is_miss
    tolerance = {kind: TOLERANCES[graft.dtype].get(kind.removeprefix("adapter_")) for kind in SHOWN}
    print(f"{'tolerance':34}" + "".join(f"{tolerance[kind]:17.1e} " if tolerance[kind] else f"{'none':>17} " for kind in SHOWN))
    print(f"{len(names)} cases, {missed} over tolerance or failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
