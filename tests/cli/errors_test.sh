#!/usr/bin/env bash
# Every place where input enters: exit status 2 (or as said), nothing on stdout, no file left behind, and a message with where, what and cure, word for word as in golden/.
# GOLDEN=write records the messages anew; read them before committing.
source "$(dirname "$0")/lib.sh"
golden=$root/tests/cli/golden
mkdir -p "$golden"
base=$root/examples/base

run_yaml() { # run_yaml NAME: a good configuration, to be spoilt by the caller
    cat >"$work/$1.yaml" <<YAML
model:
  path: $base
adapter:
  peft_type: LORA
  r: 4
data:
  train:
    - {path: $work/good.jsonl, format: dolly}
  max_length: 512
  over_length: error
training:
  output_dir: $work/out
  max_steps: 1
YAML
}

# refuse NAME STATUS command...: its stderr is golden/NAME, its stdout empty, and nothing new lies in the work folder.
refuse() {
    local name=$1 status=$2 got=0
    shift 2
    find "$work" | sort >"$work.before"
    (cd "$work" && "$graft" "$@" >"$work.out" 2>"$work.err" </dev/null) || got=$?
    find "$work" | sort >"$work.after"
    sed -e "s#$work#WORK#g" -e "s#$root#ROOT#g" -e 's/[0-9.]* [KMG]iB/SIZE/g' "$work.err" >"$work.said"
    [ "${GOLDEN-}" = write ] && cp "$work.said" "$golden/$name.txt"
    local wrong=""
    [ "$got" = "$status" ] || wrong="exit status $got, expected $status"
    [ -s "$work.out" ] && wrong="wrote to stdout"
    cmp -s "$work.before" "$work.after" || wrong="left files behind: $(diff "$work.before" "$work.after" | head -n 3)"
    grep -q '^  cure: .' "$work.said" || wrong="no cure"
    diff "$golden/$name.txt" "$work.said" >"$work.diff" 2>&1 || wrong="another message than golden/$name.txt: $(cat "$work.diff")"
    rm -f "$work".before "$work".after "$work".out "$work".err "$work".said "$work".diff
    if [ -n "$wrong" ]; then
        echo "FAIL  $name: $wrong"
        failures=$((failures + 1))
    else
        echo "ok    $name"
    fi
}

# spoil NAME SED-SCRIPT [more arguments]: a configuration with one thing wrong, for train
spoil() {
    local name=$1 script=$2
    run_yaml "$name"
    sed -i "$script" "$work/$name.yaml"
    refuse "$name" 2 train "$name.yaml" --quiet "${@:3}"
}

echo '{"instruction": "Say hello.", "context": "", "response": "Hello.", "category": "open_qa"}' >"$work/good.jsonl"
for name in command option value argument; do run_yaml "$name"; done

# the command line
refuse unknown_command 2 trian
refuse unknown_option 2 score --model "$base" --inptu x
refuse missing_option 2 score --model "$base"
refuse option_without_value 2 generate --model "$base" --prompt
refuse option_not_a_number 2 generate --model "$base" --prompt a --top-k many
refuse option_out_of_range 2 generate --model "$base" --prompt a --top-p 1.5
refuse option_twice 2 score --model "$base" --model "$base" --input x
refuse unknown_device 2 score --model "$base" --input good.jsonl --device gpu --quiet
refuse missing_argument 2 train
refuse two_inputs 2 generate --model "$base" --prompt a --input good.jsonl

# the run's YAML
spoil unknown_section 's/^training:/trainig:/'
spoil unknown_key 's/max_steps: 1/max_stpes: 1/'
spoil wrong_type 's/max_steps: 1/max_steps: many/'
spoil out_of_range 's/r: 4/r: 0/'
spoil quoted_number 's/max_steps: 1/max_steps: "1"/'
spoil duplicate_key 's/max_steps: 1/max_steps: 1\n  max_steps: 2/'
spoil missing_choice '/over_length/d'
spoil memory_limit 's/max_steps: 1/max_steps: 1\n  memory_limit: 0.001/'
spoil bad_choice 's/over_length: error/over_length: cut/'
spoil tab 's/^  r: 4/\tr: 4/'
spoil anchor 's/r: 4/r: \&x 4/'
spoil unknown_peft_type 's/LORA/LOAR/'
spoil unknown_format 's/format: dolly/format: doly/'
spoil unknown_template 's/format: dolly/format: dolly, template: aplaca/'
spoil template_field 's/format: dolly/format: dolly, template: {prompt: "{instrution}", response: "{response}"}/'
spoil no_such_target 's/r: 4/r: 4\n  target_modules: [q_porj]/'
spoil bad_expression 's/r: 4/r: 4\n  target_modules: "(q_proj"/'
spoil needs_evaluation 's/max_steps: 1/max_steps: 1\n  eval_steps: 1/'
spoil override_unknown 's/x/x/' training.learning_rat=1
spoil override_malformed 's/x/x/' training.learning_rate
refuse no_configuration 2 train nothing.yaml --quiet

# records
records() { # records NAME CONTENT: training on these records is refused
    printf "%b" "$2" >"$work/$1.jsonl"
    run_yaml "$1"
    sed -i "s#good.jsonl#$1.jsonl#" "$work/$1.yaml"
    refuse "$1" 2 train "$1.yaml" --quiet
}
records record_not_json '{"instruction": "a", "response": "b"}\n{"instruction": \n'
records record_missing_field '{"instruction": "a", "context": ""}\n'
records record_wrong_type '{"instruction": "a", "context": "", "response": 5}\n'
records record_not_utf8 '{"instruction": "a", "context": "", "response": "\xff"}\n'
records record_not_object '["a"]\n'
records record_unknown_field '{"instruction": "a", "context": "", "response": "b", "mood": "good"}\n'
records record_empty_response '{"instruction": "a", "context": "", "response": ""}\n'
records no_records '\n'
spoil record_too_long 's/max_length: 512/max_length: 8/'
spoil no_data_file 's/good.jsonl/nothing.jsonl/'

# model folders
config_number=0
model() { # model NAME: a copy of the example's base
    cp -r "$base" "$work/model_$1"
}
refuse no_model_folder 2 score --model nothing --input good.jsonl --quiet
for change in 's/"llama"/"lama"/' 's/"silu"/"sillu"/' 's/"hidden_size": 96/"hidden_size": -96/' 's/"rope_type": "default"/"rope_type": "spiral"/' 's/"num_key_value_heads": 2/"num_key_value_heads": 3/' 's/"num_hidden_layers": 4/"num_hidden_layers": 5/' 's/"intermediate_size": 256/"intermediate_size": 255/' 's/"vocab_size": 997,*/"vocab_size": 997, oops/'; do
    name=config_$((++config_number))
    model "$name"
    sed -i "$change" "$work/model_$name/config.json"
    refuse "$name" 2 score --model "model_$name" --input good.jsonl --quiet
done
model cut
head -c 5000 "$base/model.safetensors" >"$work/model_cut/model.safetensors"
refuse weights_cut 2 score --model model_cut --input good.jsonl --quiet
model zero
printf '\377\377\377\377\377\377\377\177{}' >"$work/model_zero/model.safetensors"
refuse weights_huge_header 2 score --model model_zero --input good.jsonl --quiet
model none
rm "$work/model_none/model.safetensors"
refuse weights_missing 2 score --model model_none --input good.jsonl --quiet
model tokens
sed -i 's/"ByteLevel"/"ByteLevle"/' "$work/model_tokens/tokenizer.json"
refuse tokenizer_component 2 tokenize --model model_tokens --text a

# what is scored, generated, tokenized
echo '{"ids": [1, 997]}' >"$work/id.jsonl"
refuse id_outside 2 score --model "$base" --input id.jsonl --quiet
echo '{"idss": [1]}' >"$work/field.jsonl"
refuse unknown_field_to_score 2 score --model "$base" --input field.jsonl --quiet
echo '{}' >"$work/nothing_to_score.jsonl"
refuse nothing_to_score 2 score --model "$base" --input nothing_to_score.jsonl --quiet
echo '{"ids": []}' >"$work/empty.jsonl"
refuse no_ids 2 score --model "$base" --input empty.jsonl --quiet
echo '{"ids": [5]}' >"$work/one.jsonl"
refuse output_exists 2 score --model "$base" --input one.jsonl --output good.jsonl --quiet
refuse output_folder_missing 1 score --model "$base" --input one.jsonl --output no/where.jsonl --quiet

# adapter folders
adapter() { # adapter NAME JSON
    mkdir -p "$work/adapter_$1"
    printf '%s\n' "$2" >"$work/adapter_$1/adapter_config.json"
}
refuse no_adapter 2 score --model "$base" --adapter nothing --input one.jsonl --quiet
adapter type '{"peft_type": "IA3"}'
refuse adapter_type 2 score --model "$base" --adapter adapter_type --input one.jsonl --quiet
adapter qalora '{"peft_type": "LORA", "r": 4, "use_qalora": true, "target_modules": ["q_proj"]}'
refuse adapter_qalora 2 score --model "$base" --adapter adapter_qalora --input one.jsonl --quiet
adapter weights '{"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]}'
refuse adapter_without_weights 2 score --model "$base" --adapter adapter_weights --input one.jsonl --quiet

# runs to report
reported() { # reported NAME LINES: a run whose metrics.jsonl has them
    mkdir -p "$work/run_$1"
    printf "%b" "$2" >"$work/run_$1/metrics.jsonl"
}
reported fine '{"step": 1, "loss": 2}\n'
refuse report_no_folder 2 report nothing --html page.html
refuse report_no_run 2 report adapter_type --html page.html
reported broken '{"step": 1, "loss": 2}\n{"step": 2, "loss": }\n'
refuse report_broken_line 2 report run_fine run_broken --html page.html --csv table.csv --tensorboard events
reported list '{"step": 1, "loss": [2]}\n'
refuse report_wrong_type 2 report run_list --csv table.csv
reported without_step '{"loss": 2}\n'
refuse report_no_step 2 report run_without_step --tensorboard events
reported empty '\n'
refuse report_no_lines 2 report run_empty --csv table.csv
refuse report_no_output 2 report run_fine
refuse report_one_output 2 report run_fine --html page --csv ./page
refuse report_output_exists 2 report run_fine --csv good.jsonl --html page.html
refuse report_run_twice 2 report run_fine run_fine --tensorboard events
done_claims
