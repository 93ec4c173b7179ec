"""Runs that go on, and runs that are taken again: checkpoints that are damaged, absurd or of another run, records that do not fit."""
import hashlib
import os
import struct

from good import KEPT, both, edit, get, nothing, put, remove, write

NEWEST = "kept/checkpoints/step-000002.h5"
NAMED = f"{KEPT} --resume {NEWEST}"
INSPECT, REPLAY = f"inspect {NEWEST}", "replay kept"
SEAL = 512
MICRO = 1024


def spoil(change_content, path=NEWEST):
    return lambda folder: put(folder, path, change_content(get(folder, path)))


def resealed(change_content):
    """A change of what is sealed, with a seal that fits."""
    def change(content):
        body = change_content(content)[SEAL:]
        seal = b"graft, sealed HDF5\n%d\n%s\n" % (SEAL + len(body), hashlib.sha256(body).hexdigest().encode())
        return seal.ljust(SEAL, b"\0") + body
    return spoil(change)


def numbers(step=2, best=0, since=0, metrics=None, micro=MICRO):
    """Other numbers: step, the best one, evaluations since, bytes of metrics.jsonl, tokens of a micro-batch."""
    def change(content):
        at = next(i for i in range(SEAL, len(content), 8) if struct.unpack_from("<3q", content, i) == (2, 0, 0) and struct.unpack_from("<q", content, i + 32) == (MICRO,))
        known = struct.unpack_from("<q", content, at + 24)[0]
        return content[:at] + struct.pack("<5q", step, best, since, known if metrics is None else metrics, micro) + content[at + 40:]
    return resealed(change)


def replaced(old, new, times=-1):
    def change(content):
        assert old in content, f"a checkpoint lacks {old}"
        return content.replace(old, new, times)
    return resealed(change)


def not_finite(content):
    """In the last of the vectors, which the file ends with."""
    return content[:-64] + struct.pack("<f", float("nan")) * 4 + content[-48:]


def every_checkpoint(change_content):
    return both(*(spoil(change_content, f"kept/checkpoints/step-00000{step}.h5") for step in (1, 2)))


def of_no_checkpoint(folder):
    os.unlink(os.path.join(folder, "kept/adapter_config.json"))
    for step in (1, 2):
        os.unlink(os.path.join(folder, f"kept/checkpoints/step-00000{step}.h5"))


def grown(content):
    """Every size in the file that is the number of parameters."""
    return content.replace(struct.pack("<Q", 5376), struct.pack("<Q", 1 << 60))


DELETE = "delete it: 'graft train' goes on from the one before it"
ROWS = (
    ("a checkpoint of no bytes", NAMED, write(NEWEST, b""), f"{NEWEST} | damaged: too short for a seal | {DELETE}"),
    ("a checkpoint that is cut", NAMED, spoil(lambda content: content[:-1]), f"{NEWEST} | damaged: its bytes are not those that were sealed | {DELETE}"),
    ("a checkpoint with one other bit", NAMED, spoil(lambda content: content[:9000] + bytes([content[9000] ^ 4]) + content[9001:]),
     f"{NEWEST} | damaged: its bytes are not those that were sealed | {DELETE}"),
    ("a checkpoint with more behind it", NAMED, spoil(lambda content: content + b"\0"), f"{NEWEST} | damaged: its bytes are not those that were sealed | {DELETE}"),
    ("no checkpoint is whole", KEPT, every_checkpoint(lambda content: content[:4000]),
     "kept | no checkpoint that a run could go on from | begin again with --force, or choose another folder"),
    ("a sealed file that is no HDF5", NAMED, resealed(lambda content: content[:SEAL] + b"x" * 4096), f"{NEWEST} | damaged: libhdf5 cannot read it | {DELETE}"),
    ("a checkpoint of step 0", NAMED, numbers(step=0), f"{NEWEST} | numbers that cannot be | {DELETE}"),
    ("a checkpoint of step 2^62", NAMED, numbers(step=1 << 62), f"{NEWEST} | numbers that cannot be | {DELETE}"),
    ("a best step that is to come", NAMED, numbers(best=3), f"{NEWEST} | numbers that cannot be | {DELETE}"),
    ("evaluations before the first step", NAMED, numbers(since=-1), f"{NEWEST} | numbers that cannot be | {DELETE}"),
    ("micro-batches of no token", NAMED, numbers(micro=0), f"{NEWEST} | numbers that cannot be | {DELETE}"),
    ("micro-batches of 2^40 tokens", NAMED, numbers(micro=1 << 40), f"{NEWEST} | numbers that cannot be | {DELETE}"),
    ("records of less than no byte", NAMED, numbers(metrics=-1), f"{NEWEST} | numbers that cannot be | {DELETE}"),
    ("records of 2^60 bytes", NAMED, numbers(metrics=1 << 60), f"{NEWEST} | metrics.jsonl has … bytes, and had 1152921504606846976 at this checkpoint | bring the file back…"),
    ("records that are gone", NAMED, remove("kept/metrics.jsonl"), f"{NEWEST} | metrics.jsonl has 0 bytes, and had … at this checkpoint | bring the file back…"),
    ("a checkpoint of another revision", NAMED, replaced(b"checkpoint, revision 1", b"checkpoint, revision 2"),
     f"{NEWEST} | of another revision than this graft writes | {DELETE}"),
    ("arrays of 2^60 values", NAMED, resealed(grown), f"{NEWEST} | no array 'value' of the right kind | {DELETE}"),
    ("an array under another name", NAMED, replaced(b"identity\0", b"idempity\0"), f"{NEWEST} | no array 'identity' of the right kind | {DELETE}"),
    ("values that are no numbers", NAMED, resealed(not_finite), f"{NEWEST} | values that are not finite | {DELETE}"),
    ("names without an end", NAMED, replaced(b"lora_B.weight\0", b"lora_B.weight."), f"{NEWEST} | names without an end | {DELETE}"),
    ("a tensor of another name", NAMED, replaced(b"layers.0.self_attn.q_proj.lora_A", b"layers.7.self_attn.q_proj.lora_A"),
     f"{NEWEST} | tensor '…layers.7.self_attn.q_proj.lora_A…' [4, 96] stands where the adapter has '…layers.0…' [4, 96] | it is of another adapter or model: begin again with --force"),
    ("a configuration that is no YAML", NAMED, replaced(b"model:\n", b"{odel:\n"), f"{NEWEST}: configuration:2:… | … | …"),
    ("another adapter, allowed", f"{KEPT} adapter.r=8 --allow-change adapter.r --allow-change start", nothing,
     f"{NEWEST} | 16 tensors of 5376 values, and the adapter has 16 of 10752 | it is of another adapter or model: begin again with --force"),
    ("another learning rate", f"{KEPT} training.learning_rate=1", nothing,
     f"{NEWEST} | is of another run: training.learning_rate was 5.0e-05 and is 1 | change it back, allow it with --allow-change training.learning_rate, or begin…"),
    ("another length of data", f"{KEPT} data.max_length=300", nothing, f"{NEWEST} | is of another run: data.max_length was 512 and is 300 | change it back…"),
    ("a change that another one is allowed", f"{KEPT} training.seed=5 --allow-change training.learning_rate", nothing,
     f"{NEWEST} | is of another run: training.seed was 1 and is 5; the others are listed above | change it back…"),
    ("other data", KEPT, edit("records.jsonl", "Hello.", "Hallo."), f"{NEWEST} | is of another run: data was … and is … | change it back, allow it with --allow-change data, or…"),
    ("other weights", KEPT, lambda folder: put(folder, "base/model.safetensors", get(folder, "base/model.safetensors")[:-2] + b"\x80\x3f"),
     f"{NEWEST} | is of another run: base was … and is … | change it back, allow it with --allow-change base, or…"),
    ("a change of nothing that there is", f"{KEPT} --allow-change training.sed", nothing, "--allow-change training.sed | no such setting | did you mean 'training.seed'?"),
    ("a change of nothing, in a fresh run", "train run.yaml --quiet --allow-change lora.r", nothing, "--allow-change lora.r | no such setting | settings are named by…"),
    ("a run that ends before its checkpoint", f"{KEPT} training.max_steps=1 --allow-change training.max_steps", nothing,
     f"{NEWEST} | 2 steps were taken, and the run now ends at 1 | raise training.max_steps or training.num_train_epochs"),
    ("to begin again and to go on", f"{KEPT} --force --resume auto", nothing, "--force | begins again, and --resume auto goes on | leave one of them out"),
    ("never to go on", f"{KEPT} --resume never", nothing,
     "run.yaml | training.output_dir: kept already holds a run (metrics.jsonl) | choose another folder, or give --force to replace it"),
    ("a checkpoint of another folder", f"train run.yaml --quiet --resume {NEWEST}", nothing,
     f"--resume {NEWEST} | no checkpoint of training.output_dir, ./out | name a file of its folder checkpoints, or auto, or never"),
    ("a checkpoint that is not there", f"{KEPT} --resume kept/checkpoints/step-000009.h5", nothing,
     "--resume kept/checkpoints/step-000009.h5 | no checkpoint of training.output_dir, kept | name a file…"),
    ("a manifest that is none", KEPT, write("kept/manifest.json", "["), "kept/manifest.json:1:1 | … | choose another folder, or give --force to replace what is there"),
    ("an outcome that is a number", KEPT, write("kept/manifest.json", '{"outcome": 1}'), "kept/manifest.json | … | choose another folder, or give --force to replace what is there"),
    ("a run before its first checkpoint, changed", f"{KEPT} training.seed=5", of_no_checkpoint,
     "kept/config.yaml | is of another run: training.seed was 1 and is 5 | change it back…"),
    ("a run before its first checkpoint, its configuration spoilt", KEPT, both(of_no_checkpoint, write("kept/config.yaml", "a: [")), "kept/config.yaml: configuration:… | … | …"),
    ("a damaged checkpoint to inspect", INSPECT, spoil(lambda content: content[:3000]), f"{NEWEST} | damaged: its bytes are not those that were sealed | delete the file…"),
    ("an absurd checkpoint to inspect", INSPECT, numbers(step=-5), f"{NEWEST} | numbers that cannot be | {DELETE}"),
    ("nothing to replay", "replay adapter", nothing, "adapter/manifest.json | No such file or directory | …"),
    ("a run to replay without records", REPLAY, both(write("kept/manifest.json", "{}"), remove("kept/metrics.jsonl")), "kept/metrics.jsonl | No such file or directory | …"),
    ("a run to replay whose records are of no step", REPLAY, both(write("kept/manifest.json", "{}"), write("kept/metrics.jsonl", '{"step": 1, "eval_loss": 2}\n')),
     "kept/metrics.jsonl | no step of this run | is this the file that graft wrote?"),
    ("a run to replay with a step 0", REPLAY, both(write("kept/manifest.json", "{}"), write("kept/metrics.jsonl", '{"step": 0, "grad_norm": 2}\n')),
     "kept/metrics.jsonl | … | …"),
    ("micro-batches to replay of no token", REPLAY, write("kept/manifest.json", '{"micro_batch_tokens": 0}'), "kept/manifest.json | … | …"),
)
