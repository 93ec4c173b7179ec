#!/usr/bin/env python3
"""A run that is killed, again and again, and started again with the same command, leaves what a run leaves that was not.

    resume.py GRAFT LIBRARY [--kills N] [--seed S] [--only CASE] [--ranks all]

Where mpirun and graft_mpi.so are there, some cases (all of them with --ranks all) run as two ranks too, of which one, or both at once, are killed; they leave what
the one process left, also where one process goes on with what two ranks began, or the reverse.

LIBRARY is faults/fail_once.c. Half of the kills come at a moment drawn between the start and the end of the run, half at a drawn one of the calls that make,
fill or name its files (the token cache, records, adapters, checkpoints). Same means: every adapter byte for byte, the parameters' hash, and every line of
metrics.jsonl but for the members that measure time and memory.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STUCK_SECONDS = 120
MEASURED = ("tokens_per_second", "memory_bytes")

CONFIG = """\
model: {path: %s, dtype: float32}
adapter: {%s}
data:
  train: [{path: train.jsonl, format: dolly, template: {prompt: "{instruction}\\nAnswer:", response: " {response}"}}]
  eval: [{path: eval.jsonl, format: dolly, template: {prompt: "{instruction}\\nAnswer:", response: " {response}"}}]
  max_length: 256
  over_length: error
  cache: cache
training: {output_dir: out, max_steps: %d, batch_size: 3, logging_steps: 2, eval_steps: 2, save_steps: 3, save_total_limit: 2, learning_rate: %s,
           load_best_model_at_end: true, early_stopping_patience: 2}
"""
# name: adapter, steps, learning rate. The last one of LoRA learns so fast that it stops early.
CASES = {
    "lora": ("peft_type: LORA, r: 4, lora_dropout: 0.2, target_modules: all-linear", 10, "5.0e-3"),
    "lora, stopped early": ("peft_type: LORA, r: 4, lora_dropout: 0.2, target_modules: all-linear", 40, "2.0e-1"),
    "prefix": ("peft_type: PREFIX_TUNING, num_virtual_tokens: 4", 10, "1.0e-2"),
    "prefix, projected": ("peft_type: PREFIX_TUNING, num_virtual_tokens: 4, prefix_projection: true, encoder_hidden_size: 24", 10, "1.0e-2"),
    "prompt": ("peft_type: PROMPT_TUNING, num_virtual_tokens: 4", 10, "1.0e-2"),
    "p-tuning, MLP": ("peft_type: P_TUNING, num_virtual_tokens: 4, encoder_hidden_size: 24", 10, "1.0e-3"),
    "p-tuning, LSTM": ("peft_type: P_TUNING, num_virtual_tokens: 4, encoder_hidden_size: 24, encoder_reparameterization_type: LSTM, encoder_dropout: 0.2", 10, "1.0e-3"),
}


ON_RANKS = ("lora", "p-tuning, LSTM")
MPIRUN = ("mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2")


class Place:
    """A folder in which a case runs."""

    def __init__(self, graft, library, work, case):
        self.graft, self.library = graft, library
        self.folder = tempfile.mkdtemp(dir=work)
        for data, count in (("train", 12), ("eval", 4)):
            with open(os.path.join(ROOT, "examples", "tiny_world", f"{data}.jsonl"), encoding="utf-8") as whole:
                self.write(f"{data}.jsonl", "".join(whole.readlines()[:count]))
        adapter, steps, rate = CASES[case]
        self.write("config.yaml", CONFIG % (os.path.join(ROOT, "examples", "base"), adapter, steps, rate))

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def begin(self, *options, **variables):
        environment = {**os.environ, **variables}
        if variables:  # the tunables as graft sets them: it would start again, and calls be counted anew
            environment.update(LD_PRELOAD=self.library, GLIBC_TUNABLES="glibc.malloc.tcache_count=0", ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
        return subprocess.Popen([self.graft, "train", "config.yaml", *options], cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def begin_ranks(self, *options):
        environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_odls_base_sigkill_timeout": "1"}
        environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # MPI keeps what it took
        return subprocess.Popen([*MPIRUN, self.graft, "train", "config.yaml", *options], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ranks(self):
        """The processes of this folder's ranks."""
        found = []
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{process}/cmdline", "rb") as line:
                    if line.read().startswith(self.graft.encode() + b"\0train\0") and os.readlink(f"/proc/{process}/cwd") == self.folder:
                        found.append(int(process))
            except OSError:
                continue
        return found

    @staticmethod
    def end(process):
        _, said = process.communicate(timeout=STUCK_SECONDS)
        return process.returncode, said.decode(errors="replace")

    def has_ended(self):
        """Whether the run says it has: a kill behind that leaves nothing to go on with."""
        manifest = os.path.join(self.folder, "out", "manifest.json")
        return os.path.exists(manifest) and json.loads(self.read("out/manifest.json"))["outcome"] in ("finished", "stopped early")

    def left(self):
        """What must be the same: files of adapters, the hash of the parameters, lines of metrics.jsonl, names of checkpoints."""
        found = {}
        for below, _, files in os.walk(os.path.join(self.folder, "out")):
            for name in files:
                path = os.path.relpath(os.path.join(below, name), self.folder)
                if name.endswith(".h5"):
                    found[path] = "a checkpoint"
                elif name == "manifest.json":
                    manifest = json.loads(self.read(path))
                    found[path] = {key: manifest[key] for key in manifest if key not in ("seconds", "threads", "config_hash")}  # which is of whole paths too
                elif name == "metrics.jsonl":
                    lines = [json.loads(line) for line in self.read(path).splitlines()]
                    found[path] = [{key: line[key] for key in line if key not in MEASURED} for line in lines]
                elif name != "config.yaml":  # holds whole paths
                    found[path] = self.read(path)
        return {key: str(value).replace(self.folder, "") if isinstance(value, dict) else value for key, value in found.items()}


def difference(whole, left):
    for path in sorted(set(whole) | set(left)):
        if whole.get(path) != left.get(path):
            return f"{path}: {str(whole.get(path))[:600]}\n      is now: {str(left.get(path))[:600]}"
    return None


class Runner:
    def __init__(self, options, work):
        self.options, self.work, self.random = options, work, random.Random(options.seed)
        self.kills, self.went_on, self.began_again, self.too_late = 0, 0, 0, 0

    def place(self, case):
        return Place(os.path.abspath(self.options.graft), os.path.abspath(self.options.library), self.work, case)

    def whole(self, case):
        """An uninterrupted run: what it leaves, its seconds, and how many calls write files."""
        place = self.place(case)
        calls = os.path.join(place.folder, "calls")
        began = time.monotonic()
        code, said = place.end(place.begin("--quiet", "--threads", "1", CALLS=calls))
        seconds = time.monotonic() - began
        if code != 0:
            sys.exit(f"{case}: the whole run ended with {code}: {said}")
        with open(calls, encoding="utf-8") as lines:
            writing = sum(line.startswith("writing ") for line in lines)
        left = place.left()
        shutil.rmtree(place.folder)
        return left, seconds, writing

    def kill(self, place, seconds, writing):
        """Starts the run and kills it. What it said; None if it came to its end before."""
        threads = ("--threads", str(self.random.randint(1, 3)))
        if self.random.random() < 0.5:
            process = place.begin(*threads, FAIL=f"writing:{self.random.randint(1, writing)}", KILL="1")
        else:
            process = place.begin(*threads)
            time.sleep(seconds * self.random.random())
            process.send_signal(signal.SIGKILL)
        code, said = place.end(process)
        if code not in (0, -signal.SIGKILL):
            raise AssertionError(f"ended with {code} before it was killed: {said}")
        self.count(said)
        ended = code == 0 or place.has_ended()
        self.kills += code != 0
        self.too_late += ended
        return None if ended else said

    def kill_ranks(self, place, seconds):
        """Two ranks, of which one or both are killed. Whether they were killed in time."""
        process = place.begin_ranks("--quiet", "--threads", "1")
        steps = self.random.random() < 0.7  # most of the time before the first step is mpirun's own
        lines = os.path.join(place.folder, "out", "metrics.jsonl")
        before = os.path.getsize(lines) if os.path.exists(lines) else 0
        while process.poll() is None and (not place.ranks() or (steps and not (os.path.exists(lines) and os.path.getsize(lines) != before))):
            time.sleep(0.002)
        time.sleep((0.1 if steps else 0.5) * seconds * self.random.random())
        both = self.random.random() < 0.5
        for rank in place.ranks()[: 2 if both else 1]:
            try:
                os.kill(rank, signal.SIGKILL)
            except ProcessLookupError:
                pass
        code, said = place.end(process)
        self.count(said)
        ended = code == 0 or place.has_ended()
        self.kills += code != 0
        self.too_late += ended
        return not ended

    def one_on_ranks(self, case, whole, seconds):
        """A run of two ranks that are killed one to three times; then one process or two ranks go on. What is wrong with it."""
        place = self.place(case)
        for before in range(self.random.randint(1, 3)):
            if not self.kill_ranks(place, seconds / (1 + before)):
                break
        else:
            code, said = place.end(place.begin_ranks() if self.random.random() < 0.7 else place.begin())
            self.count(said)
            if code != 0 or "warning" in said:
                return f"on ranks: ended with {code}: {said}"
        wrong = difference(whole, place.left())
        if not wrong:
            shutil.rmtree(place.folder)
        return wrong and f"on ranks: {place.folder}: {wrong}"

    def whole_on_ranks(self, case, whole):
        """The same run, of two ranks and uninterrupted: seconds, and what is wrong with it."""
        place = self.place(case)
        began = time.monotonic()
        code, said = place.end(place.begin_ranks("--quiet", "--threads", "1"))
        seconds = time.monotonic() - began
        wrong = f"ended with {code}: {said}" if code != 0 else difference(whole, place.left())
        shutil.rmtree(place.folder)
        return seconds, wrong and f"on ranks, not killed: {wrong}"

    def count(self, said):
        self.went_on += "graft: goes on from" in said
        self.began_again += "begins again" in said

    def one(self, case, whole, seconds, writing):
        """A run that is killed one to three times. What is wrong with it."""
        place = self.place(case)
        for before in range(self.random.randint(1, 3)):  # what is left to do is less each time
            if self.kill(place, seconds / (1 + before), writing // (1 + before)) is None:
                break
        else:
            code, said = place.end(place.begin())
            self.count(said)
            if code != 0 or "warning" in said:
                return f"ended with {code}: {said}"
        wrong = difference(whole, place.left())
        if not wrong:
            shutil.rmtree(place.folder)
        return wrong and f"{place.folder}: {wrong}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("graft")
    parser.add_argument("library")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--ranks", choices=("some", "all", "none"), default="some")
    options = parser.parse_args()
    work = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    runner, failures = Runner(options, work), 0
    cases = {name: runner.whole(name) for name in CASES if options.only in (None, name)}
    on_ranks = {}
    if options.ranks != "none" and shutil.which("mpirun") and os.path.exists(os.path.join(os.path.dirname(os.path.abspath(options.graft)), "graft_mpi.so")):
        for name in cases if options.ranks == "all" else (name for name in ON_RANKS if name in cases):
            on_ranks[name], wrong = runner.whole_on_ranks(name, cases[name][0])
            if wrong:
                print(f"FAIL  {name}: {wrong}")
                failures += 1
    elif options.ranks != "none":
        print("without ranks: mpirun or graft_mpi.so is missing")
    while runner.kills < options.kills and not failures:
        for name, whole in cases.items():
            for wrong in (runner.one(name, *whole), runner.one_on_ranks(name, whole[0], on_ranks[name]) if name in on_ranks else None):
                if wrong:
                    print(f"FAIL  {name}: {wrong}")
                    failures += 1
            print(f"{runner.kills} kills so far", flush=True)
    print(f"{runner.kills} kills; {runner.went_on} times a run went on from a checkpoint, {runner.began_again} times it began again, {runner.too_late} kills came too late")
    if not failures:
        shutil.rmtree(work)
    sys.exit(failures > 0 or runner.went_on == 0)


if __name__ == "__main__":
    main()
