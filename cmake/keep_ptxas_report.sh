#!/bin/sh
# Runs a compilation of nvcc and keeps what ptxas -v says of each kernel (registers, spills, shared memory)
# in FOLDER/<source>.txt and its PTX in FOLDER/<source>.compute_NN.ptx, for scripts/ptxas_table.py; everything
# else goes where it would have gone.
# usage: keep_ptxas_report.sh FOLDER NVCC ARGUMENTS…
folder=$1
shift
source=
for word in "$@"; do
  case $word in
    *.cu) source=$word ;;
  esac
done
[ -n "$source" ] || exec "$@"
mkdir -p "$folder"
report=$folder/$(basename "$source").txt
kept=$folder/$(basename "$source").kept
mkdir -p "$kept"
"$@" --keep --keep-dir "$kept" 2> "$report.all"
status=$?
for ptx in "$kept"/*.ptx; do
  [ -e "$ptx" ] && mv "$ptx" "$folder/"
done
rm -rf "$kept"
grep -vE '^ptxas info|bytes stack frame|^Compiling entry function|^$' "$report.all" >&2
if command -v c++filt > /dev/null; then filter=c++filt; else filter=cat; fi
grep -E '^ptxas info|bytes stack frame' "$report.all" | $filter > "$report"
rm -f "$report.all"
exit $status
