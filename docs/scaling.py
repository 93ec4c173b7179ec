#!/usr/bin/env python3
"""Writes docs/scaling.md: what it costs several ranks to add their gradients up, by a model of the wires.

    python3 docs/scaling.py > docs/scaling.md

Nothing on that page is measured on GPUs: bytes follow from shapes; what two ranks of one host do is what benchmarks/ranks.sh printed (MEASURED); everything else
is an assumption below, by name.
"""
import math

LAYERS, WIDTH, MLP = 32, 4096, 11008  # Llama 2 7B
HOST_GPUS = 8
INSIDE_GB, LATENCY_US = 50, 10  # assumed: one link between two GPUs of a host, GB/s; beginning a message, microseconds
WIRES_GBIT = (100, 200, 400)    # assumed: what a host sends and receives, Gbit/s
STEP_SECONDS = 1.0              # assumed: a step without the sum
# benchmarks/ranks.sh, November 2026, 2 ranks on 2 virtual cores with AVX-512: microseconds of a meeting, GB/s from one rank to another
MEASURED = {"MPI (shared memory)": (1.1, 5.93), "TCP (loopback)": (8.9, 5.41)}
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
    print("## Starting, meeting, watching\n")
    print("mpirun, srun or torchrun may start the ranks; torchrun with `--no-python graft train CONFIG.yaml` and TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1, since graft\n"
          "listens at MASTER_PORT itself. Words and meetings go through MPI or TCP; gradients from GPU to GPU through NCCL's send and receive where every rank has a GPU of its own and\n"
          "graft_nccl.so is there, else through the memory of the hosts, and the run says which. Nothing is encrypted: the network between hosts is trusted.\n")
    print("Measured on CPUs, two ranks of one host (`benchmarks/ranks.sh`); behind them the share of a step of "
          f"{STEP_SECONDS:g} s of one meeting, and what the sum of the gradients of r = 16 takes\nbetween those two (there and back):\n")
    print("| through | a meeting | of a step | GB/s | sum of two, ms |\n|---|---|---|---|---|")
    for name, (meeting, speed) in MEASURED.items():
        print(f"| {name} | {meeting:g} us | {100 * meeting * 1e-6 / STEP_SECONDS:.5f} % | {speed:g} | {2e3 * size / speed / 1e9:.0f} |")
    print("\nA step has one meeting, and no heartbeats beside it: whoever waits looks around ten times a second. At a meeting rank 0 hears every other rank and answers it: if each costs\n"
          "what one costs above, "
          f"1,024 ranks through TCP would meet in {1023 * MEASURED['TCP (loopback)'][0] / 1e3:.0f} ms, {100 * 1023 * MEASURED['TCP (loopback)'][0] * 1e-6 / STEP_SECONDS:.1f} % of a step of {STEP_SECONDS:g} s, and 64 in "
          f"{63 * MEASURED['TCP (loopback)'][0] / 1e3:.1f} ms ({100 * 63 * MEASURED['TCP (loopback)'][0] * 1e-6 / STEP_SECONDS:.2f} %).\n")
    print("A rank has work only while a step has micro-batches for it: `training.batch_size` times the mean length, over `training.micro_batch_tokens`, is how many there are.")


if __name__ == "__main__":
    main()
