#!/usr/bin/env python3
"""Loads adapter folders that graft wrote with PEFT, and proves that PEFT understands all of them.

    peft_reads.py WRITTEN...     each folder is named like a case of records/ and holds that case's adapter as graft wrote it

For every folder: PEFT loads it over the case's model without a warning about keys or settings, holds exactly the tensors of the file, computes
the recorded adapter_logits, and means the same modules, ranks, scales and dropout as with the folder it once wrote itself.
(run_scripts/setup_reference.sh makes the environment)
"""
import json
import os
import sys
import warnings

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

RECORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "records")


def load(case, adapter):
    base = AutoModelForCausalLM.from_pretrained(os.path.join(RECORDS, case, "model"), dtype=torch.float32, attn_implementation="eager")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base, adapter).eval()
    return model, [str(w.message) for w in caught if "keys" in str(w.message) or "config" in str(w.message).lower()]


def meaning(model):
    """Per LoRA layer what its computation depends on beside the tensors."""
    return {
        name: (module.r["default"], module.scaling["default"], str(module.lora_dropout["default"]))
        for name, module in model.named_modules() if isinstance(module, LoraLayer)
    }


def check(written):
    case = os.path.basename(os.path.normpath(written))
    model, complaints = load(case, written)
    own, _ = load(case, os.path.join(RECORDS, case, "adapter"))
    stored = load_file(os.path.join(written, "adapter_model.safetensors"))
    held = get_peft_model_state_dict(model)
    assert not complaints, complaints
    assert set(held) == set(stored), set(held) ^ set(stored)
    assert all(torch.equal(held[k], stored[k]) for k in stored), "values differ"
    assert meaning(model) == meaning(own), "another meaning"
    expected = load_file(os.path.join(RECORDS, case, "expected.safetensors"))
    with open(os.path.join(RECORDS, case, "score.jsonl")) as file:
        rows = [json.loads(line)["ids"] for line in file]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([rows[2]]), use_cache=False).logits[0]
    worst = (logits - expected["adapter_logits.2"]).abs().max().item()
    assert worst < 1e-4, f"logits differ by {worst}"
    print(f"{case:28} {len(stored):3} tensors, logits differ by {worst:.1e}")


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for written in sys.argv[1:] or sys.exit(__doc__):
        check(written)


if __name__ == "__main__":
    main()
