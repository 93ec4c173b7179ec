#!/usr/bin/env python3
"""Makes one call of a real graft process fail at a time, and looks at what it leaves.

    sweep.py GRAFT LIBRARY [--most N | --every] [--only COMMAND] [--kind KIND]

LIBRARY is fail_once.c, preloaded. Each command runs once to list its calls: allocations, and calls that write, read or remove files, each with
the stack it comes from. Then it runs once for each distinct stack with that call failing; writing fails also from that call on, as on a full
disk, and at calls that write the process is also interrupted instead. --most N takes N stacks of each kind and command, evenly among all (the suite); without it all are taken (thousands, two
minutes); --every takes every call, also those of equal stacks. Leaks are looked for by a GRAFT built with -fsanitize=leak (as fast as one without) or with GRAFT_SANITIZE.

Each time: the process ends by itself; with 0 only if everything is there that a good run leaves, else with 1 and a message that is no bug
report (130 or killed when interrupted); no unfinished file is left; every file is what it was, or whole; an adapter's settings and weights fit each other; and under the
sanitizer nothing leaks.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASE = os.path.join(ROOT, "examples", "base")
STUCK_SECONDS = 120
NOT_EVEN_BACK = "rename each *.partial there back"  # nothing could be renamed any more
LEAKED = 23  # how the leak sanitizer ends a process
KINDS = {"memory": "memory", "writing": "writing", "writing+": "writing", "reading": "reading", "removing": "removing", "interrupt": "writing"}

# What libraries do when a call of their own fails, out of graft's reach: (function, library that calls it, what stands for a clean end there, why).
LIBRARIES = (
    ("posix_memalign", "libdnnl", lambda code, said: code in (-11, 0),
     "oneDNN's operator new answers NULL, and its constructors write there; where it notices, graft's own loops multiply, and round otherwise"),
    ("mmap", "libdnnl", lambda code, said: code == -11, "oneDNN writes its generated code where no memory was given"),
    ("", "libgomp", lambda code, said: code in (1, LEAKED) and "libgomp: Out of memory" in said, "the threads' library ends the process itself, whatever is held"),
    ("", "libhdf5", lambda code, said: code in (-11, -6, 255, LEAKED) or "libhdf5" in said,
     "without memory for its own error reports it reports that, without end; or frees twice; what it writes has no name yet, so no file is lost"),
)
TIMED = ("manifest.json", "metrics.jsonl", "step-000001.h5", "step-000002.h5")  # hold seconds, so two good runs differ

CONFIG = """\
model: {path: %s, dtype: float32}
adapter: {peft_type: LORA, r: %%d, target_modules: [q_proj]}
data:
  train: [{path: train.jsonl, format: dolly, template: {prompt: "{instruction}\\nAnswer:", response: " {response}"}}]
  eval: [{path: eval.jsonl, format: dolly, template: {prompt: "{instruction}\\nAnswer:", response: " {response}"}}]
  max_length: 256
  over_length: error
training: {output_dir: out, max_steps: 2, batch_size: 2, logging_steps: 1, eval_steps: 1, save_steps: 1, save_total_limit: 1, learning_rate: 5.0e-3}
""" % BASE

COMMANDS = {
    "train": ["train", "config.yaml"],
    "again": ["train", "config.yaml", "--force"],  # over the run of "other.yaml", whose adapter has another rank
    "plan": ["plan", "config.yaml"],
    "data": ["data", "check", "config.yaml"],
    "score": ["score", "--model", BASE, "--input", "texts.jsonl", "--output", "scores.jsonl", "--logits", "logits.safetensors"],
    "generate": ["generate", "--model", BASE, "--input", "texts.jsonl", "--output", "answers.jsonl", "--max-new-tokens", "4", "--force"],
    "evaluate": ["evaluate", "--model", BASE, "--data", "eval.jsonl", "--format", "dolly", "--limit", "1", "--output", "result.json"],
}


class Sweep:
    def __init__(self, options):
        self.graft, self.library = os.path.abspath(options.graft), os.path.abspath(options.library)
        self.most, self.every = options.most, options.every
        self.work = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.runs = self.failures = 0

    def run(self, folder, name, fail=None, calls=None, interrupt=False):
        environment = dict(os.environ, OMP_WAIT_POLICY="passive", LD_PRELOAD=self.library)
        environment["GLIBC_TUNABLES"] = "glibc.malloc.tcache_count=0"  # as graft sets it and starts again, where calls would be counted anew
        # The list is made with the compiler's unwinder, whose loading looks like a leak.
        environment["ASAN_OPTIONS"] = f"verify_asan_link_order=0:allocator_may_return_null=1:detect_leaks={0 if calls else 1}"
        environment["LSAN_OPTIONS"] = f"handle_segv=0:print_suppressions=0:suppressions={self.work}/suppressions"
        environment.update({"FAIL": fail} if fail else {}, **({"CALLS": calls} if calls else {}), **({"INTERRUPT": "1"} if interrupt else {}))
        command = [self.graft, *COMMANDS[name], "--threads", "1"]
        try:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=STUCK_SECONDS)
            return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        except subprocess.TimeoutExpired:
            return "stuck", "", ""

    def prepare(self):
        """What each run starts from, made once and copied."""
        self.start = {name: os.path.join(self.work, "start", name) for name in COMMANDS}
        write(self.work, "suppressions", "leak:dl_open_worker\n")  # the loader keeps what it needs of a library
        for name, folder in self.start.items():
            os.makedirs(folder)
            for data, count in (("train", 4), ("eval", 2)):
                with open(os.path.join(ROOT, "examples", "tiny_world", f"{data}.jsonl"), encoding="utf-8") as whole:
                    write(folder, f"{data}.jsonl", "".join(whole.readlines()[:count]))
            write(folder, "texts.jsonl", '{"ids": [0, 5, 6]}\n{"text": "Once there"}\n' if name == "score" else '{"ids": [0, 5, 6]}\n{"prompt": "Once there"}\n')
            write(folder, "config.yaml", CONFIG % 2)
        write(self.start["generate"], "answers.jsonl", "older answers\n")
        write(self.start["again"], "config.yaml", CONFIG % 3)
        code, _, said = self.run(self.start["again"], "train")
        if code != 0:
            sys.exit(f"the run to be replaced failed: {said}")
        write(self.start["again"], "config.yaml", CONFIG % 2)

    def fresh(self, name):
        folder = tempfile.mkdtemp(dir=self.work)
        shutil.copytree(self.start[name], folder, dirs_exist_ok=True)
        return folder

    def sweep(self, name, kinds):
        folder, calls = self.fresh(name), os.path.join(self.work, f"{name}.calls")
        code, printed, said = self.run(folder, name, calls=calls)
        if code != 0:
            sys.exit(f"{name}: the good run ended with {code}: {said}")
        good, before = content(folder), content(self.start[name])
        shutil.rmtree(folder)
        with open(calls, encoding="utf-8") as lines:
            listed = [line.split() for line in lines]
        for kind in kinds:
            of_kind = [row for row in listed if row[0] == KINDS[kind]]
            stacks = of_kind if self.every else list({row[4]: row for row in reversed(of_kind)}.values())[::-1]
            most = self.most or len(stacks)
            chosen = stacks if len(stacks) <= most else [stacks[i * len(stacks) // most] for i in range(most)]
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                failed = list(pool.map(lambda row: self.one(name, kind, row, good, before, printed), chosen))
            self.runs += len(chosen)
            self.failures += sum(failed)
            print(f"{'FAIL' if any(failed) else 'ok  '}  {name}, {kind}: {len(of_kind)} calls, {len(chosen)} made to fail")

    def one(self, name, kind, row, good, before, printed):
        """Whether it went wrong with that call failing."""
        _, number, function, caller = row[:4]
        fail, interrupt = f"{KINDS[kind]}:{number}{'+' if kind.endswith('+') else ''}", kind == "interrupt"
        folder = self.fresh(name)
        code, out, said = self.run(folder, name, fail=fail, interrupt=interrupt)
        expected = next((f for n, l, f, _ in LIBRARIES if kind == "memory" and n in function and l in os.path.basename(caller)), None)
        left = content(folder)
        excused = expected is not None and expected(code, said)
        if interrupt:
            wrong = list(interruption(code, said, left)) + list(remains(code, said, left, good, before, code == 130))
        else:
            wrong = ([] if excused else list(complaints(code, said, out, printed))) + list(remains(code, said, left, good, before, excused))
        shutil.rmtree(folder)
        for complaint in wrong:
            print(f"FAIL  {name} {'interrupted at' if interrupt else 'FAIL='}{fail} ({function} called by {caller}): {complaint}\n" + "\n".join(f"      {line}" for line in said.splitlines()[-12:]))
        return bool(wrong)


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


def content(folder):
    found = {}
    for below, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(below, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = file.read().replace(folder.encode(), b"FOLDER")  # config.yaml holds whole paths
    return found


def without_figures(text):
    return re.sub(r"[0-9.]+ s\b|[0-9.]+ (?:(?:[KMG]i)?B|bytes)\b|\s+", " ", text)  # and without what the machine says about memory


def complaints(code, said, out, printed):
    """What is wrong with how the process ended."""
    last = said.split("graft: error: ")[-1] if "graft: error: " in said else ""
    if "LeakSanitizer" in said or "runtime error" in said or "AddressSanitizer" in said:
        yield "the sanitizer complains"
    elif code == 0 and without_figures(out) != without_figures(printed):
        yield "success, but the output is another"
    elif code not in (0, 1):
        yield f"exit status {code}"
    elif code == 1 and ("\n  cure: " not in last or last.startswith("\n")):
        yield "no message with its cure"
    if "graft: bug:" in said:
        yield "it says that it has a bug"


def interruption(code, said, left):
    """What is wrong with how an interrupted process ended: training saves first, everything else just dies."""
    saved = "out/adapter_model.safetensors" in left and b'"outcome": "interrupted"' in left.get("out/manifest.json", b"")
    if code not in (0, 130, -2):
        yield f"exit status {code}"
    elif code == 130 and "the adapter was saved" in said and not saved:
        yield "it says that the adapter was saved, and it was not"
    elif code == 130 and "graft: stopped: " not in said:
        yield "it does not say why it ended"


def remains(code, said, left, good, before, other_values=False):
    """What is wrong with the files that are left; other_values: whole ones may differ from those of a good run."""
    for path, data in left.items():
        name, known = os.path.basename(path), (before.get(path), good.get(path))
        if ".partial" in name:
            # Killed between the two names of a file that replaces another, a process leaves the finished file beside it.
            if name not in said and NOT_EVEN_BACK not in said and not (code == -2 and data == good.get(path.split(".partial")[0].rsplit(".", 1)[0])):
                yield f"an unfinished file that no message names: {path}"
        elif path not in good and path not in before and "step-" not in path:
            yield f"a file that no good run makes: {path}"
        elif name.endswith(".safetensors") and not tensors_are_whole(data):
            yield f"not whole: {path}"
        elif name in ("manifest.json", "adapter_config.json") and not is_json(data):
            yield f"not whole: {path}"
        elif code == 0 and not other_values and name not in TIMED and data != known[1]:
            yield f"success, but another {path}"
        elif "/" not in path and not other_values and data not in known:
            yield f"{path} is neither what it was nor what it should be"
    for path in before:
        if path not in left and os.path.basename(path) not in TIMED and "step-" not in path:
            yield f"lost: {path}"
    if code == 0:
        yield from (f"success without {path}" for path in good if path not in left)
    for folder in {os.path.dirname(path) for path in left if path.endswith(("adapter_config.json", "adapter_model.safetensors"))}:
        config, weights = (left.get(os.path.join(folder, name)) for name in ("adapter_config.json", "adapter_model.safetensors"))
        if "step-" in folder and (config is None or weights is None):
            continue  # being removed
        if NOT_EVEN_BACK in said and any(".partial" in path and os.path.dirname(path) == folder for path in left):
            continue
        if config is None or weights is None or json.loads(config)["r"] != rank_of(weights):
            yield f"{folder}: settings and weights of two adapters"


def is_json(data):
    try:
        return bool(json.loads(data))
    except ValueError:
        return False


def header_of(data):
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]


def tensors_are_whole(data):
    try:
        header, rest = header_of(data)
        return max(t["data_offsets"][1] for name, t in header.items() if name != "__metadata__") == len(rest)
    except (ValueError, struct.error):
        return False


def rank_of(data):
    return next(t["shape"][0] for name, t in header_of(data)[0].items() if "lora_A" in name)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("graft")
    parser.add_argument("library")
    parser.add_argument("--most", type=int)
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--only", choices=COMMANDS, action="append")
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    sweep = Sweep(options)
    try:
        sweep.prepare()
        for name in options.only or COMMANDS:
            sweep.sweep(name, options.kind or KINDS)
    finally:
        shutil.rmtree(sweep.work)
    print(f"{sweep.runs} calls made to fail, {sweep.failures} ended badly")
    return sweep.failures != 0


if __name__ == "__main__":
    sys.exit(main())
