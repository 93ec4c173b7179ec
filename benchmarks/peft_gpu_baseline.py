#!/usr/bin/env python3
"""What a user would run instead on a GPU: PyTorch + transformers + PEFT, LoRA r16 on every linear layer, timed.

Takes the model folder and the batches that train_gpu.py made, in bfloat16, with PyTorch's own attention and fused AdamW. Prints one JSON line: tokens per second
behind the first step, peak MiB that PyTorch reserved, losses, versions.

    peft_gpu_baseline.py --model FOLDER --batches batches.jsonl --rows 2 --accumulation 4 [--recompute] [--device cuda|cpu]
"""
import argparse
import json
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batches", required=True, help="a line of {ids} per sequence, all of one length")
    parser.add_argument("--rows", type=int, required=True, help="sequences at once")
    parser.add_argument("--accumulation", type=int, required=True, help="so many times a step")
    parser.add_argument("--recompute", action="store_true", help="gradient checkpointing")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    import peft
    import torch
    import transformers

    with open(options.batches) as file:
        ids = torch.tensor([json.loads(line)["ids"] for line in file], device=options.device)
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16, attn_implementation="sdpa").to(options.device)
    model = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    if options.recompute:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01, fused=True)
    on_gpu, losses, seconds = options.device == "cuda", [], []
    for batch in ids.split(options.rows * options.accumulation):
        began = time.perf_counter()
        loss_sum = 0.0
        for rows in batch.split(options.rows):
            loss = model(input_ids=rows, labels=rows).loss / options.accumulation
            loss.backward()
            loss_sum += loss.detach()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss_sum))  # waits for the GPU
        seconds.append(time.perf_counter() - began)
    counted = seconds[1:]
    print(json.dumps({"tokens_per_second": len(counted) * options.rows * options.accumulation * ids.shape[1] / sum(counted),
                      "peak_mib": torch.cuda.max_memory_reserved() / 2**20 if on_gpu else None, "losses": losses,
                      "versions": f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"}))


if __name__ == "__main__":
    main()
