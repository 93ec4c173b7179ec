#!/usr/bin/env bash
# Ranks that find each other through TCP by the variables of torchrun: the bytes of one rank, and what becomes of mistakes, strangers and lost ranks.
source "$(dirname "$0")/lib.sh"
unset WORLD_SIZE RANK MASTER_ADDR MASTER_PORT LOCAL_RANK LOCAL_WORLD_SIZE
export GRAFT=$graft MPIRUN= ASAN_OPTIONS="${ASAN_OPTIONS:-}"

cat >"$work/run.yaml" <<YAML
model: {path: $root/examples/base, dtype: float32}
adapter: {peft_type: LORA, r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}
$(example_data 40 7)
training:
  output_dir: $work/one
  max_steps: 4
  batch_size: 11
  micro_batch_tokens: 150
  learning_rate: 5.0e-3
  logging_steps: 1
  eval_steps: 2
  check_ranks_steps: 1
  seed: 7
YAML

ranks() { # ranks COUNT NAME [key=value | --option ...]
    local count=$1 name=$2
    shift 2
    "$root/run_scripts/train_multi_gpu.sh" "$count" "$work/run.yaml" --quiet "training.output_dir=$work/$name" "$@"
}

same() { # same NAME: adapter and metrics as of one rank, but for the clock and the memory
    cmp "$work/one/adapter_model.safetensors" "$work/$1/adapter_model.safetensors" && python3 - "$work/one/metrics.jsonl" "$work/$1/metrics.jsonl" <<'PY'
import json, sys
one, other = ([{k: v for k, v in json.loads(line).items() if k not in ("tokens_per_second", "memory_bytes")} for line in open(path)] for path in sys.argv[1:3])
sys.exit(one != other or len(one) != 6)
PY
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

rank() { # rank RANK RANKS PORT NAME [arguments]: one rank, started by hand
    RANK=$1 WORLD_SIZE=$2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$3 "$graft" train "$work/run.yaml" --quiet "training.output_dir=$work/$4" "${@:5}"
}

# With another's connection at the door of rank 0, said in bytes by Python, both ranks train all the same.
strangers() {
    local port rank_0
    port=$(free_port)
    rank 0 2 "$port" strangers &
    rank_0=$!
    python3 - "$port" <<'PY' || return 1
import socket, sys, time
held = []
for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"graft rank" + bytes(6), b"\xff" * 4096, b"graft rank" + bytes(6) + b"\xff" * 16 + bytes(36)):
    for attempt in range(200):
        try:
            held.append(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    try:
        held[-1].sendall(said)
    except OSError:
        pass
assert len(held) == 5
time.sleep(0.3)
assert held[1].recv(1) == b"", "let go"
PY
    rank 1 2 "$port" strangers && wait "$rank_0" && same strangers
}

# says BYTES-AS-PYTHON RANKS: rank 0 hears that hello
says() {
    local port got=0
    port=$(free_port)
    python3 - "$port" "$1" <<'PY' &
import socket, struct, sys, time
def hello(version=b"9.9.9", layout=0, rank=1, ranks=2, channel=0):
    return struct.pack("16s16siiiiI16s", b"graft rank", version, layout, rank, ranks, channel, 1, b"")
for attempt in range(400):
    try:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
s.sendall(eval(sys.argv[2]))
time.sleep(2)
PY
    rank 0 2 "$port" never || got=$?
    wait
    return "$got"
}

two_of_a_kind() { # two processes say that they are rank 1: all end, and rank 0 says why
    local port got=0
    port=$(free_port)
    rank 1 3 "$port" never 2>"$work/err-1" &
    rank 1 3 "$port" never 2>"$work/err-2" &
    rank 0 3 "$port" never || got=$?
    wait
    return "$got"
}

one_of_more() { # the ranks differ in how many they are
    local port got=0
    port=$(free_port)
    rank 1 3 "$port" never 2>/dev/null &
    rank 0 2 "$port" never || got=$?
    wait
    return "$got"
}

port_taken() {
    local port got=0 server
    port=$(free_port)
    python3 -c 'import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print(flush=True)
c, _ = s.accept(); c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(4096)); time.sleep(60)' "$port" >"$work/listens" &
    server=$!
    for _ in $(seq 200); do [ -s "$work/listens" ] && break; sleep 0.05; done
    rank "$1" 2 "$port" never || got=$?
    kill "$server"
    return "$got"
}

stopped_while_joining() {
    local port got=0 rank_0
    port=$(free_port)
    RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port "$graft" train "$work/run.yaml" "training.output_dir=$work/never" &
    rank_0=$!
    python3 -c 'import socket, sys, time
for attempt in range(400):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))); break
    except ConnectionRefusedError:
        time.sleep(0.05)' "$port"
    kill -TERM "$rank_0"
    wait "$rank_0" || got=$?
    return "$got"
}

process_of() { # process_of NAME RANK
    local stat
    for stat in /proc/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <"$stat/cmdline" | grep -qF "output_dir=$work/$1 " && tr '\0' '\n' 2>/dev/null <"$stat/environ" | grep -qx "RANK=$2" &&
            [ "$(readlink "$stat/exe")" = "$(readlink -f "$graft")" ]; then
            echo "${stat#/proc/}"
            return
        fi
    done
}

# lost SIGNAL RANK WORDS: one message names the rank with step and work, exit status 1
lost() {
    local name=lost-$1-$2 launcher process got=0
    ranks 3 "$name" training.max_steps=1000000 training.eval_steps=0 training.rank_timeout=3 training.save_steps=3 training.save_total_limit=2 \
        2>"$work/err" </dev/null &
    launcher=$!
    for _ in $(seq 600); do [ -s "$work/$name/metrics.jsonl" ] && break; sleep 0.1; done
    process=$(process_of "$name" "$2")
    [ -n "$process" ] || { echo "no process of rank $2"; cat "$work/err"; return 1; }
    kill "-$1" "$process"
    wait "$launcher" || got=$?
    echo "exit status $got"
    cat "$work/err"
    [ "$got" = 1 ] && [ "$(grep -c "graft: error: rank $2 .*$3 in step [0-9]*: [a-z]" "$work/err")" = 1 ] && [ "$(grep -c "graft: error" "$work/err")" = 1 ]
}

time_is_up() { # a signal to the launcher: a checkpoint, 130; and the same command goes on to the bytes of a run that nobody stopped
    local name=stopped-$1 launcher got=0
    local long=(--quiet "training.output_dir=$work/stopped-$1" training.max_steps=$steps training.eval_steps=0 training.logging_steps=1000)
    "$root/run_scripts/train_multi_gpu.sh" 2 "$work/run.yaml" "${long[@]}" 2>"$work/err" </dev/null &
    launcher=$!
    for _ in $(seq 600); do [ -s "$work/$name/metrics.jsonl" ] && break; sleep 0.02; done
    kill "-$1" "$launcher"
    wait "$launcher" || got=$?
    cat "$work/err"
    echo "exit status $got"
    [ "$got" = 130 ] && [ "$(grep -c "graft: stopped: by a signal after step" "$work/err")" = 1 ] && [ -s "$work/$name/adapter_model.safetensors" ] &&
        [ -n "$(ls "$work/$name/checkpoints")" ] || return 1
    "$root/run_scripts/train_multi_gpu.sh" 2 "$work/run.yaml" "${long[@]}" && cmp "$work/whole/adapter_model.safetensors" "$work/$name/adapter_model.safetensors"
}

# The example with its weights in float32, so that bfloat16 has to be made of them.
wide_model() {
    cp -r "$root/examples/base" "$work/wide" && python3 - "$work/wide/model.safetensors" <<'PY'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
size, = struct.unpack("<Q", data[:8])
head, out = json.loads(data[8:8 + size]), b""
for name, tensor in head.items():
    if name != "__metadata__":
        assert tensor["dtype"] == "BF16"
        begin, end = (8 + size + offset for offset in tensor["data_offsets"])
        wide = b"".join(b"\0\0" + data[i:i + 2] for i in range(begin, end, 2))
        tensor.update(dtype="F32", data_offsets=[len(out), len(out) + len(wide)])
        out += wide
text = json.dumps(head).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + out)
PY
}

# Both ranks of a long run: each has the weights that had to be converted, all of them in memory of the same file, and nothing of it for itself alone.
one_copy() {
    local launcher got=0 first second
    "$root/run_scripts/train_multi_gpu.sh" 2 "$work/run.yaml" --quiet "training.output_dir=$work/copies" "${wide[@]}" training.max_steps=1000000 \
        training.eval_steps=0 &
    launcher=$!
    for _ in $(seq 600); do [ -s "$work/copies/metrics.jsonl" ] && break; sleep 0.05; done
    first=$(process_of copies 0)
    second=$(process_of copies 1)
    python3 - "$first" "$second" <<'PY' || got=$?
import re, sys
seen = []
for process in sys.argv[1:]:
    text = open(f"/proc/{process}/smaps").read()
    head = re.search(r"^\S+ (\S+) \S+ (\S+) (\d+) +/memfd:graft weights.*\n((?:\w+: .*\n)*)", text, re.M)
    size = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB", head.group(4), re.M)}
    print(process, head.group(1), head.group(2), head.group(3), size)
    seen.append((head.group(2), head.group(3)))
    assert text.count("/memfd:graft weights") == 1 and head.group(1) == "r--s", "one mapping, to be read"
    assert size["Size"] >= 400 and size["Private_Clean"] == size["Private_Dirty"] == 0 and size["Rss"] > 0, "shared"
assert seen[0] == seen[1], "the same file"
PY
    kill -TERM "$launcher"
    wait "$launcher"
    [ $? = 130 ] && return "$got"
}

# Two ranks whose disk fills up with checkpoints: said once, by the rank that writes; and what is there goes on, with room again, to the bytes of one rank.
full_disk() {
    local got=0 kept settings=(--quiet training.save_steps=1 training.save_total_limit=0 training.eval_steps=0 training.lr_scheduler_type=constant)
    mkdir "$work/small" "$work/left"
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount sh -c 'mount -t tmpfs -o size=2m none "$1/small"; work=$1; shift; "$@"; code=$?; cp -a "$work/small/." "$work/left"; exit $code' sh "$work" \
        "$root/run_scripts/train_multi_gpu.sh" 2 "$work/run.yaml" "${settings[@]}" training.max_steps=1000 "training.output_dir=$work/small/out" 2>"$work/err" || got=$?
    cat "$work/err"
    kept=$(find "$work/left/out/checkpoints" -name '*.h5' | wc -l)
    echo "exit status $got, $kept checkpoints"
    [ "$got" = 1 ] && [ "$kept" -ge 2 ] && [ "$(grep -c "graft: error: .*No space left" "$work/err")" = 1 ] && [ "$(grep -c "graft: error" "$work/err")" = 1 ] &&
        [ -z "$(find "$work/left" -name '*.partial')" ] || return 1
    "$root/run_scripts/train_multi_gpu.sh" 2 "$work/run.yaml" "${settings[@]}" training.max_steps=$((kept + 3)) "training.output_dir=$work/left/out" \
        --allow-change training.max_steps &&
        "$graft" train "$work/run.yaml" "${settings[@]}" training.max_steps=$((kept + 3)) "training.output_dir=$work/roomy" &&
        cmp "$work/left/out/adapter_model.safetensors" "$work/roomy/adapter_model.safetensors"
}

counts="1 2 3 4" steps=100
! grep -q __asan_init "$graft" || { counts=3 steps=12; } # sanitized, each run takes seconds
claim "one rank" "$graft" train "$work/run.yaml" --quiet --threads 1
for count in $counts; do
    claim "$count ranks train" ranks "$count" "of$count"
    claim "the bytes and metrics of one rank" same "of$count"
done
torchrun=$(command -v torchrun || echo "$root/.venv-reference/bin/torchrun")
if [ -x "$torchrun" ]; then
    claim "torchrun starts two" env TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 OMP_NUM_THREADS=1 "$torchrun" --standalone --nproc-per-node 2 --no-python "$graft" train \
        "$work/run.yaml" --quiet "training.output_dir=$work/torchrun"
    claim "the bytes and metrics of one rank" same torchrun
else
    echo "SKIP  torchrun is not installed"
fi
wide=("model.path=$work/wide" model.dtype=bfloat16)
claim "a model in float32" wide_model
claim "bfloat16 weights, converted by one rank" "$graft" train "$work/run.yaml" --quiet "training.output_dir=$work/half" "${wide[@]}"
claim "by the first of three for all" ranks 3 half3 "${wide[@]}"
claim "train the same bytes" cmp "$work/half/adapter_model.safetensors" "$work/half3/adapter_model.safetensors"
claim "and are there once" one_copy
claim "strangers at the door are let go" strangers
missing="start them with run_scripts/train_multi_gpu.sh or torchrun; unset WORLD_SIZE for one process"
claim "RANK is missing" expect 2 "one of several ranks, and RANK is not set" env WORLD_SIZE=2 MASTER_ADDR=::1 MASTER_PORT=9 "$graft" train "$work/run.yaml"
claim "with a cure" grep -qF "$missing" "$work/err"
claim "MASTER_PORT is missing" expect 2 "and MASTER_PORT is not set" env WORLD_SIZE=2 RANK=0 MASTER_ADDR=::1 "$graft" train "$work/run.yaml"
claim "MASTER_ADDR is missing" expect 2 "and MASTER_ADDR is not set" env WORLD_SIZE=2 RANK=0 MASTER_PORT=9 "$graft" train "$work/run.yaml"
claim "RANK is too large" expect 2 "RANK is '2', not a number from 0 to 1" env WORLD_SIZE=2 RANK=2 MASTER_ADDR=::1 MASTER_PORT=9 "$graft" train "$work/run.yaml"
claim "WORLD_SIZE is no number" expect 2 "WORLD_SIZE is 'two', not a number from 1 to 65536" env WORLD_SIZE=two "$graft" train "$work/run.yaml"
claim "MASTER_PORT is no port" expect 2 "MASTER_PORT is '70000'" env WORLD_SIZE=2 RANK=0 MASTER_ADDR=::1 MASTER_PORT=70000 "$graft" train "$work/run.yaml"
claim "MASTER_ADDR is no address" expect 2 "MASTER_ADDR no.such.host.invalid: " env WORLD_SIZE=2 RANK=1 MASTER_ADDR=no.such.host.invalid MASTER_PORT=9 "$graft" \
    train "$work/run.yaml"
claim "another version is named" expect 2 "is another graft (9.9.9; rank 0 is " says 'hello()'
claim "control characters of it do not reach the terminal" expect 2 "is another graft (9?[31m; rank 0 is " says 'hello(version=b"9\x1b[31m")'
claim "other numbers of ranks are noticed" expect 2 "says that it is rank 1 of 3, and rank 0 was started as one of 2" one_of_more
claim "two of one number are noticed" expect 2 "two processes say that they are rank 1, the second at 127.0.0.1:" two_of_a_kind
claim "a taken port is named" expect 2 "rank 0 cannot listen at 127.0.0.1:" port_taken 0
claim "with the cure for torchrun" grep -qF "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" "$work/err"
claim "what is not graft is noticed" expect 2 "(MASTER_ADDR, MASTER_PORT) is not graft" port_taken 1
claim "a signal ends joining" expect 130 "by a signal while the ranks were joining" stopped_while_joining
claim "a killed rank is named and all end" lost KILL 1 "has ended"
claim "so is rank 0" lost KILL 0 "has ended"
claim "a stopped rank is named and all end" lost STOP 2 "did not answer for 3 s"
if unshare --mount mount -t tmpfs none /mnt 2>/dev/null; then
    claim "a disk that fills up: said once, and gone on with" full_disk
else
    echo "SKIP  this user cannot mount a small disk"
fi
claim "a run that nobody stops" "$graft" train "$work/run.yaml" --quiet "training.output_dir=$work/whole" training.max_steps=$steps training.eval_steps=0 \
    training.logging_steps=1000
claim "SIGTERM: saved, 130, and gone on with to the same bytes" time_is_up TERM
claim "SIGUSR1: the same" time_is_up USR1
done_claims
