#!/usr/bin/env python3
"""LoRA training and decoding on a GPU: graft beside what the GPU allows, and beside PyTorch + PEFT where they are installed.

Models are random, in the shapes of published ones; they are written here in seconds, with Python's standard library alone. Training: bfloat16, LoRA r16 on every
linear layer, packed rows of random tokens, all of them trained; the first step is not counted. The limit is the rate of a large bfloat16 product, measured by
`graft doctor` just before, over the operations a token takes: 4 for each weight of a product (forward, and backward to the input), 6 where blocks are computed
again; attention is not counted. Decoding: one sequence, greedy; the limit is the rate at which the memory moves bytes over the bytes of the weights.
Peak memory is what the driver reports as used while the program runs, less what was used before (on a CPU: the most that the process had resident).

    train_gpu.py --graft PROGRAM [--case NAME ..] [--device cuda|cpu] [--python PROGRAM]

--python: one with torch, transformers and peft, for the comparison. With --device cpu only the case `tiny` makes sense. Keep the machine otherwise idle.
"""
import argparse
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(HERE, "..", "examples", "base")
LARGEST_MODEL = 20e9  # bytes, with some to spare
BLOCK = (32 << 20) + 37  # values; no row of a model repeats in a whole number of them
SHAPES = {  # hidden, layers, heads, kv_heads, intermediate, vocab, tied
    "llama_1b": (2048, 16, 32, 8, 8192, 128256, True),
    "llama2_7b": (4096, 32, 32, 32, 11008, 32000, False),
    "llama3_8b": (4096, 32, 32, 8, 14336, 128256, False),
    "tiny": (64, 2, 4, 2, 176, 1024, False),
}
CASES = {  # shape, what is measured, tokens of a row, rows at once, times a step, counted steps, recompute; decode: tokens of the short and the long answer
    "llama_1b": ("llama_1b", "train", 2048, 2, 4, 5, "never"),
    "decode_7b": ("llama2_7b", "decode", 16, 144),
    "memory_7b": ("llama2_7b", "train", 512, 1, 1, 3, "auto"),
    "llama2_7b": ("llama2_7b", "train", 2048, 2, 4, 3, "never"),
    "llama3_8b": ("llama3_8b", "train", 2048, 2, 4, 3, "never"),
    "tiny": ("tiny", "train", 32, 2, 2, 2, "never"),
    "tiny_decode": ("tiny", "decode", 2, 202),
}


def tensors_of(shape):
    """(name, dimensions) of every tensor, in the order of the file."""
    hidden, layers, heads, kv_heads, intermediate, vocab, tied = SHAPES[shape]
    kv = hidden // heads * kv_heads
    yield "model.embed_tokens.weight", [vocab, hidden]
    for i in range(layers):
        at = f"model.layers.{i}."
        for name, rows, cols in (("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", kv, hidden), ("self_attn.v_proj", kv, hidden),
                                 ("self_attn.o_proj", hidden, hidden), ("mlp.gate_proj", intermediate, hidden), ("mlp.up_proj", intermediate, hidden),
                                 ("mlp.down_proj", hidden, intermediate)):
            yield f"{at}{name}.weight", [rows, cols]
        yield f"{at}input_layernorm.weight", [hidden]
        yield f"{at}post_attention_layernorm.weight", [hidden]
    yield "model.norm.weight", [hidden]
    if not tied:
        yield "lm_head.weight", [vocab, hidden]


def product_weights(shape):
    """Values of the matrices that a token is multiplied with: all but an embedding that is no head."""
    tied = SHAPES[shape][6]
    return sum(math.prod(size) for name, size in tensors_of(shape) if len(size) == 2 and (tied or "embed" not in name))


def random_block(values):
    """So many bfloat16 values of both signs, 2^-7 to 2^-5 large, as bytes."""
    draw, out = random.Random(1), bytearray(2 * values)
    out[0::2] = draw.randbytes(values)  # lowest bit of the exponent, and the fraction
    out[1::2] = draw.randbytes(values).translate(bytes(0x3C if i % 2 else 0xBC for i in range(256)))
    return memoryview(bytes(out))


def write_model(folder, shape):
    """config.json, weights and a tokenizer. Matrices go through one random block again and again, norms are 1. Returns the bytes of the weights."""
    hidden, layers, heads, kv_heads, intermediate, vocab, tied = SHAPES[shape]
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": vocab, "hidden_size": hidden, "num_hidden_layers": layers,
                   "intermediate_size": intermediate, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "max_position_embeddings": 4096,
                   "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": tied, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}, file)
    write_tokenizer(folder, vocab)
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, size in tensors_of(shape):
        header[name] = {"dtype": "BF16", "shape": size, "data_offsets": [end, end + 2 * math.prod(size)]}
        end += 2 * math.prod(size)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block, at = random_block(min(BLOCK, end // 2)), 0
    with open(os.path.join(folder, "model.safetensors"), "wb", buffering=0) as file:
        write_all(file, len(text).to_bytes(8, "little") + text)
        for _, size in tensors_of(shape):
            left = 2 * math.prod(size)
            if len(size) == 1:
                write_all(file, b"\x80\x3f" * size[0])
                continue
            while left:
                piece = block[at:at + left]
                write_all(file, piece)
                left, at = left - len(piece), (at + len(piece)) % len(block)
    return end


def write_all(file, piece):
    piece = memoryview(piece)
    while piece:
        piece = piece[file.write(piece):]


def write_tokenizer(folder, vocab):
    """The example's, grown to the vocabulary."""
    shutil.copy(os.path.join(EXAMPLE, "tokenizer_config.json"), folder)
    with open(os.path.join(EXAMPLE, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary.update({f"piece {i}": i for i in range(len(vocabulary), vocab)})
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)


def ceilings(graft, device):
    """Of `graft doctor`, for a device: FLOP/s of a product, bytes/s of the memory, and all it said."""
    return ceilings_told(subprocess.run([graft, "doctor", "--device", device], check=True, stdout=subprocess.PIPE, text=True).stdout, device)


def ceilings_told(said, device):
    number = lambda pattern: float(re.search(pattern, said, re.MULTILINE)[1])
    if device == "cuda":
        return number(r"^GPU bfloat16 +([0-9.]+) TFLOP/s") * 1e12, number(r"copied within at ([0-9]+) GB/s") * 1e9, said
    return number(r"^float32 +([0-9]+) GFLOP/s") * 1e9, number(r"^read +([0-9.]+) GB/s") * 1e9, said


class Watched:
    """Runs a command and knows its most memory: by the driver's figures on a GPU, the process's own on a CPU. Bytes; None where nobody can say."""

    def __init__(self, device):
        self.on_gpu = device == "cuda"
        self.query = shutil.which("nvidia-smi") if self.on_gpu else None

    def used(self):
        said = subprocess.run([self.query, "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"], stdout=subprocess.PIPE, text=True).stdout
        return int(said.split()[0]) << 20 if said.split() and said.split()[0].isdigit() else 0

    def run(self, command, limit):
        """(stdout, peak). SystemExit-free: raises RuntimeError with what it said, or TimeoutExpired."""
        before, peaks, done = self.used() if self.query else 0, [0], threading.Event()

        def watch():
            while not done.wait(0.05):
                peaks.append(self.used())

        watcher = threading.Thread(target=watch, daemon=True)
        if self.query:
            watcher.start()
        try:
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
                child = subprocess.Popen(command, stdout=out, stderr=errors)
                usage = wait(child, command, limit)
                out.seek(0)
                errors.seek(0)
                if child.returncode != 0:
                    raise RuntimeError(f"{' '.join(command[:3])}: exit {child.returncode}: {errors.read().decode(errors='replace')[-600:].strip()}")
                said = out.read().decode()
        finally:
            done.set()
            if self.query:
                watcher.join()
        if self.query:
            return said, max(peaks) - before
        return said, None if self.on_gpu else usage.ru_maxrss * 1024


def wait(child, command, limit):
    """What the child used; it is ended at its limit."""
    ends = time.monotonic() + limit
    while True:
        ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        if ended:
            child.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.monotonic() > ends:
            child.kill()
            child.wait()
            raise subprocess.TimeoutExpired(command, limit)
        time.sleep(0.01)


def write_batches(path, vocab, length, sequences):
    draw = random.Random(2)
    with open(path, "w") as file:
        for _ in range(sequences):
            file.write(json.dumps({"ids": [draw.randrange(3, vocab) for _ in range(length)]}) + "\n")


def configuration(folder, length, rows, accumulation, steps, recompute):
    return f"""\
model: {{path: model, dtype: bfloat16}}
adapter: {{peft_type: LORA, r: 16, lora_alpha: 32, target_modules: all-linear}}
data: {{train: [{{path: batches.jsonl, format: tokens}}], max_length: {length}, over_length: error}}
training: {{output_dir: {json.dumps(os.path.join(folder, "run"))}, shuffle: false, max_steps: {steps + 1}, batch_size: {rows * accumulation},
  micro_batch_tokens: {rows * length}, recompute: {recompute}, learning_rate: 1.0e-4, lr_scheduler_type: constant, weight_decay: 0.01, logging_steps: 1}}
"""


def measure_training(graft, python, device, folder, case, flops, limit):
    """Figures of one case; `limit` in seconds."""
    shape, _, length, rows, accumulation, steps, recompute = CASES[case]
    ends = time.monotonic() + limit
    write_batches(os.path.join(folder, "batches.jsonl"), SHAPES[shape][5], length, rows * accumulation * (steps + 1))
    with open(os.path.join(folder, "run.yaml"), "w") as file:
        file.write(configuration(folder, length, rows, accumulation, steps, recompute))
    _, peak = Watched(device).run([graft, "train", os.path.join(folder, "run.yaml"), "--device", device, "--quiet", "--force"], limit)
    with open(os.path.join(folder, "run", "metrics.jsonl")) as file:
        metrics = [row for row in map(json.loads, file) if "loss" in row]
    counted = [row["tokens_per_second"] for row in metrics[1:]]
    rate, weights = len(counted) / sum(1 / r for r in counted), product_weights(shape)
    figures = {"tokens_per_second": rate, "limit_tokens_per_second": flops / (4 * weights), "limit_recomputing": flops / (6 * weights), "recompute": recompute,
               "share_of_limit": rate * 4 * weights / flops, "peak_bytes": peak, "first_loss": metrics[0]["loss"]}
    if python:
        figures["peft"] = peft_figures(python, device, folder, rows, accumulation, recompute, ends - time.monotonic())
    return figures


def peft_figures(python, device, folder, rows, accumulation, recompute, limit):
    """The baseline's figures, or {"failed": why}: graft's stand without it."""
    command = [python, os.path.join(HERE, "peft_gpu_baseline.py"), "--model", os.path.join(folder, "model"), "--batches", os.path.join(folder, "batches.jsonl"),
               "--rows", str(rows), "--accumulation", str(accumulation), "--device", device] + (["--recompute"] if recompute == "always" else [])
    try:
        said, peak = Watched(device).run(command, max(1, limit))
    except (RuntimeError, subprocess.TimeoutExpired) as failure:
        return {"failed": str(failure)[-300:]}
    figures = json.loads(said.splitlines()[-1])
    return figures | {"first_loss": figures.pop("losses")[0], "peak_bytes": peak}


def measure_decoding(graft, device, folder, case, bandwidth, weights, limit):
    shape, _, short, long = CASES[case]
    prompt, seconds, ends = os.path.join(folder, "prompt.jsonl"), {}, time.monotonic() + limit
    with open(prompt, "w") as file:
        file.write(json.dumps({"ids": [3 + 7 * i % 900 for i in range(16)]}) + "\n")
    for tokens in (short, long):
        began = time.perf_counter()
        _, peak = Watched(device).run([graft, "generate", "--model", os.path.join(folder, "model"), "--input", prompt, "--max-new-tokens", str(tokens), "--dtype",
                                       "bfloat16", "--ignore-eos", "--device", device, "--quiet"], max(1, ends - time.monotonic()))
        seconds[tokens] = time.perf_counter() - began
    embedding = 0 if SHAPES[shape][6] else 2 * SHAPES[shape][5] * SHAPES[shape][0]  # one row of it is read
    longer, most = seconds[long] - seconds[short], bandwidth / (weights - embedding)
    rate = (long - short) / longer if longer > 0 else None  # None: lost in the noise of a busy machine
    return {"tokens_per_second": rate, "limit_tokens_per_second": most, "share_of_limit": rate and rate / most, "peak_bytes": peak,
            "seconds_to_the_first_answer": seconds[short]}


def has_peft(python):
    return bool(python) and subprocess.run([python, "-c", "import torch, transformers, peft"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def folder_for_models():
    """In memory where there is plenty of it, for a disk may take minutes for what a GPU computes in seconds; else the system's temporary folder."""
    with open("/proc/meminfo") as file:
        available = next((int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:")), 0)
    in_memory = os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) and available > 50e9 and shutil.disk_usage("/dev/shm").free > LARGEST_MODEL
    return "/dev/shm" if in_memory else tempfile.gettempdir()


def measure(graft, python, device, case, limit, scratch=None, found=None):
    """Everything of one case, the model's writing included; found: ceilings() where they are known. Errors: RuntimeError, OSError, TimeoutExpired."""
    began = time.monotonic()
    flops, bandwidth, _ = found or ceilings(graft, device)
    with tempfile.TemporaryDirectory(dir=scratch or folder_for_models()) as folder:
        weights = write_model(os.path.join(folder, "model"), CASES[case][0])
        figures = {"weight_bytes": weights, "seconds_to_write_it": time.monotonic() - began}
        left = max(1, limit - figures["seconds_to_write_it"])
        if CASES[case][1] == "decode":
            return figures | measure_decoding(graft, device, folder, case, bandwidth, weights, left)
        return figures | measure_training(graft, python, device, folder, case, flops, left)


def row_of(case, figures):
    """A line of the table."""
    gib = lambda count: f"{count / 2**30:.2f}" if count is not None else "unknown"
    peft = figures.get("peft") or {}
    rate, share = (f"{figures['tokens_per_second']:.1f}", f"{figures['share_of_limit']:.1%}") if figures["tokens_per_second"] else ("lost in noise", "")
    return (f"| {case} | {gib(figures['weight_bytes'])} | {rate} | {figures['limit_tokens_per_second']:.0f} | {share} | "
            f"{gib(figures['peak_bytes'])} | " + (f"{peft['tokens_per_second']:.1f} | {gib(peft['peak_bytes'])} |" if "tokens_per_second" in peft else
                                                   f"{'failed: ' + ' '.join(peft['failed'].split())[-80:] if peft else 'not run'} | |"))


HEADING = "| case | weights, GiB | tokens/s | limit, tokens/s | share | peak GiB | PEFT tokens/s | PEFT peak GiB |\n|---|---|---|---|---|---|---|---|"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", required=True)
    parser.add_argument("--case", nargs="+", default=[name for name in CASES if not name.startswith("tiny")], choices=CASES)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--python", help="with torch, transformers and peft")
    parser.add_argument("--scratch", help="folder for the models, which may take 20 GB (default: in memory if there are 50 GB of it, else the system's)")
    options = parser.parse_args()
    graft = os.path.abspath(options.graft)
    if options.python and not has_peft(options.python):
        sys.exit(f"{options.python} has no torch, transformers and peft")
    found = ceilings(graft, options.device)
    print(f"```\n{found[2]}```\n\n{HEADING}")
    for case in options.case:
        print(row_of(case, measure(graft, options.python, options.device, case, 600, options.scratch, found)), flush=True)


if __name__ == "__main__":
    main()
