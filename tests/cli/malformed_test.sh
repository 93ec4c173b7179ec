#!/usr/bin/env bash
# Every mistake and attack in the tables of malformed/ is refused: status 2, where, what and cure, nothing on stdout, no file left behind.
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
exec python3 -B "$(dirname "$0")/malformed/run.py" "$@"
