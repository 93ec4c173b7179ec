#!/usr/bin/env bash
# The commands on real input: what they print and write is what the README and --help say.
source "$(dirname "$0")/lib.sh"
base=$root/examples/base
shared=$root/../shared

# json FILE EXPRESSION: a Python expression over `lines` (the JSON objects of a file) that must be true
json() {
    python3 -c 'import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
result = eval(sys.argv[2])
print(lines[:2])
sys.exit(not result)' "$1" "$2"
}

cat >"$work/in.jsonl" <<'E2'
{"ids": [0, 5, 6, 7]}
{"text": "Once there was a child."}
{"context": "Once there was", "continuation": " a child"}
{"context_ids": [0, 5], "continuation_ids": [6, 7]}
{"ids": [9]}
E2
score() { "$graft" score --model "$base" --input "$work/in.jsonl" --output "$work/score.jsonl" --logits "$work/logits.safetensors" --quiet; }
claim "score runs" score
claim "one line for each line" json "$work/score.jsonl" 'len(lines) == 5 and [l["tokens"] for l in lines][0] == 3 and all(len(l["token_logprobs"]) == l["tokens"] for l in lines)'
claim "the sum is that of the tokens" json "$work/score.jsonl" 'all(abs(l["logprob"] - sum(l["token_logprobs"])) < 1e-4 for l in lines)'
claim "a context only shifts where the sum begins" json "$work/score.jsonl" 'abs(sum(lines[0]["token_logprobs"][1:]) - lines[3]["logprob"]) < 1e-5'
claim "one token predicts nothing" json "$work/score.jsonl" 'lines[4]["tokens"] == 0 and lines[4]["logprob"] == 0'

story="Once there was a child named Hugo. One evening he went to the castle. He found a silver key."
known=" A sleepy turtle came to him. The sleepy turtle wanted the silver key. The silver key was from the castle. Hugo felt hungry and went home."
continues() { "$graft" generate --model "$base" --prompt "$story" --max-new-tokens 60 --quiet >"$work/story.jsonl" && KNOWN="$known" json "$work/story.jsonl" 'lines[0]["text"].startswith(__import__("os").environ["KNOWN"])'; }
claim "the example's base continues a story as it should" continues

printf '{"prompt": "%s"}\n{"prompt": "Once"}\n{"ids": [0, 50, 60]}\n' "$story" >"$work/prompts.jsonl"
alone_and_together() {
    "$graft" generate --model "$base" --input "$work/prompts.jsonl" --max-new-tokens 24 --quiet --output "$work/together.jsonl" || return 1
    : >"$work/alone.jsonl"
    while read -r line; do
        echo "$line" >"$work/line.jsonl"
        "$graft" generate --model "$base" --input "$work/line.jsonl" --max-new-tokens 24 --quiet >>"$work/alone.jsonl" || return 1
    done <"$work/prompts.jsonl"
    cmp "$work/together.jsonl" "$work/alone.jsonl"
}
claim "answers made together are those made alone" alone_and_together
draws() { "$graft" generate --model "$base" --prompt "Once" --temperature 1 --top-k 50 --top-p 0.9 --seed "$1" --max-new-tokens 16 --quiet; }
same_seed() { [ "$(draws 3)" = "$(draws 3)" ] && [ "$(draws 3)" != "$(draws 4)" ]; }
claim "draws depend on the seed" same_seed
stops() { "$graft" generate --model "$base" --prompt "$story" --stop " wanted" --max-new-tokens 60 --quiet >"$work/stop.jsonl" && json "$work/stop.jsonl" 'lines[0]["text"].endswith("turtle") and lines[0]["finish_reason"] == "stop"'; }
claim "a stop text ends the answer and is left out" stops
chats() { # a template that prints BOS and what the user says: the answer goes on as from the plain text
    cp -r "$base" "$work/chat" && printf '{{ bos_token }}{%% for m in messages %%}{{ m.content }}{%% endfor %%}' >"$work/chat/chat_template.jinja" &&
        printf '{"messages": [{"role": "user", "content": "%s"}]}\n{"prompt": "%s"}\n' "$story" "$story" >"$work/chats.jsonl" &&
        "$graft" generate --model "$work/chat" --input "$work/chats.jsonl" --chat --max-new-tokens 60 --quiet >"$work/chat.jsonl" &&
        "$graft" generate --model "$work/chat" --prompt "$story" --chat --max-new-tokens 60 --quiet >>"$work/chat.jsonl" &&
        KNOWN="$known" json "$work/chat.jsonl" 'len(lines) == 3 and all(l == lines[0] and l["text"].startswith(__import__("os").environ["KNOWN"]) for l in lines)'
}
claim "messages, and prompts with --chat, go through the chat template" chats

back_and_forth() {
    "$graft" tokenize --model "$base" --text "Hello there, Hugo." >"$work/ids.jsonl" && "$graft" detokenize --model "$base" --input "$work/ids.jsonl" >"$work/text.jsonl" &&
        json "$work/ids.jsonl" 'lines[0]["ids"][0] == 0 and len(lines[0]["tokens"]) == len(lines[0]["ids"])' && json "$work/text.jsonl" 'lines[0]["text"] == "Hello there, Hugo."'
}
claim "text to ids and back" back_and_forth
claim "evaluate writes figures and hashes" bash -c "'$graft' evaluate --model '$base' --data '$root/examples/tiny_world/eval.jsonl' --format dolly --limit 4 --output '$work/e.json' --quiet && python3 -c 'import json; r = json.load(open(\"$work/e.json\")); assert r[\"loss\"][\"count\"] > 0 and len(r[\"model_hash\"]) == 64 and r[\"exact_match\"][\"count\"] == 4'"
plan_config() { # the embedded example, with records to evaluate
    printf 'model: {path: %s}\nadapter: {peft_type: LORA}\ndata:\n  train: [{path: %s/train.jsonl, format: dolly}]\n  eval: [{path: %s/eval.jsonl, format: dolly}]\n  max_length: 512\n  over_length: drop\ntraining: {output_dir: %s/planned, learning_rate: 1.0e-3}\n' "$base" "$root/examples/tiny_world" "$root/examples/tiny_world" "$work" >"$work/plan.yaml"
}
plan_peak() { "$graft" plan "$work/plan.yaml" "$@" | sed -n 's/^  peak .* \([0-9]*\) bytes$/\1/p'; }
plans_grow() { # more prompts and longer answers need more; evaluation has a peak too
    plan_config
    local few many
    few=$(plan_peak --for generate --prompts 1) && many=$(plan_peak --for generate --prompts 16 --max-new-tokens 2000) && [ "$many" -gt "$few" ] && [ "$(plan_peak --for evaluate)" -gt 0 ]
}
claim "plan speaks of evaluation and generation" plans_grow
claim "plan refuses another purpose" expect 2 "--for merge" "$graft" plan "$work/plan.yaml" --for merge
claim "inspect knows a model folder" bash -c "'$graft' inspect '$base' | grep -q 502080"
claim "doctor answers" bash -c "'$graft' doctor | grep -q GFLOP"
claim "doctor tells how fast memory is read" bash -c "'$graft' doctor | grep -qE '^read +[0-9.]+ GB/s'"
cat >"$work/chats.jsonl" <<'E2'
{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<script>Ho</script>"}]}
{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}, {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]}
E2
printf 'model: {path: %s}\nadapter: {peft_type: LORA}\ndata:\n  train: [{path: %s, format: messages, template: vicuna}]\n  over_length: drop\ntraining: {output_dir: %s/chats}\n' "$base" "$work/chats.jsonl" "$work" >"$work/chats.yaml"
cp -r "$base" "$work/talks" && cp "$work/chats.yaml" "$work/talks.yaml" && cat >"$work/talks/chat_template.jinja" <<'E2'
{{ bos_token }}{% for m in messages %}{{ m.role + '\n' + m.content + eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}
E2
own="model.path=$work/talks data.train.0.template=chat_template"
claim "data show marks answers in the model's own chat template" bash -c "'$graft' data show '$work/talks.yaml' $own --index 2 | grep -qF '[[I.</s>]]'"
claim "one BOS is enough" bash -c "! '$graft' data show '$work/talks.yaml' $own --index 2 | grep -qF '<s><s>'"
claim "training and evaluation take it too" bash -c "'$graft' train '$work/talks.yaml' $own training.output_dir='$work/talks_run' training.max_steps=1 --quiet && '$graft' evaluate --quiet --model '$work/talks' --adapter '$work/talks_run' --data '$work/chats.jsonl' --format messages"
page() { "$graft" data show "$work/chats.yaml" --html "$work/page.html" && grep -q '<mark> &lt;script&gt;Ho&lt;/script&gt;' "$work/page.html" && ! grep -qE '<script|src=|href=' "$work/page.html"; }
claim "data show marks every answer" bash -c "'$graft' data show '$work/chats.yaml' --index 2 | grep -qF 'ASSISTANT:[[ I.</s>]]USER: Why? ASSISTANT:[[ So.</s>]]'"
claim "data show trains on the last answer alone" bash -c "'$graft' data show '$work/chats.yaml' data.train.0.train_on=last_assistant --index 2 | grep -qF 'ASSISTANT: I.</s>USER: Why? ASSISTANT:[[ So.</s>]]'"
claim "data show draws at random and again the same" bash -c "[ \"\$('$graft' data show '$work/plan.yaml' --random 3)\" = \"\$('$graft' data show '$work/plan.yaml' --random 3)\" ]"
claim "data show writes a page of its own, escaped" page
claim "which it does not overwrite" bash -c "! '$graft' data show '$work/chats.yaml' --html '$work/page.html' 2>/dev/null"
claim "data check counts per source" bash -c "'$graft' data check '$work/chats.yaml' | grep -qF 'chats.jsonl (messages, template vicuna): 2 records, 2 conversations, 2 kept (0 of them cut), 0 dropped;'"
for command in train plan score generate evaluate data tokenize detokenize inspect doctor; do
    claim "$command --help explains itself" bash -c "'$graft' $command --help | grep -q 'graft $command'"
done
closed() { "$graft" tokenize --model "$base" --input "$work/many.jsonl" | true; return "${PIPESTATUS[0]}"; }
for _ in $(seq 3000); do echo '{"text": "Once there was a child who went to the castle."}'; done >"$work/many.jsonl"
fails_when_closed() { closed; [ $? = 1 ]; }
claim "a closed stdout is an error, not a crash" fails_when_closed
full() { "$graft" tokenize --model "$base" --text a >/dev/full; [ $? = 1 ]; }
claim "a full disk is an error" full

if [ -d "$shared/data/weights/stories260K_hf" ]; then
    stories=$shared/data/weights/stories260K_hf
    expected=$(python3 - "$shared/data/weights/stories260K/upstream_test_all.py.txt" <<'PY'
import ast, re, sys
print(ast.literal_eval(re.search(r"expected_stdout = (b'.*')", open(sys.argv[1]).read()).group(1)).decode(), end="")
PY
    )
    tells() { echo '{"ids": [1]}' >"$work/bos.jsonl" && "$graft" generate --model "$stories" --input "$work/bos.jsonl" --max-new-tokens 200 --ignore-eos --quiet >"$work/known.jsonl" && EXPECTED="$expected" json "$work/known.jsonl" 'lines[0]["text"].strip() == __import__("os").environ["EXPECTED"].strip()'; }
    claim "stories260K tells its known story, token for token" tells
else
    echo "skip  stories260K: the shared data are not here"
fi
done_claims
