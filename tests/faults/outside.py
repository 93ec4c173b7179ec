#!/usr/bin/env python3
"""What a run says and leaves when the world around it breaks: files cut short under it, full disks, closed outputs, signals at any moment.

    outside.py GRAFT

Each claim is a function that returns nothing when it holds and otherwise says what it saw. A claim that needs what this machine or this user
may not do (mounting a small disk) is reported as skipped.
"""
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASE = os.path.join(ROOT, "examples", "base")
STUCK_SECONDS = 120
SKIPPED = "skipped: "

CONFIG = """\
model: {path: %s, dtype: float32}
adapter: {peft_type: LORA, r: 2, target_modules: [q_proj]}
data:
  train: [{path: train.jsonl, format: dolly, template: {prompt: "{instruction}\\nAnswer:", response: " {response}"}}]
  max_length: 256
  over_length: error
training: {output_dir: out, max_steps: %d, batch_size: 2, logging_steps: 1, save_steps: 1, save_total_limit: 2, learning_rate: 1.0e-4}
"""


class Place:
    """A folder with a configuration and data, and graft to run in it."""

    def __init__(self, graft, steps=2, model=BASE):
        self.graft, self.folder = graft, tempfile.mkdtemp()
        with open(os.path.join(ROOT, "examples", "tiny_world", "train.jsonl"), encoding="utf-8") as whole:
            self.write("train.jsonl", "".join(whole.readlines()[:4]))
        self.write("texts.jsonl", '{"ids": [0, 5, 6]}\n')
        self.write("config.yaml", CONFIG % (model, steps))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def begin(self, *arguments, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([self.graft, *arguments, "--threads", "2"], cwd=self.folder, **options)

    def end(self, process):
        out, said = process.communicate(timeout=STUCK_SECONDS)
        return process.returncode, (said or b"").decode(errors="replace")

    def run(self, *arguments, **options):
        return self.end(self.begin(*arguments, **options))

    def wait_for(self, name, process):
        began = time.monotonic()
        while not os.path.exists(self.path(name)) and process.poll() is None and time.monotonic() < began + STUCK_SECONDS:
            time.sleep(0.005)

    def unfinished(self):
        return [name for _, _, files in os.walk(self.folder) for name in files if ".partial" in name]

    def whole_adapters(self):
        """The folders with a whole adapter; None if one is broken."""
        whole = []
        for folder, _, files in os.walk(self.folder):
            if "adapter_config.json" not in files and "adapter_model.safetensors" not in files:
                continue
            try:
                with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as config:
                    json.load(config)
                with open(os.path.join(folder, "adapter_model.safetensors"), "rb") as weights:
                    data = weights.read()
                length = struct.unpack("<Q", data[:8])[0]
                tensors = json.loads(data[8:8 + length])
                if max(t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__") != len(data) - 8 - length:
                    return None
            except (OSError, ValueError, struct.error):
                return None
            whole.append(os.path.relpath(folder, self.folder))
        return whole


def unless(condition, *seen):
    return None if condition else " | ".join(str(s) for s in seen)


def copy_of_base(place):
    model = place.path("model")
    shutil.copytree(BASE, model)
    place.write("config.yaml", CONFIG % (model, 1000000))
    return os.path.join(model, "model.safetensors")


def weights_cut_short_under_a_run_are_named(graft):
    with Place(graft) as place:
        weights = copy_of_base(place)
        process = place.begin("train", "config.yaml", "--quiet")
        place.wait_for("out/adapters/step-000002", process)
        os.truncate(weights, 4096)
        code, said = place.end(process)
        whole = place.whole_adapters()
        named = f"graft: error: {weights}: could not be read any more" in said and "  cure: " in said
        return unless(code == 1 and named and whole and not place.unfinished(), code, said, whole, place.unfinished())


def weights_that_vanish_under_a_run_change_nothing(graft):
    with Place(graft) as place:
        weights = copy_of_base(place)
        process = place.begin("train", "config.yaml", "--quiet")
        place.wait_for("out/metrics.jsonl", process)
        os.unlink(weights)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        code, said = place.end(process)
        return unless(code == 130 and "out" in (place.whole_adapters() or []), code, said, place.whole_adapters())


def a_run_may_be_interrupted_at_any_moment(graft):
    seen = set()
    for moment in range(24):
        with Place(graft, steps=60) as place:
            process = place.begin("train", "config.yaml", "--quiet")
            time.sleep(0.01 * moment)
            for _ in range(1 + moment % 2):  # some users press twice
                process.send_signal(signal.SIGTERM if moment % 3 == 0 else signal.SIGINT)
            code, said = place.end(process)
            whole = place.whole_adapters()
            early = code in (-signal.SIGINT, -signal.SIGTERM) and not os.path.exists(place.path("out"))  # before main()
            saved = "the adapter was saved" not in said or "out" in (whole or [])
            if whole is None or place.unfinished() or not saved or not (early or code == 130 and "graft: stopped: " in said or code == 0 and "out" in whole):
                return f"moment {moment}: {code} {said} {whole} {place.unfinished()}"
            seen.add(code)
    return unless(130 in seen, f"no moment found a run under way: {seen}")


PRINTING = (
    ("--help",), ("--version",), ("train", "--help"), ("train", "config.yaml", "--quiet", "--force"), ("plan", "config.yaml"), ("data", "check", "config.yaml"),
    ("data", "show", "config.yaml"), ("score", "--model", BASE, "--input", "texts.jsonl"), ("generate", "--model", BASE, "--prompt", "Once", "--max-new-tokens", "2"),
    ("tokenize", "--model", BASE, "--text", "Once"), ("inspect", BASE), ("doctor",),
    ("evaluate", "--model", BASE, "--data", "train.jsonl", "--format", "dolly", "--limit", "1"),
)


def nobody_reads(graft, **options):
    """Every command that prints, with a stdout that takes nothing."""
    with Place(graft) as place:
        for command in PRINTING:
            command_options = {name: make() for name, make in options.items()}
            process = subprocess.Popen([graft, *command], cwd=place.folder, stderr=subprocess.PIPE, **command_options)
            code, said = place.end(process)
            for file in command_options.values():
                if isinstance(file, int):
                    os.close(file)
            if code != 1 or "graft: error: " not in said or "  cure: " not in said:
                return f"{' '.join(command)}: {code} {said}"
        return unless("out" in (place.whole_adapters() or []), "the trained adapter is not whole")


def a_full_stdout_is_an_error_of_every_command(graft):
    return nobody_reads(graft, stdout=lambda: os.open("/dev/full", os.O_WRONLY))


def a_closed_stdout_is_an_error_of_every_command(graft):
    return nobody_reads(graft, preexec_fn=lambda: lambda: os.close(1))


def a_pipe_without_reader_is_an_error_of_every_command(graft):
    def broken():
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    return nobody_reads(graft, stdout=broken)


def without_stderr_a_run_ends_as_ever(graft):
    with Place(graft) as place:
        process = place.begin("train", "config.yaml", stderr=None, preexec_fn=lambda: os.close(2))
        code, _ = place.end(process)
        return unless(code == 0 and "out" in (place.whole_adapters() or []) and not place.unfinished(), code)


OUTPUTS = (
    ("train", "config.yaml", "--quiet", "--force", "training.output_dir=small/out"),
    ("score", "--model", BASE, "--input", "texts.jsonl", "--output", "small/scores.jsonl", "--logits", "small/logits.safetensors", "--quiet"),
    ("evaluate", "--model", BASE, "--data", "train.jsonl", "--format", "dolly", "--limit", "1", "--output", "small/result.json", "--quiet"),
)


def a_limit_on_the_size_of_files_is_a_full_disk(graft):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    with Place(graft) as place:
        os.mkdir(place.path("small"))
        for command in OUTPUTS:
            code, said = place.run(*command, preexec_fn=limit)
            if code != 1 or "File too large" not in said or "small/" not in said or place.unfinished() or place.whole_adapters() != []:
                return f"{command[0]}: {code} {said} {place.unfinished()}"
    return None


def can_mount():
    return subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


def on_small_disk(place, mount, command):
    """Runs the command with a disk of its own at "small", in a mount namespace that ends with it; what is left there is copied to "left"."""
    script = f"{mount}; \"$@\"; code=$?; cp -a small/. left; exit $code"
    return place.end(subprocess.Popen(["unshare", "--mount", "sh", "-c", script, "sh", place.graft, *command], cwd=place.folder, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE))


def a_full_disk_leaves_what_was_there(graft):
    if not shutil.which("unshare") or not can_mount():
        return SKIPPED + "this user cannot mount a small disk"
    fill = "mount -t tmpfs -o size=28k none small; mkdir small/out; cp -a old/. small/out; cat /dev/zero >small/filling 2>/dev/null"
    with Place(graft) as place:
        code, said = place.run("train", "config.yaml", "--quiet", "adapter.r=1", "training.output_dir=old", "training.save_steps=0")
        for folder in ("old/adapters", "old/README.md"):
            subprocess.run(["rm", "-rf", place.path(folder)], check=True)
        os.mkdir(place.path("small"))
        for command in OUTPUTS:
            os.mkdir(place.path("left"))
            code, said = on_small_disk(place, fill, command)
            same = subprocess.run(["cmp", place.path("old", "adapter_model.safetensors"), place.path("left/out/adapter_model.safetensors")]).returncode == 0
            if code != 1 or "No space left" not in said or not same or place.unfinished() or place.whole_adapters() is None:
                return f"{command[0]}: {code} {said} {place.unfinished()} same adapter: {same}"
            shutil.rmtree(place.path("left"))
    return None


def a_disk_that_fills_leaves_checkpoints_to_go_on_from(graft):
    if not shutil.which("unshare") or not can_mount():
        return SKIPPED + "this user cannot mount a small disk"
    with Place(graft, steps=1000) as place:
        os.mkdir(place.path("small"))
        os.mkdir(place.path("left"))
        settings = ("train", "config.yaml", "--quiet", "training.save_total_limit=0")
        code, said = on_small_disk(place, "mount -t tmpfs -o size=500k none small", (*settings, "training.output_dir=small/out"))
        kept = sorted(os.listdir(place.path("left", "out", "checkpoints")))
        if code != 1 or "No space left" not in said or place.unfinished() or len(kept) < 2:
            return f"{code} {said} {place.unfinished()} {kept}"
        whole = [place.run("inspect", os.path.join("left", "out", "checkpoints", name))[0] for name in kept]
        steps = f"training.max_steps={len(kept) + 3}"
        again, told = place.run(*settings, "training.output_dir=left/out", steps, "--allow-change", "training.max_steps")
        return unless(not any(whole) and again == 0 and "left/out" in (place.whole_adapters() or []), whole, again, told)


def a_folder_that_may_not_be_written_is_an_error(graft):
    if not shutil.which("unshare") or not can_mount():
        return SKIPPED + "this user cannot mount a read-only disk"
    with Place(graft) as place:
        os.mkdir(place.path("small"))
        os.mkdir(place.path("left"))
        for command in OUTPUTS:
            code, said = on_small_disk(place, "mount -t tmpfs -o ro none small", command)
            if code != 1 or "Read-only file system" not in said or "  cure: choose a folder that this user may write to" not in said:
                return f"{command[0]}: {code} {said}"
    return None


CLAIMS = (
    weights_cut_short_under_a_run_are_named, weights_that_vanish_under_a_run_change_nothing, a_run_may_be_interrupted_at_any_moment,
    a_full_stdout_is_an_error_of_every_command, a_closed_stdout_is_an_error_of_every_command, a_pipe_without_reader_is_an_error_of_every_command,
    without_stderr_a_run_ends_as_ever, a_limit_on_the_size_of_files_is_a_full_disk, a_full_disk_leaves_what_was_there,
    a_folder_that_may_not_be_written_is_an_error, a_disk_that_fills_leaves_checkpoints_to_go_on_from,
)


def main():
    failures = 0
    for claim in CLAIMS:
        seen = claim(os.path.abspath(sys.argv[1]))
        failures += seen is not None and not seen.startswith(SKIPPED)
        word = "ok   " if seen is None else "skip " if seen.startswith(SKIPPED) else "FAIL "
        print(f"{word} {claim.__name__.replace('_', ' ')}" + (f": {seen}" if seen else ""))
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
