#!/usr/bin/env python3
"""Writes docs/scaling.md: what it costs several ranks to add their gradients up, by a model of the wires.

    python3 docs/scaling.py > docs/scaling.md

Nothing on that page is measured on GPUs: bytes follow from shapes, everything else is an assumption below, by name.
"""
import math

LAYERS, WIDTH, MLP = 32, 4096, 11008  # Llama 2 7B
HOST_GPUS = 8
INSIDE_GB, LATENCY_US = 50, 10  # assumed: one link between two GPUs of a host, GB/s; beginning a message, microseconds
WIRES_GBIT = (100, 200, 400)    # assumed: what a host sends and receives, Gbit/s
STEP_SECONDS = 1.0              # assumed: a step without the sum
GPUS = (8, 16, 32, 64, 128, 256, 512, 1024)


def lora_bytes(rank):
    return 4 * LAYERS * rank * (4 * (WIDTH + WIDTH) + 3 * (WIDTH + MLP))


def tree_seconds(size, gpus, wire):
    """Up and down: rank 0 receives and sends the whole vector once per level; levels inside a host come first."""
    inside, across = math.log2(min(gpus, HOST_GPUS)), math.log2(max(1, gpus / HOST_GPUS))
    return 2 * (inside * (size / (INSIDE_GB * 1e9) + LATENCY_US * 1e-6) + across * (size / (wire / 8 * 1e9) + LATENCY_US * 1e-6))


def ring_seconds(size, gpus, wire):
    slowest = INSIDE_GB * 1e9 if gpus <= HOST_GPUS else wire / 8 * 1e9
    return 2 * (gpus - 1) * (size / gpus / slowest + LATENCY_US * 1e-6)


def main():
    print("# What ranks cost\n")
    print("Written by `docs/scaling.py`; a model, not a measurement. Every rank adds up the gradients of its own micro-batches; then the sum of all crosses the ranks once a\n"
          "step, along one fixed tree (`trainer/gradient_sum.h`), and comes back to all. Base weights never travel.\n")
    print("| LoRA on every linear layer of Llama 2 7B | MB of gradients a step |\n|---|---|")
    for rank in (8, 16, 64):
        print(f"| r = {rank} | {lora_bytes(rank) / 1e6:.0f} |")
    size = lora_bytes(16)
    print(f"\nMilliseconds a step for r = 16, and behind them the share of a step of {STEP_SECONDS:g} s. Assumed: hosts of {HOST_GPUS} GPUs, {INSIDE_GB} GB/s between two of a host, "
          f"{LATENCY_US} us to begin\na message, nothing overlaps with computing. The ring is what a library's all-reduce does; its order of adding depends on the number of ranks.\n")
    print("| GPUs |" + "".join(f" tree, {w} Gbit/s | ring |" for w in WIRES_GBIT) + "\n|---|" + "---|---|" * len(WIRES_GBIT))
    for gpus in GPUS:
        cells = []
        for wire in WIRES_GBIT:
            for seconds in (tree_seconds(size, gpus, wire), ring_seconds(size, gpus, wire)):
                cells.append(f" {1e3 * seconds:.0f} ({100 * seconds / (seconds + STEP_SECONDS):.1f} %) |")
        print(f"| {gpus} |" + "".join(cells))
    print("\nThe tree costs about the logarithm of the hosts times what a ring does, since rank 0 handles the whole vector at each level. Cutting the vector into a slice for each rank\n"
          "would keep the order of adding and cost what a ring costs. Until then the cure for slow wires is a larger `training.batch_size`: the cost is per step.\n")
    print("A rank has work only while a step has micro-batches for it: `training.batch_size` times the mean length, over `training.micro_batch_tokens`, is how many there are.")


if __name__ == "__main__":
    main()
