#!/usr/bin/env bash
# Writes tests/fixtures/<kernel>/: files of real kernels, word for word, for the parsers' table tests.
# Run it again when a file is added; the figures change every time, the form must not.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for kernel in 6.1 6.12; do
    dest=$here/../fixtures/$kernel
    mkdir -p "$dest"
    "$here/lab" light --kernel "$kernel" --clock free --mem 1G --disk data=256M --disk swap=256M:swap \
        --file "$here/guest/capture-fixtures:/capture" -- sh /capture |
        sed -n '/^BEGIN-FIXTURES$/,/^END-FIXTURES$/p' | sed '1d;$d' | base64 -d | tar -xz -C "$dest" --no-same-owner
done
