#!/usr/bin/env python3
"""A run that is killed, again and again, and started again with the same command, leaves what a run leaves that was not.

    resume.py GRAFT LIBRARY [--kills N] [--seed S] [--only CASE] [--ranks all]

Where mpirun and graft_mpi.so are there, some cases (all of them with --ranks all) run as two ranks too, of which one, or both at once, are killed; they leave what
the one process left, also where one process goes on with what two ranks began, or the reverse.

LIBRARY is faults/fail_once.c. A whole run tells which calls make, fill and name its files, and so its phases (PHASES). A run is then stopped at a drawn call of each
phase in turn, and killed right there, or in a step behind it: no kill waits on a clock, and none is lost because the machine was slow. Same means: every adapter
byte for byte, the parameters' hash, and every line of metrics.jsonl but for the members that measure time and memory.
"""
import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STUCK_SECONDS = 120
SANITIZER = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:detect_leaks=0"  # MPI keeps what it took
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
training: {output_dir: out, max_steps: %d, batch_size: 3, micro_batch_tokens: 64, logging_steps: 2, eval_steps: 2, save_steps: 3, save_total_limit: 2, learning_rate: %s,
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
MPIRUN = ("mpirun", "--oversubscribe", "--bind-to", "none")
# What a run is at when it makes, fills or names a file of this name.
PHASES = {
    "tokens": r"cache",
    "configuration": r"out/config\.yaml",
    "steps": r"out/metrics\.jsonl",
    "best": r"out/best/\w+\.",
    "adapters": r"out/adapters/step-\d+/\w+\.",
    "checkpoints": r"out/checkpoints/step-",
    "end": r"out/adapter_\w+\.|out/README",
    "manifest": r"out/manifest\.json",
}
AGAIN = "of a second run"  # which began elsewhere, so that its calls are others


def phases_of(calls):
    """For each counted call, given by the file it is about: the phase. A file without a name yet is of the one named next."""
    found, phase = [], next(reversed(PHASES))
    for name in reversed(calls):
        phase = next((each for each, pattern in PHASES.items() if re.match(pattern, name)), phase)
        found.append(phase)
    return found[::-1]


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

    def watched(self, **variables):
        """The environment in which calls that write in this folder are counted. The tunables as graft sets them: it would start again, and they be counted anew."""
        return {"LD_PRELOAD": self.library, "FOLDER": self.folder, "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0", **variables}

    def start(self, command, environment):
        return subprocess.Popen(command, cwd=self.folder, env={**os.environ, "ASAN_OPTIONS": SANITIZER, **environment}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def begin(self, *options, **variables):
        return self.start([self.graft, "train", "config.yaml", *options], self.watched(**variables) if variables else {})

    def begin_ranks(self, *options, **variables):
        """Two ranks; the variables are of rank 0, which writes."""
        rank = [self.graft, "train", "config.yaml", *options]
        watched = ["env", *(f"{name}={value}" for name, value in self.watched(**variables).items())] if variables else []
        return self.start([*MPIRUN, "-n", "1", *watched, *rank, ":", "-n", "1", *rank],
                          {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_odls_base_sigkill_timeout": "1"})

    def ranks(self):
        """The processes of this folder's ranks, rank 0 first."""
        found = {}
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{process}/cmdline", "rb") as line:
                    if not line.read().startswith(self.graft.encode() + b"\0train\0") or os.readlink(f"/proc/{process}/cwd") != self.folder:
                        continue
                with open(f"/proc/{process}/environ", "rb") as variables:
                    found[int(re.search(rb"\0OMPI_COMM_WORLD_RANK=(\d+)", variables.read())[1])] = int(process)
            except OSError:
                continue
        return [found[rank] for rank in sorted(found)]

    @staticmethod
    def end(process):
        _, said = process.communicate(timeout=STUCK_SECONDS)
        return process.returncode, said.decode(errors="replace")

    def has_ended(self):
        """Whether the run says it has: a kill behind that leaves nothing to go on with."""
        manifest = os.path.join(self.folder, "out", "manifest.json")
        return os.path.exists(manifest) and json.loads(self.read("out/manifest.json"))["outcome"] in ("finished", "stopped early")

    def newest(self):
        """The step of the newest checkpoint; 0 without one."""
        folder = os.path.join(self.folder, "out", "checkpoints")
        return max((int(name[5:11]) for name in os.listdir(folder) if name.endswith(".h5")), default=0) if os.path.isdir(folder) else 0

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


def wait_until_stopped(process, watched):
    """Whether a process stopped; False if the run, of which it is a part, ended before."""
    while process.poll() is None:
        try:
            with open(f"/proc/{watched}/stat", "rb") as line:
                if line.read().rpartition(b") ")[2][:1] == b"T":
                    return True
        except OSError:
            pass
        time.sleep(0.002)
    return False


class Whole:
    """What an uninterrupted run left, and when."""

    def __init__(self, left, seconds, phases, order):
        self.left, self.seconds, self.phases = left, seconds, phases
        self.steps = left["out/metrics.jsonl"][-1]["step"]
        self.turn = order.sample(sorted(set(phases)), len(set(phases)))  # each phase once, then again

    def draw(self, chance, kills, newest):
        """Which counted call to stop at: of the next phase in turn; behind a kill any of those that are left behind the newest checkpoint."""
        if kills:
            return chance.randint(1, max(1, int(len(self.phases) * (1 - newest / self.steps))))
        self.turn.append(self.turn.pop(0))
        return chance.choice([number for number, phase in enumerate(self.phases, 1) if phase == self.turn[-1]])


class Runner:
    def __init__(self, options, work):
        self.options, self.work, self.random = options, work, random.Random(options.seed)
        self.went_on, self.began_again, self.too_late, self.hits = 0, 0, 0, collections.Counter()

    @property
    def kills(self):
        return sum(self.hits.values())

    def place(self, case):
        return Place(os.path.abspath(self.options.graft), os.path.abspath(self.options.library), self.work, case)

    def whole(self, case, ranks):
        """An uninterrupted run."""
        place = self.place(case)
        calls = os.path.join(self.work, "calls")
        began = time.monotonic()
        code, said = place.end((place.begin_ranks if ranks else place.begin)("--quiet", "--threads", "1", CALLS=calls))
        seconds = time.monotonic() - began
        if code != 0:
            sys.exit(f"{case}: the whole run ended with {code}: {said}")
        with open(calls, encoding="utf-8") as lines:
            phases = phases_of([os.path.relpath(os.path.join(place.folder, line.split(None, 5)[5].strip()), place.folder) for line in lines])
        whole = Whole(place.left(), seconds, phases, self.random)
        shutil.rmtree(place.folder)
        os.remove(calls)
        return whole

    def kill(self, case, place, whole, kills, ranks):
        """Starts the run, and kills it where it stops. Whether it is still to be gone on with."""
        number = whole.draw(self.random, kills, place.newest())
        plan = {"FAIL": f"writing:{number}", "STOP": "1"}
        process = place.begin_ranks("--quiet", "--threads", "1", **plan) if ranks else place.begin("--threads", str(self.random.randint(1, 3)), **plan)
        watched = [process.pid]
        while ranks and process.poll() is None and len(watched) < 2:
            time.sleep(0.01)
            watched = place.ranks()
        if wait_until_stopped(process, watched[0] if watched else process.pid):
            self.hits[case, ranks, AGAIN if kills else whole.phases[number - 1]] += 1
            self.strike(watched, whole.seconds)
        code, said = place.end(process)
        if not ranks and code not in (0, -signal.SIGKILL):
            raise AssertionError(f"ended with {code} before it was killed: {said}")
        self.count(said)
        ended = code == 0 or place.has_ended()
        self.too_late += ended
        return not ended

    def strike(self, watched, seconds):
        """The first of them is stopped. Half of the kills come right there, half in a step behind it; of ranks one dies, or both."""
        victims = self.random.choice([watched[:1], watched[-1:], watched])
        if self.random.random() < 0.5:
            os.kill(watched[0], signal.SIGCONT)
            time.sleep(0.1 * seconds * self.random.random())
        for victim in victims:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            os.kill(watched[0], signal.SIGCONT)  # to say who is missing
        except ProcessLookupError:
            pass

    def count(self, said):
        self.went_on += "graft: goes on from" in said
        self.began_again += "begins again" in said

    def one(self, case, whole, left, ranks):
        """A run that is killed one to three times, and then goes on to its end, a run of ranks not always as ranks. What is wrong with it."""
        place = self.place(case)
        for kills in range(self.random.randint(1, 3)):
            if not self.kill(case, place, whole, kills, ranks):
                break
        else:
            code, said = place.end(place.begin_ranks() if ranks and self.random.random() < 0.7 else place.begin())
            self.count(said)
            if code != 0 or "warning" in said:
                return f"ended with {code}: {said}"
        wrong = difference(left, place.left())
        if not wrong:
            shutil.rmtree(place.folder)
        return wrong and f"{place.folder}: {wrong}"

    def table(self):
        """How many kills came in which phase."""
        print("\n" + " " * 31 + "".join(f"{phase:>16}" for phase in (*PHASES, AGAIN)))
        for case, ranks in sorted({row[:2] for row in self.hits}):
            print(f"{case + (', ranks' if ranks else ''):31}" + "".join(f"{self.hits[case, ranks, phase]:16}" for phase in (*PHASES, AGAIN)))


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
    names = [name for name in CASES if options.only in (None, name)]
    wholes = {(name, False): runner.whole(name, False) for name in names}
    if options.ranks != "none" and shutil.which("mpirun") and os.path.exists(os.path.join(os.path.dirname(os.path.abspath(options.graft)), "graft_mpi.so")):
        wholes.update({(name, True): runner.whole(name, True) for name in names if options.ranks == "all" or name in ON_RANKS})
    elif options.ranks != "none":
        print("without ranks: mpirun or graft_mpi.so is missing")
    for (name, ranks), whole in wholes.items():
        wrong = ranks and difference(wholes[name, False].left, whole.left)
        if wrong:
            print(f"FAIL  {name}: on ranks, not killed: {wrong}")
            failures += 1
    while runner.kills < options.kills and not failures:
        for (name, ranks), whole in wholes.items():
            wrong = runner.one(name, whole, wholes[name, False].left, ranks)
            if wrong:
                print(f"FAIL  {name}{', on ranks' if ranks else ''}: {wrong}")
                failures += 1
        print(f"{runner.kills} kills so far", flush=True)
    runner.table()
    print(f"{runner.kills} kills; {runner.went_on} times a run went on from a checkpoint, {runner.began_again} times it began again, {runner.too_late} kills came too late")
    if not failures:
        shutil.rmtree(work)
    sys.exit(failures > 0 or runner.went_on == 0)


if __name__ == "__main__":
    main()
