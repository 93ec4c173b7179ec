#!/usr/bin/env python3
"""What a user would run instead: PyTorch + transformers + PEFT, LoRA on a CPU, timed.

Makes a random-weight Llama of a named shape (speed does not depend on the values), feeds it random tokens of Dolly's
lengths, trains LoRA r16 on every linear layer and prints one JSON line: real (unpadded) and padded tokens per second
after the first step, peak resident MiB, seconds from the start to the end of the first step, losses of the first steps.

    peft_cpu_baseline.py --shape smollm_135m --steps 6 --batch 4        (environment: run_scripts/setup_reference.sh)
    peft_cpu_baseline.py ... --write FOLDER       only write the same model and batches for another program, and stop
"""
import argparse
import json
import os
import resource
import time

START = time.time()
HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {  # hidden, layers, heads, kv_heads, intermediate, vocab, tied
    "smollm_135m": (576, 30, 9, 3, 1536, 49152, True),
    "tinyllama_1b": (2048, 22, 32, 4, 5632, 32000, False),
    "stories15m": (288, 6, 6, 6, 768, 32000, True),
}
MAX_POSITIONS = 2048


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="smollm_135m", choices=SHAPES)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=6, help="counted steps, behind one that is not counted")
    parser.add_argument("--batch", type=int, default=4, help="sequences per step")
    parser.add_argument("--max-length", type=int, default=512, help="longer sequences are cut")
    parser.add_argument("--lengths", default=os.path.join(HERE, "dolly_lengths.json"), help="JSON list of lengths in tokens")
    parser.add_argument("--full-length", action="store_true", help="every sequence max-length long: no padding at all")
    parser.add_argument("--trained-share", type=float, default=1.0, help="share of each sequence, at its end, that has labels (Dolly's answers: about 0.35)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", metavar="FOLDER", help="write model/ and batches.jsonl there and stop")
    options = parser.parse_args(arguments)
    if not 1 <= options.max_length <= MAX_POSITIONS:
        parser.error(f"--max-length: 1 to {MAX_POSITIONS}")
    return options


def batches_of(options):
    """steps + 1 batches of {"ids", "labels"}: the same for the same options, wherever they are trained."""
    import torch

    vocab = SHAPES[options.shape][5]
    with open(options.lengths) as file:
        lengths = [min(n, options.max_length) for n in json.load(file)]
    generator = torch.Generator().manual_seed(1)
    for step in range(options.steps + 1):
        batch = []
        for i in range(options.batch):
            n = options.max_length if options.full_length else lengths[(step * options.batch + i) % len(lengths)]
            ids = torch.randint(3, vocab, (n,), generator=generator).tolist()
            first = n - max(1, round(n * options.trained_share))
            batch.append({"ids": ids, "labels": [-100] * first + ids[first:]})
        yield batch


def new_model(options):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, layers, heads, kv_heads, intermediate, vocab, tied = SHAPES[options.shape]
    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads, vocab_size=vocab,
                         intermediate_size=intermediate, max_position_embeddings=MAX_POSITIONS, tie_word_embeddings=tied)
    return LlamaForCausalLM(config).to(getattr(torch, options.dtype))


def write(options):
    new_model(options).save_pretrained(os.path.join(options.write, "model"))
    with open(os.path.join(options.write, "batches.jsonl"), "w") as file:
        for batch in batches_of(options):
            file.writelines(json.dumps(row) + "\n" for row in batch)


def padded(batch):
    """ids, attention mask and labels [sequences, longest], as a collator makes them."""
    import torch

    longest = max(len(row["ids"]) for row in batch)
    fill = lambda key, value: torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in batch])
    mask = torch.tensor([[1] * len(row["ids"]) + [0] * (longest - len(row["ids"])) for row in batch])
    return fill("ids", 0), mask, fill("labels", -100)


def main(options):
    import torch
    import transformers
    import peft

    torch.set_num_threads(options.threads)
    if options.write:
        return write(options)
    model = new_model(options)
    model.config.use_cache = False
    model = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    seconds, real, with_padding, losses, first = 0.0, 0, 0, [], None
    for batch in batches_of(options):
        ids, mask, labels = padded(batch)
        began = time.time()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if first is None:
            first = time.time() - START
            continue
        seconds += time.time() - began
        real += int(mask.sum())
        with_padding += mask.numel()
    print(json.dumps({
        "tokens_per_second": real / seconds, "padded_tokens_per_second": with_padding / seconds, "padding": 1 - real / with_padding,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "first_step_seconds": first, "losses": losses,
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"}))


if __name__ == "__main__":
    main(options_of(None))
