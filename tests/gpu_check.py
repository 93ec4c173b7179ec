#!/usr/bin/env python3
"""Everything that only a GPU can prove, then how fast it is: run by run_scripts/gpu_check.sh.

Parts run in order of worth, each within its own time and all within --minutes; what one part finds does not keep the next from running. After every part the
results so far stand in FOLDER/gpu_check.json and, to be read, in FOLDER/gpu_check.md. Exit status: 0 if every check passed, 1 if one failed, did not end in its
time, or there is no GPU (then nothing was run, and the files say so). Benchmarks that do not end in time fail nothing. Only the standard library is used.

    gpu_check.py BUILD FOLDER [--device cuda|cpu] [--minutes 9] [--part NAME ..] [--python PROGRAM]

BUILD: a portable folder, or a build folder with tests. --device cpu rehearses every part on the processors, with little work in each.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "benchmarks"))
import train_gpu  # noqa: E402

ONLY_ON_CPU = ("device", "gemm", "math", "parameters")  # tests of the room ops without kernels of a GPU
MOST_TOLD = 24000  # characters of what a failed command said: the table of the recorded references is that long
REHEARSED_OPS, REHEARSED_RECORDS = ("rmsnorm", "linear"), ("llama_gqa_tied", "gpt2_plain.prefix")
TRAJECTORY = """\
model: {{path: {root}/examples/base, dtype: {dtype}}}
adapter: {{peft_type: LORA, r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}}
data:
  train: [{{path: {root}/examples/tiny_world/train.jsonl, format: dolly, limit: 12}}]
  max_length: 256
  over_length: drop
training: {{output_dir: {output}, max_steps: 6, batch_size: 2, learning_rate: 5.0e-3, lr_scheduler_type: constant, logging_steps: 1, save_steps: 2, seed: 7}}
"""
MICRO_BATCHES_DIFFER = {"float32": 1e-4, "bfloat16": 2e-2}  # relative, losses of six steps: only the order of sums and roundings differs
DEVICES_DIFFER = {"float32": 1e-3, "bfloat16": 5e-2}


class Failed(Exception):
    """A claim does not hold; the text says which."""


class OutOfTime(Exception):
    """The part did not end in its time."""


class Check:
    """What the parts share: the programs, where to compute, and until when."""

    def __init__(self, options, scratch):
        self.build, self.device, self.python, self.scratch = os.path.abspath(options.build), options.device, options.python, scratch
        self.graft, self.rehearsal = os.path.join(self.build, "graft"), options.device == "cpu"
        self.jobs = max(1, min(8, len(os.sched_getaffinity(0))))
        self.ends = self.part_ends = time.monotonic() + 60 * options.minutes
        self.ceilings = None  # of `graft doctor`, which runs before all parts: without it there is no device

    def left(self):
        left = self.part_ends - time.monotonic()
        if left <= 0:
            raise OutOfTime()
        return left

    def run(self, *command, **environment):
        """stdout of a command that must end well. What it started ends with it: some programs only watch others."""
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                                 env={**os.environ, **environment}, cwd=ROOT, start_new_session=True)
        try:
            said, complained = child.communicate(timeout=self.left())
        except (subprocess.TimeoutExpired, OutOfTime):
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise OutOfTime() from None
        if child.returncode != 0:
            raise Failed(f"{' '.join(os.path.basename(word) for word in command[:4])}: exit {child.returncode}\n{(said + complained)[-MOST_TOLD:]}")
        return said

    def op_tests(self):
        """{name: command} of the ops' tests that concern this device."""
        together, apart = os.path.join(self.build, "test_ops"), os.path.join(self.build, "tests")
        if os.path.exists(together):
            found = {name: [together, name] for name in self.run(together).split()}
        else:
            names = [name for name in sorted(os.listdir(apart)) if name.startswith("test_ops_")] if os.path.isdir(apart) else []
            found = {name.removeprefix("test_ops_"): [os.path.join(apart, name)] for name in names}
        wanted = {name: command for name, command in found.items() if (name in REHEARSED_OPS if self.rehearsal else name not in ONLY_ON_CPU)}
        if not wanted:
            raise Failed(f"{self.build} has no tests of the ops: build with -DGRAFT_PORTABLE=ON or -DGRAFT_TESTS=ON")
        return wanted

    def run_ops(self, before=()):
        """Every op's test, several at once: (names that passed, {name: why} of those that failed, names for which there was no time)."""
        passed, failed, cut = [], {}, []

        def one(name, command):
            try:
                self.run(*before, *command, GRAFT_TEST_DEVICE=self.device)
                passed.append(name)
            except Failed as failure:
                failed[name] = str(failure)
            except OutOfTime:
                cut.append(name)

        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            for done in [pool.submit(one, *test) for test in self.op_tests().items()]:
                done.result()
        return passed, failed, cut


def summary_of_ops(result):
    passed, failed, cut = result
    figures = {"passed": len(passed), "failed": sorted(failed), "no_time_for": sorted(cut)}
    if failed:
        raise Failed(f"{len(failed)} of {len(passed) + len(failed)} tests failed\n" + "\n".join(f"{name}: {why}" for name, why in sorted(failed.items()))[-MOST_TOLD:])
    if cut:
        raise OutOfTime(f"{len(passed)} passed, no time for {', '.join(sorted(cut))}")
    return f"{len(passed)} tests", figures


def doctor(check):
    flops, bandwidth, said = check.ceilings
    return f"{flops / 1e12:.1f} TFLOP/s, memory {bandwidth / 1e9:.0f} GB/s", {"flops": flops, "bytes_per_second": bandwidth, "said": said.splitlines()}


def ops(check):
    return summary_of_ops(check.run_ops())


def sanitizer(check):
    program = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if check.rehearsal or not program:
        return None, "it watches GPUs alone" if check.rehearsal else "no compute-sanitizer here"
    passed, failed, cut = check.run_ops((program, "--tool", "memcheck", "--error-exitcode", "9"))
    summary, figures = summary_of_ops((passed, failed, []))
    return f"{summary} clean" + (f", no time for {', '.join(sorted(cut))}" if cut else ""), figures | {"no_time_for": sorted(cut)}


def parity(check, dtype):
    """Logits, log-probabilities, five steps and what they leave, of every record."""
    command = [sys.executable, "-B", os.path.join(HERE, "reference", "compare.py"), check.graft, "--device", check.device, "--dtype", dtype, "--jobs", str(check.jobs)]
    said = check.run(*command, *(("--only", *REHEARSED_RECORDS) if check.rehearsal else ()))
    lines = said.splitlines()
    worst = {}
    for kind, at in zip(lines[0].split()[2:], range(34, 400, 18)):
        errors = [float(line[at:at + 17]) for line in lines[1:-2] if line[at:at + 17].strip()]
        worst[kind] = max(errors, default=None)
    return f"{lines[-1]}; worst: {', '.join(f'{kind} {error:.1e}' for kind, error in worst.items() if error is not None)}", {"worst": worst, "table": lines}


def train(check, name, dtype, device, *settings):
    """The folder of a run over the embedded example."""
    output, config = os.path.join(check.scratch, name), os.path.join(check.scratch, name + ".yaml")
    with open(config, "w") as file:
        file.write(TRAJECTORY.format(root=ROOT, dtype=dtype, output=output))
    check.run(check.graft, "train", config, "--device", device, "--quiet", "--force", *settings)
    return output


def losses(folder):
    with open(os.path.join(folder, "metrics.jsonl")) as file:
        return [row["loss"] for row in map(json.loads, file) if "loss" in row]


def adapter(folder):
    with open(os.path.join(folder, "adapter_model.safetensors"), "rb") as file:
        return file.read()


def furthest(a, b):
    return max(abs(x - y) / abs(x) for x, y in zip(a, b, strict=True))


def trajectory(check, dtype):
    """Of one dtype: the same bytes twice, after a resume too; other micro-batches and the processors to rounding."""
    once = train(check, f"{dtype}_once", dtype, check.device)
    if adapter(train(check, f"{dtype}_again", dtype, check.device)) != adapter(once):
        raise Failed("the same training twice gave other bytes")
    resumed = os.path.join(check.scratch, f"{dtype}_resumed")
    shutil.copytree(once, resumed)
    for name in ("manifest.json", "adapter_config.json", "adapter_model.safetensors", "checkpoints/step-000006.h5"):
        os.remove(os.path.join(resumed, name))  # what a run leaves that was killed behind step 4
    check.run(check.graft, "train", os.path.join(check.scratch, f"{dtype}_once.yaml"), f"training.output_dir={resumed}", "--device", check.device, "--quiet")
    if adapter(resumed) != adapter(once):
        raise Failed("a run that went on from a checkpoint gave other bytes")
    split = furthest(losses(once), losses(train(check, f"{dtype}_split", dtype, check.device, "training.micro_batch_tokens=1")))
    apart = furthest(losses(train(check, f"{dtype}_cpu", dtype, "cpu")), losses(once))
    figures = {"micro_batches_differ": split, "devices_differ": apart}
    if not (split <= MICRO_BATCHES_DIFFER[dtype] and apart <= DEVICES_DIFFER[dtype]):
        raise Failed(f"losses differ: {split:.1e} with other micro-batches ({MICRO_BATCHES_DIFFER[dtype]} is allowed), {apart:.1e} from the processors' ({DEVICES_DIFFER[dtype]})")
    return f"same bytes twice and resumed; other micro-batches {split:.1e}, processors {apart:.1e}", figures


def benchmark(check, case):
    if check.rehearsal:
        case = "tiny_decode" if train_gpu.CASES[case][1] == "decode" else "tiny"
    elif shutil.disk_usage(train_gpu.folder_for_models()).free < train_gpu.LARGEST_MODEL:
        return None, f"a model may need {train_gpu.LARGEST_MODEL / 1e9:.0f} GB in {train_gpu.folder_for_models()}"
    try:
        figures = train_gpu.measure(check.graft, check.python, check.device, case, check.left(), found=check.ceilings)
    except subprocess.TimeoutExpired:
        raise OutOfTime() from None
    except RuntimeError as failure:
        raise Failed(str(failure)) from None
    return train_gpu.row_of(case, figures).strip("| "), figures


# name, whether exit status depends on it, seconds at most, what runs
PARTS = (
    ("doctor", True, 40, doctor),
    ("ops", True, 120, ops),
    ("parity float32", True, 100, lambda check: parity(check, "float32")),
    ("trajectory float32", True, 40, lambda check: trajectory(check, "float32")),
    ("trajectory bfloat16", True, 40, lambda check: trajectory(check, "bfloat16")),
    ("parity bfloat16", True, 80, lambda check: parity(check, "bfloat16")),
    ("train llama_1b", False, 60, lambda check: benchmark(check, "llama_1b")),
    ("decode 7b", False, 60, lambda check: benchmark(check, "decode_7b")),
    ("train llama2_7b", False, 90, lambda check: benchmark(check, "llama2_7b")),
    ("memory 7b, 512 tokens", False, 50, lambda check: benchmark(check, "memory_7b")),
    ("sanitizer", True, 90, sanitizer),
    ("train llama3_8b", False, 100, lambda check: benchmark(check, "llama3_8b")),
)


def run_part(check, name, is_check, seconds, part):
    """{"name", "check", "result", "seconds", "summary", "figures"}; result is passed, failed, no time or skipped."""
    began = time.monotonic()
    check.part_ends = min(check.ends, began + seconds)
    figures = None
    try:
        check.left()
        summary, figures = part(check)
        result = "passed" if summary is not None else "skipped"
        summary, figures = (summary, figures) if summary is not None else (figures, None)
    except Failed as failure:
        result, summary = "failed", str(failure)
    except OutOfTime as cut:
        result, summary = "no time", str(cut) or f"it did not end in {seconds} s"
    except Exception as failure:  # what nobody expected is a result too, and the next part still runs
        result, summary = "failed", f"{type(failure).__name__}: {failure}"
    return {"name": name, "check": is_check, "result": result, "seconds": round(time.monotonic() - began, 1), "summary": summary, "figures": figures}


def write_results(folder, results):
    """Both files, each whole or as it was before."""
    lines = [f"# Check on a GPU: {results['outcome']}", "", f"{results['graft']}; device {results['device']}; {results['date']}", "", *results.get("why", ()),
             "| part | result | seconds | |", "|---|---|---|---|"]
    for row in results["parts"]:
        first = (row["summary"] or "").splitlines()[:1]
        lines.append(f"| {row['name']} | {row['result']} | {row['seconds'] if row['seconds'] is not None else ''} | {' '.join(first).replace('|', ';')} |")
    for row in results["parts"]:
        if row["result"] == "failed":
            lines += ["", f"{row['name']}:", "", "```", row["summary"], "```"]
    for name, text in (("gpu_check.json", json.dumps(results, indent=1) + "\n"), ("gpu_check.md", "\n".join(lines) + "\n")):
        beside = os.path.join(folder, name + ".partial")
        with open(beside, "w") as file:
            file.write(text)
        os.replace(beside, os.path.join(folder, name))


def not_run(names):
    return [{"name": name, "check": is_check, "result": "not run", "seconds": None, "summary": None, "figures": None} for name, is_check, _, _ in PARTS if name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("folder", help="for the results")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--part", nargs="+", choices=[row[0] for row in PARTS], help="only these")
    parser.add_argument("--python", help="with torch, transformers and peft, for comparison (default: this one, if it has them)")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    names = options.part or [row[0] for row in PARTS]
    with tempfile.TemporaryDirectory() as scratch:
        check = Check(options, scratch)
        if not os.access(check.graft, os.X_OK):
            parser.error(f"{check.graft} is no program: BUILD is a portable folder or a build folder")
        version = subprocess.run([check.graft, "--version"], check=True, capture_output=True, text=True).stdout.strip()
        results = {"outcome": "not run", "device": options.device, "date": time.strftime("%Y-%m-%d"), "graft": version, "parts": []}
        opened = subprocess.run([check.graft, "doctor", "--device", options.device], capture_output=True, text=True)
        if opened.returncode != 0:
            results |= {"why": [*opened.stderr.split("\n")], "parts": not_run(names)}
            write_results(options.folder, results)
            sys.exit(f"gpu_check: nothing was run: {opened.stderr.strip()}")
        check.ceilings = train_gpu.ceilings_told(opened.stdout, options.device)
        if not check.rehearsal and not check.python and train_gpu.has_peft(sys.executable):
            check.python = sys.executable
        for row in PARTS:
            if row[0] not in names:
                continue
            results["parts"].append(run_part(check, *row))
            bad = [done["name"] for done in results["parts"] if done["check"] and done["result"] in ("failed", "no time")]
            results["outcome"] = f"{len(bad)} checks did not pass" if bad else "all checks passed"
            write_results(options.folder, results)
            done = results["parts"][-1]
            print(f"{done['name']:24} {done['result']:8} {done['seconds']:6.1f} s  {done['summary'] if done['result'] == 'failed' else (done['summary'] or '').splitlines()[0]}", flush=True)
    print(f"{results['outcome']}; {options.folder}/gpu_check.md and .json")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
