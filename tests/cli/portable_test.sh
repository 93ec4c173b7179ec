#!/usr/bin/env bash
# The folder of a portable build: every library that is not glibc's comes along, and one that is not here is told. (That such a folder runs on its own is for
# tests/portable, in portable builds.)
source "$(dirname "$0")/lib.sh"
for tool in cc ldd readelf strip; do
    command -v $tool >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done
cd "$work"
echo 'int own(void); int own(void) { return 0; }' >own.c
echo 'int own(void); int main(void) { return own(); }' >main.c
cc -shared -fPIC -o libown.so own.c && cc -o main main.c -L. -lown -lm -Wl,-rpath,"$work"

gathers() { bash "$root/run_scripts/portable.sh" folder ./main && [ "$(ls folder folder/lib)" = $'folder:\nlib\nmain\n\nfolder/lib:\nlibown.so' ] && LD_LIBRARY_PATH=folder/lib folder/main; }
misses() { mv libown.so gone.so && expect 1 "./main needs libown.so, which is not found here" bash "$root/run_scripts/portable.sh" folder ./main; }
claim "libraries come along, glibc's do not" gathers
claim "a library that is not here is told" misses
claim "without a program it explains itself" expect 2 "portable.sh FOLDER PROGRAM" bash "$root/run_scripts/portable.sh" folder
done_claims
