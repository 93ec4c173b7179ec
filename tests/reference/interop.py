#!/usr/bin/env python3
"""Files between graft, torch and transformers.

    interop.py GRAFT [FOLDER...]     FOLDERs hold files of torch.save (*.bin) to be read besides

For every recorded case graft merges the adapter, transformers loads the merged folder without a word about keys, and both give the same logits; the case's
adapter, saved by torch.save in both of its forms and with the keys of a raw state dict, gives graft the results of the safetensors file. Every *.bin of
FOLDERs, taken for an adapter, has the values, tensors and norm that torch reads there.
(run_scripts/setup_reference.sh makes the environment)
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from exchange import ATTENTION, is_known

RECORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "records")


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def load(folder, case):
    model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=ATTENTION.get(case, "eager"), output_loading_info=True)
    return model.eval(), {what: keys for what, keys in report.items() if keys and "keys" in what}


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def peft_merges(folder):
    """Whether PEFT merges it: a bias of lora_bias needs one of the base model's to go to."""
    try:
        PeftModel.from_pretrained(load(folder + "/model", os.path.basename(folder))[0], folder + "/adapter").merge_and_unload()
    except RuntimeError:
        return False
    return True


def check_merge(graft, case, work):
    if not peft_merges(os.path.join(RECORDS, case)):
        folder = os.path.join(RECORDS, case)
        done = subprocess.run((graft, "merge", "--quiet", "--model", folder + "/model", "--adapter", folder + "/adapter", "--output", work + "/merged"), capture_output=True, text=True)
        assert done.returncode == 2 and "cannot be merged" in done.stderr, done.stderr
        print(f"{case:28} is merged by neither PEFT nor graft")
        return
    merged, folder = os.path.join(work, "merged"), os.path.join(RECORDS, case)
    run(graft, "merge", "--quiet", "--model", folder + "/model", "--adapter", folder + "/adapter", "--output", merged, "--dtype", "float32", "--max-shard-size", "20KB")
    with open(folder + "/score.jsonl") as file:
        lines = [json.loads(line)["ids"] for line in file]
    model, complaints = load(merged, case)
    assert not complaints, complaints
    adapted = PeftModel.from_pretrained(load(folder + "/model", os.path.basename(folder))[0], folder + "/adapter").eval()
    run(graft, "score", "--quiet", "--model", merged, "--input", folder + "/score.jsonl", "--logits", work + "/logits", "--output", "/dev/null", "--force")
    ours = load_file(work + "/logits")
    worst = max((logits(model, ids) - ours[f"logits.{i}"]).abs().max().item() for i, ids in enumerate(lines))
    against = max((logits(model, ids) - logits(adapted, ids)).abs().max().item() for ids in lines)
    assert worst < 1e-4 and against < 1e-4, (worst, against)
    print(f"{case:28} merged: graft and transformers differ by {worst:.1e}, transformers and PEFT by {against:.1e}")


def check_pickles(graft, case, work):
    folder, copy = os.path.join(RECORDS, case), os.path.join(work, "pickled")
    tensors = load_file(folder + "/adapter/adapter_model.safetensors")
    raw = {re.sub(r"\.lora_([AB])\.", r".lora_\1.default.", key): torch.nn.Parameter(value) for key, value in tensors.items()}
    score = ("score", "--quiet", "--model", folder + "/model", "--input", folder + "/score.jsonl", "--adapter")
    wanted = run(graft, *score, folder + "/adapter")
    for saved, zipped in ((tensors, True), (tensors, False), (raw, True), (raw, False)):
        shutil.rmtree(copy, ignore_errors=True)
        os.mkdir(copy)
        shutil.copy(folder + "/adapter/adapter_config.json", copy)
        torch.save(saved, copy + "/adapter_model.bin", _use_new_zipfile_serialization=zipped)
        assert run(graft, *score, copy) == wanted, (case, zipped)
    print(f"{case:28} in four pickles: the same results")


def check_file(graft, path, work):
    tensors = torch.load(path, weights_only=True, map_location="cpu")
    folder = os.path.join(work, "file")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    shutil.copy(path, folder + "/adapter_model.bin")
    with open(folder + "/adapter_config.json", "w") as file:
        json.dump({"peft_type": "UNKNOWN"}, file)
    said = run(graft, "inspect", folder)
    values = sum(t.numel() for t in tensors.values())
    assert f"values         {values} in {len(tensors)} tensors" in said, said
    norm = sum((t.double() ** 2).sum().item() for t in tensors.values()) ** 0.5
    rows = [[float(word) for word in line.replace("of no layer", "-1").split()[1:]] for line in said[said.index("norms of layer"):].splitlines()[1:]]
    assert abs(sum(row[-1] ** 2 for row in rows) ** 0.5 - norm) < 1e-4 * norm, (rows, norm)
    print(f"{os.path.basename(os.path.dirname(path)):28} {len(tensors)} tensors, norm {norm:.6g}")


def main(graft, *folders):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for case in sorted(os.listdir(RECORDS)):
        if all(os.path.isdir(os.path.join(RECORDS, case, part)) for part in ("model", "adapter")):
            with tempfile.TemporaryDirectory() as work:
                if is_known(case):
                    check_merge(graft, case, work)
                check_pickles(graft, case, work)
    for folder in folders:
        for at, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                if name in ("adapter_model.bin", "pytorch_model.bin"):
                    with tempfile.TemporaryDirectory() as work:
                        check_file(graft, os.path.join(at, name), work)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 1 else sys.exit(__doc__)
