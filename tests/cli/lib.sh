# What the command tests share. Sourced with the graft binary as $1; a test calls `claim NAME command...` for each claim, and `done_claims` at the end.
set -u
graft=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

claim() {
    local name=$1
    shift
    if "$@" >"$work/claim.log" 2>&1; then
        echo "ok    $name"
    else
        echo "FAIL  $name"
        sed 's/^/      /' "$work/claim.log" | tail -n 20
        failures=$((failures + 1))
        [ -z "${FIRST_FAILURE-}" ] || exit 1 # as a planted fault wants it
    fi
}

# expect STATUS PATTERN command...: exits with STATUS, says PATTERN on stderr, prints nothing on stdout when it fails.
expect() {
    local status=$1 pattern=$2 got=0
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    if [ "$got" != "$status" ]; then
        echo "exit status $got, expected $status"
        cat "$work/err"
        return 1
    fi
    if ! grep -qF -- "$pattern" "$work/err"; then
        echo "expected on stderr: $pattern"
        cat "$work/err"
        return 1
    fi
}

# example_data TRAIN [EVAL]: the section `data` of a run on the embedded example, of so many records.
example_data() {
    local name=train limit
    echo "data:"
    for limit in "$@"; do
        printf '  %s:\n    - path: %s\n      format: dolly\n      limit: %s\n' "$name" "$root/examples/tiny_world/$name.jsonl" "$limit"
        printf '      template: {prompt: "{context}\\nQuestion: {instruction}\\nAnswer:", response: " {response}"}\n'
        name=eval
    done
    printf '  max_length: 256\n  over_length: error\n'
}

done_claims() {
    [ "$failures" = 0 ] || { echo "$failures claims failed"; exit 1; }
}
