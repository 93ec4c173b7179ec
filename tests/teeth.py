#!/usr/bin/env python3
"""Teeth: plants one fault at a time and demands that a test fails.

    teeth.py SOURCE BUILD

Each row below changes one line of the product. The changed file alone is compiled, with the flags of the build, and linked in front of the libraries of the test named beside it; that test
must then fail. A script (cli/...) gets a graft linked so, and ends at the first claim that fails. Faults in .cu files are planted in the ops' tests on the host (tests/cuda_on_host). A row whose text is no longer in its file is an error too: the list has to follow the code. Needs a build made by Ninja.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading

# file, text, what it becomes, the test that must notice
FAULTS = [
    ("autograd/ops/linear.c", "params.scale, whole(dy, false)", "params.scale * 2, whole(dy, false)", "ops_linear"),
    ("autograd/ops/linear.c", "adds(n, W) ? 1 : 0", "adds(n, W) ? 0 : 0", "ops_linear"),
    ("autograd/ops/linear.c", "dy, NULL, n->params.scale, adds(n, BIAS)", "dy, NULL, 1, adds(n, BIAS)", "ops_linear"),
    ("autograd/ops/scale_columns.c", "sum[j] / norm[j]", "sum[j]", "ops_scale_columns"),
    ("autograd/ops/row_norms.c", "(double)w[i] + (double)update[i]", "(double)w[i]", "ops_row_norms"),
    ("autograd/ops/rmsnorm.c", "rstd * (dy[i] * (w[i] + shift) - x[i] * back)", "rstd * (dy[i] * (w[i] + shift))", "ops_rmsnorm"),
    ("autograd/ops/rmsnorm.c", "dy[i] * (w[i] + shift) * x[i]", "dy[i] * (w[i] - shift) * x[i]", "ops_rmsnorm"),
    ("autograd/ops/replace_rows.c", "+= n->params.lookup.scale * values[i]", "+= values[i]", "ops_replace_rows"),
    ("autograd/ops/rope.c", "n->out[Y]->grad, -1, adds", "n->out[Y]->grad, 1, adds", "ops_rope"),
    ("autograd/ops/layernorm.c", "dy[i] * w[i] - plain - (x[i]", "dy[i] * w[i] - (x[i]", "ops_layernorm"),
    ("autograd/ops/layernorm.c", "add_ranges(n, B, partial + width, parts)", "add_ranges(n, B, partial, parts)", "ops_layernorm"),
    ("autograd/ops/rope.c", "a = from[2 * j], b = from[2 * j + 1]", "b = from[2 * j], a = from[2 * j + 1]", "ops_rope"),
    ("autograd/ops/gated.c", "dy[i] * up[i] * activation##_f32(gate[i]).slope", "dy[i] * up[i] * activation##_f32(gate[i]).value", "ops_gated"),
    ("autograd/ops/attention_backward.c", "(ds[r * PANEL + j] - delta[r]) * scale", "ds[r * PANEL + j] * scale", "ops_attention"),
    ("autograd/ops/attention_backward.c", "(struct strided){ q, 1, size }, ds, PANEL, w->part[DK]", "(struct strided){ dy, 1, size }, ds, PANEL, w->part[DK]", "ops_attention"),
    ("autograd/ops/attention_backward.c", "score[j] += slope * ((float)(key + j) - (float)query)", "score[j] += slope * (float)(key + j)", "ops_attention"),
    ("autograd/ops/embed.c", "0, n->out[Y]->rows * width, adds(n, ONTO)", "0, n->out[Y]->rows * width, false", "ops_embed"),
    ("autograd/ops/head_loss.c", "logits[label] -= weight;", "logits[label] -= 1;", "ops_head_loss"),
    ("autograd/ops/head_loss.c", "{ U, DU }, { V, DV }", "{ U, DU }, { V, DU }", "ops_head_loss"),
    ("autograd/ops/head_loss.c", "rows, add ? 1 : 0, dv->data", "rows, 0, dv->data", "ops_head_loss"),
    ("adapters/lora_walk.c", "NULL, NULL, m->scale), cast", "NULL, NULL, 1), cast", "adapters_lora"),
    ("models/decoder.c", "update.v == first_update.v", "true", "inference_choices"),
    ("autograd/ops/join_rows.c", "to += bytes;", ";", "ops_join_rows"),
    ("models/decoder.c", "owner != first_owner || ", "", "inference_choices"),
    ("inference/forward.c", "first_id += in_front[i].tokens;", ";", "inference_choices"),
    ("inference/generate.c", "session_in_front(l->session, prompt->choice).first_position", "session_in_front(l->session, 0).first_position", "inference_choices"),
    ("autograd/ops/take_rows.c", "memset(dx->data, 0, tensor_bytes(dx));", ";", "ops_take_rows"),
    ("autograd/ops/embed_columns.c", "row[ids[r]] +=", "row[ids[r]] =", "ops_embed_columns"),
    ("autograd/ops/replace_rows.c", "+ from + i] += n->params.lookup.scale", "+ from + i] = n->params.scale", "ops_replace_rows"),
    ("autograd/ops/replace_rows.c", " || is_padding(n, r)", "", "ops_replace_rows"),
    ("autograd/ops/replace_rows.cu", " && !(takers.ids && takers.ids[r] == padding)", "", "cuda_on_host_replace_rows"),
    ("autograd/ops/embed.c", "adds(n, input)", "!adds(n, input)", "ops_embed"),
    ("autograd/ops/dropout.c", ".stream = n->stream,", ".stream = n->stream + (n->grad_to != 0),", "ops_dropout"),
    ("autograd/ops/adamw.c", "p[i] * u.keep", "p[i]", "ops_adamw"),
    ("autograd/ops/adamw.c", "(double)hyper[RATE] * (double)factor[0]", "(double)hyper[RATE]", "ops_adamw"),
    ("autograd/ops/sum_squares.c", "sum += partial[b]", "sum = partial[b]", "ops_sum_squares"),
    ("autograd/plan.c", "if (grad->id < 0 || written[grad->id])", "if (grad->id < 0)", "adapters_lora"),
    ("autograd/plan.c", "copy->out[j]->grad = t->grad;", ";", "plan_plan"),
    ("autograd/place.c", "life[root(life, giver->id)].last != s", "life[root(life, giver->id)].last < s", "plan_plan"),
    ("autograd/place.c", "if (other->last < item->first || other->first > item->last)", "if (other->last <= item->first || other->first > item->last)", "plan_plan"),
    ("models/decoder.c", "graph_segment(p->g, layer + 1)", "graph_segment(p->g, 1)", "plan_plan"),
    ("trainer/step.c", "TRY(forward_start(stepper->session, &stepper->forward, feed, err));", "struct feed own = *feed; own.weight = (float)(1.0 / (double)feed->batch->selected); TRY(forward_start(stepper->session, &stepper->forward, &own, err));", "train_step"),
    ("trainer/step.c", "(float)(1 / (double)result->trained)", "(float)(1 / (double)result->trained / stepper->comm->ranks)", "cli/ranks_test"),
    ("trainer/train.c", "{ .steps = p->step,", "{ .steps = p->step - 1,", "cli/resume_test"),
    ("trainer/train.c", ".best_eval_loss = p->best_eval_loss,\n                                             .best_step", ".best_eval_loss = NAN,\n                                             .best_step", "cli/resume_test"),
    ("trainer/train.c", "loop->since_best = p->since_best;", "loop->since_best = 0;", "cli/resume_test"),
    ("trainer/checkpoint.c", "tensor_upload(p->device, p->first, checkpoint->first);", "", "cli/resume_test"),
    ("trainer/checkpoint.c", "tensor_upload(p->device, p->second, checkpoint->second);", "", "cli/resume_test"),
    ("trainer/saves.c", "memcpy(saves->best, from->best,", "memcpy(saves->best, from->value,", "cli/resume_test"),
    ("trainer/train.c", "&& saves_aside(", "&& saves_step(", "cli/ranks_test"),
    ("trainer/saves.c", "oldest = kept->step[0];", "oldest = kept->step[kept->count - 1];", "cli/resume_test"),
    ("trainer/saves.c", "return bytes ? file_cut(path, bytes, err) : file_remove(path, err);", "return bytes ? OK : file_remove(path, err);", "cli/resume_test"),
    ("common/hdf5_file.c", "if (memcmp(seal, file->map.bytes, SEAL) != 0)", "if (false)", "cli/resume_test"),
    ("trainer/resume.c", "if (status != BAD_FILE) {", "if (status != OK) {", "cli/resume_test"),
    ("trainer/changes.c", "if (!fine && seen->refused++ == 0)", "if (!fine && seen->refused == 0)", "cli/resume_test"),
    ("trainer/changes.c", "run->identity && i < IDENTITY_PARTS", "run->identity && i < 0", "cli/resume_test"),
    ("trainer/gradient_sum.c", "first & size && sum->block", "sum->block", "train_ranks"),
    ("adapters/lora.c", "sqrt(rank) : rank", "rank : rank", "adapters_lora"),
    ("adapters/lora_walk.c", "onto, -m->scale)", "onto, m->scale)", "adapters_pissa"),
    ("autograd/ops/lstm.c", "da[2 * hidden + j] = into * i[j] * (1 - g[j] * g[j])", "da[2 * hidden + j] = into * i[j]", "ops_lstm"),
    ("autograd/ops/lstm.c", "dc[j] = into * f[j];", "dc[j] = into;", "ops_lstm"),
    ("autograd/ops/activation.c", "dx[i] = dy[i] * curve##_f32(x[i]).slope", "dx[i] = dy[i] * curve##_f32(x[i]).value", "ops_activation"),
    ("autograd/ops/clamp.c", "x[i] >= -bound && x[i] <= bound ? dy[i] : 0", "x[i] <= bound ? dy[i] : 0", "ops_clamp"),
    ("models/decoder.c", "norm(p, a.k, l->head_norm[1], NULL)", "norm(p, a.k, l->head_norm[0], NULL)", "models_decoder"),
    ("models/decoder.c", "own.w, p->model->config.shape.one_plus, eps", "own.w, 0, eps", "models_decoder"),
    ("models/decoder.c", "shape.values_first ? q + kv : q,", "shape.values_first ? q : q,", "models_decoder"),
    ("autograd/ops/take_columns.c", "memset((char *)dx->data + (size_t)r * row, 0, row);", ";", "ops_take_columns"),
    ("adapters/lora_fold.c", "m->scale * b[r * rank + k]", "b[r * rank + k]", "adapters_merge_check"),
    ("adapters/lora_fold.c", "add_scaled(f->values + r * in, m->scale", "add_scaled(f->values + r * in, 0 * m->scale", "adapters_merge_check"),
    ("adapters/lora_fold.c", "sum > 0 ? (float)((double)magnitude / sqrt(sum)) : 0", "sum > 0 ? 1 + 0 * magnitude : 0", "adapters_merge_check"),
    ("adapters/lora_fold.c", "add_scaled(f->values, m->scale, values_of(f, m->bias)", "add_scaled(f->values, 1, values_of(f, m->bias)", "adapters_merge_check"),
    ("adapters/lora_fold.c", "+= m->scale * sum;", "+= sum;", "adapters_merge_check"),
    ("adapters/lora_fold.c", "trained + k * width", "trained", "adapters_merge_check"),
    ("adapters/lora_fold.c", "copy->head != head || ", "", "adapters_merge_check"),
    ("adapters/prefix_tuning.c", "slot(self, p, 2 * layer + 1)", "slot(self, p, 2 * layer)", "adapters_lora"),
    ("autograd/ops/layernorm.cu", "upstream[i] * weights[i] - plain -", "upstream[i] * weights[i] -", "cuda_on_host_layernorm"),
    ("autograd/ops/attention_backward.cu", "share * (dp[e] - t.delta[line])", "share * dp[e]", "cuda_on_host_attention"),
    ("autograd/ops/attention_bf16.cu", "r.sum[h] *= shrink[h];", ";", "cuda_on_host_attention"),
    ("autograd/ops/attention_bf16.cu", "sum += of[1] * by;", "sum += of[1];", "cuda_on_host_attention"),
    ("autograd/ops/attention_bf16.cu", "wait_for_copies();", ";", "cuda_on_host_attention"),
    ("autograd/ops/attention_bf16_backward.cu", "sum += values[i] * upstream[i];", "sum = values[i] * upstream[i];", "cuda_on_host_attention"),
    ("autograd/ops/attention_bf16_backward.cu", "share * (dp - r.delta)", "share * dp", "cuda_on_host_attention"),
    ("autograd/ops/attention_bf16_backward.cu", "add_lines(result, slopes,", "add_lines(result, scores,", "cuda_on_host_attention"),
    ("autograd/ops/attention_bf16_backward.cu", "add_lines(dv, scores,", "add_lines(dv, slopes,", "cuda_on_host_attention"),
    ("autograd/ops/attention_bf16_backward.cu", "i * part_floats + at", "at", "cuda_on_host_attention"),
    ("autograd/ops/rmsnorm.cu", "to[i] *= values[i] * scale;", "to[i] *= values[i];", "cuda_on_host_rmsnorm"),
    ("autograd/ops/row_norms.cu", "+= by * values[j];", "= by * values[j];", "cuda_on_host_row_norms"),
    ("autograd/ops/head_loss.cu", "values[i] += biases[i];", ";", "cuda_on_host_head_loss"),
    ("autograd/ops/adamw.cu", "r.ends[middle] * UNIT > at", "r.ends[middle] * UNIT >= at", "cuda_on_host_adamw"),
    ("autograd/cuda/gemm_plain.cu", "__syncthreads();\n        for (int i", "for (int i", "cuda_on_host_linear"),
    ("datasets/batch.c", "longer.trained += s->count > 0", "longer.trained += s->count < 0", "inference_virtual_tokens"),
    ("adapters/lora_walk.c", "linear(g, x, frozen->w, NULL, NULL, 1)", "linear(g, frozen->x, frozen->w, NULL, NULL, 1)", "adapters_dora"),
    ("datasets/batch.c", "s->labels[t] == NOT_TRAINED", "s->labels[t - 1] == NOT_TRAINED", "datasets_batches"),
    ("datasets/encode.c", "begin >= (int64_t)rendering->span[s].begin", "begin > (int64_t)rendering->span[s].begin", "datasets_masks"),
    ("datasets/layouts.c", "span.begin + strlen(layout->stop)", "span.begin", "datasets_layouts"),
    ("datasets/mixture.c", "epoch * count, count, seed", "0, count, seed", "datasets_mixture"),
    ("datasets/tree.c", "first_reply != leaf", "first_reply == leaf", "datasets_trees"),
]


def link_words(build, test):
    commands = subprocess.run(["ninja", "-C", build, "-t", "commands", test], capture_output=True, text=True, check=True).stdout
    last = [line for line in commands.splitlines() if re.search(rf"-o (tests/(\w+/)?)?{test} ", line)][-1]
    return shlex.split(re.sub(r"^(: )?&& ", "", last.strip()).removesuffix("&& :"))


def object_of(entry):
    words = shlex.split(entry["command"])
    return words[words.index("-o") + 1]


def entry_of(compile_commands, file, link):
    """How the file is compiled for a program: as one of its objects, else for a library."""
    entries = [e for e in compile_commands if os.path.realpath(e["file"]) == os.path.realpath(file)]
    return next((e for e in entries if object_of(e) in link), None) or next(e for e in entries if not object_of(e).startswith("tests/"))


def try_fault(source, build, compile_commands, fault, folder):
    path, text, becomes, test = fault
    script = os.path.join(source, "tests", test + ".sh") if test.startswith("cli/") else None
    test = "graft" if script else "test_" + test
    original = open(os.path.join(source, path), encoding="utf-8").read()
    if original.count(text) != 1:
        return f"'{text}' stands {original.count(text)} times in {path}, expected once"
    changed = os.path.join(folder, os.path.basename(path))
    open(changed, "w", encoding="utf-8").write(original.replace(text, becomes))
    link = link_words(build, test)
    entry = entry_of(compile_commands, os.path.join(source, path), link)
    words = shlex.split(entry["command"])
    unit = os.path.join(folder, "fault.o")
    words[words.index("-o") + 1] = unit
    words[-1] = changed
    compiled = subprocess.run(words + ["-I", os.path.dirname(os.path.join(source, path)), "-Wno-error"], cwd=entry["directory"], capture_output=True, text=True)
    if compiled.returncode:
        return "does not compile: " + compiled.stderr[-500:]
    program = os.path.join(folder, test)
    link[link.index("-o") + 1] = program
    if object_of(entry) in link:
        link[link.index(object_of(entry))] = unit
    else:
        link.insert(link.index("-o"), unit)
    linked = subprocess.run(link, cwd=build, capture_output=True, text=True)
    if linked.returncode:
        return "does not link: " + linked.stderr[-500:]
    device = {"GRAFT_TEST_DEVICE": "cuda"} if "cuda_on_host" in test else {}
    return None if notices([program], build, {**os.environ, "OMP_WAIT_POLICY": "passive", **device}) else f"{test} did not notice"


def notices(command, folder, environment):
    """Whether the program fails; its first failed test is enough. So is hanging."""
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as ran:
        late = threading.Timer(120, ran.kill)
        late.start()
        failed = any(b"FAILED" in line for line in ran.stdout)
        if failed:
            ran.kill()
        ran.wait()
        late.cancel()
    return failed or ran.returncode != 0
    try:
        device = {"GRAFT_TEST_DEVICE": "cuda"} if "cuda_on_host" in test else {}
        command = ["bash", script, program] if script else [program]
        ran = subprocess.run(command, cwd=build, capture_output=True, timeout=120, env={**os.environ, **device, "FIRST_FAILURE": "ends"})
    except subprocess.TimeoutExpired:
        return None
    return f"{fault[3]} {'did not notice' if ran.returncode == 0 else 'was skipped'}" if ran.returncode in (0, 77) else None


def main():
    source, build = (os.path.abspath(path) for path in sys.argv[1:3])
    compile_commands = json.load(open(os.path.join(build, "compile_commands.json"), encoding="utf-8"))
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.join(build, "graft_mpi.so"), os.path.join(folder, "graft_mpi.so"))  # beside a graft, if it is there
        for fault in FAULTS:
            complaint = try_fault(source, build, compile_commands, fault, folder)
            missed += complaint is not None
            print(f"{'MISS' if complaint else 'ok  '}  {fault[0]}: {fault[1]} -> {fault[2]}" + (f": {complaint}" if complaint else ""), flush=True)
    print(f"{len(FAULTS)} faults, {missed} not noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
