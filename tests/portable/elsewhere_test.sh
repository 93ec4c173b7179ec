#!/usr/bin/env bash
# The portable folder on a machine that has nothing but glibc: an empty root with this machine's glibc, the folder and the example.
#
#   elsewhere_test.sh BUILD/portable
source "$(dirname "$0")/../cli/lib.sh"
portable=$graft
elsewhere=$work/root

inside() { # inside command...: in the empty root, with an empty environment; the loader reads /proc to know where a program is
    local mapped=()
    [ "$(id -u)" = 0 ] || mapped=(--map-root-user)
    unshare --mount "${mapped[@]}" sh -c 'mount --rbind /proc "$0/proc" && exec env -i "$(command -v chroot)" "$0" "$@"' "$elsewhere" "$@"
}

mkdir -p "$elsewhere"/{proc,tmp}
for library in $(find "$portable" -type f -exec ldd {} + | grep -oE '/[^ ]*/(ld-linux-x86-64|lib(c|m|dl|rt|pthread|resolv))\.so[.0-9]*' | sort -u); do
    mkdir -p "$elsewhere/$(dirname "$library")"
    cp -L "$library" "$elsewhere$library"
done
cp -r "$portable" "$elsewhere/portable"
cp -r "$root/examples" "$elsewhere/examples"
unshare --mount $([ "$(id -u)" = 0 ] || echo --map-root-user) mount --rbind /proc "$elsewhere/proc" 2>"$work/refused" || { echo "SKIP: no other root can be entered here: $(cat "$work/refused")"; exit 77; }

cat >"$elsewhere/tmp/run.yaml" <<'YAML'
model: {path: /examples/base}
adapter: {peft_type: LORA, r: 4, target_modules: all-linear}
data: {train: [{path: /examples/tiny_world/train.jsonl, format: dolly, limit: 8}], max_length: 256, over_length: drop}
training: {output_dir: /tmp/run, max_steps: 2, batch_size: 4, save_steps: 1}
YAML
trains() { inside /portable/graft train /tmp/run.yaml --quiet && [ -s "$elsewhere/tmp/run/adapter_model.safetensors" ] && [ -s "$elsewhere/tmp/run/checkpoints/step-000001.h5" ]; }
answers() { inside /portable/graft generate --model /examples/base --adapter /tmp/run --prompt "Who lives here?" --max-new-tokens 4; }
doctor() { inside /portable/graft doctor | grep -E '^products +oneDNN'; }
nothing_else() { # what the programs name, and what those name, is in the folder or glibc's
    local missing=0
    while read -r library; do
        [ -e "$portable/lib/$library" ] || [ -n "$(find "$elsewhere" -path "$elsewhere/portable" -prune -o -path "$elsewhere/proc" -prune -o -name "$library" -print)" ] || { echo "$library"; missing=1; }
    done < <(find "$portable" -type f -exec readelf -d {} + | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u)
    return $missing
}
claim "nothing but glibc is asked for" nothing_else
claim "it starts" inside /portable/graft --version
claim "doctor finds its libraries" doctor
claim "it trains, and writes HDF5" trains
claim "what was trained answers" answers
claim "the ops' tests run" inside /portable/test_ops rmsnorm
done_claims
