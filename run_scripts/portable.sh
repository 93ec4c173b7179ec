#!/usr/bin/env bash
# Gathers programs and the libraries they need into a folder that runs on other Linux machines (their glibc must not be older than this one's). A build with
# -DGRAFT_PORTABLE=ON calls it; the folder is then BUILD/portable.
#
#   run_scripts/portable.sh FOLDER PROGRAM...
#
# Fails if a library is not found here. CUDA's own libraries do not come along: the program looks for them where it runs (common/library.h).
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
shift
glibc='^(linux-vdso|ld-linux-x86-64|libc|libm|libdl|librt|libpthread|libresolv)\.so'

rm -rf "$folder"
mkdir -p "$folder/lib"
for program in "$@"; do
    install -m 755 -s "$program" "$folder/"
    needed=$(ldd "$program" | awk '$2 == "=>" { print $1, $3 }')
    while read -r name path; do
        [[ $name =~ $glibc ]] && continue
        [ -e "$path" ] || { echo "portable.sh: $program needs $name, which is not found here: install its package" >&2; exit 1; }
        install -m 644 "$path" "$folder/lib/$name"
    done <<<"$needed"
done
bytes=$(find "$folder" -type f -printf '%s\n' | awk '{ sum += $1 } END { print int(sum / 1e6 + 0.5) }')
oldest=$(find "$folder" -type f -exec readelf -V {} + | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1)
echo "$folder: $bytes MB, for glibc ${oldest#GLIBC_} or later"
