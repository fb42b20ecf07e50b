#!/usr/bin/env bash
# A compiler launcher: what another consumer compiled already, the same preprocessed text by the same options, is not compiled
# again but copied. Each way of using the library still finds its headers, compiles by its own options and links.
# usage: once.sh STORE COMPILER ARGUMENT…
set -euo pipefail
store=$1 compiler=$2
shift 2
object='' dependencies='' source='' compiles=no
options=() # what decides the object beside the text
preprocess=()
arguments=("$@")
for ((i = 0; i < $#; ++i)); do
  word=${arguments[i]} next=${arguments[i + 1]-}
  case $word in
    -c) compiles=yes ;;
    -o) object=$next i=$((i + 1)) ;;
    -MF) dependencies=$next i=$((i + 1)) ;;
    -MT | -MQ) i=$((i + 1)) ;;
    -MD | -MMD) ;;
    -isystem | -I) preprocess+=("$word" "$next") i=$((i + 1)) ;;
    -I*) preprocess+=("$word") ;;
    *.cpp) source=$word preprocess+=("$word") ;;
    *) options+=("$word") preprocess+=("$word") ;;
  esac
done
if [ "$compiles" = no ] || [ -z "$object" ] || [ -z "$source" ]; then exec "$compiler" "$@"; fi
mkdir -p "$store"
# -P: without the paths that the text came from.
text=$(mktemp "$store/text.XXXXXX")
trap 'rm -f "$text"' EXIT
"$compiler" "${preprocess[@]}" -E -P -o "$text" 2>/dev/null || { "$compiler" "$@"; exit; }
key=$({ printf '%s\n' "${options[@]-}"; "$compiler" --version; cat "$text"; } | sha256sum)
key=$store/${key%% *}.o
if [ -e "$key" ]; then
  cp "$key" "$object"
  [ -z "$dependencies" ] || printf '%s: %s\n' "$object" "$source" > "$dependencies"
  echo "once: $source was compiled by these options already"
  exit
fi
"$compiler" "$@"
cp "$object" "$text"
mv "$text" "$key"  # whole, or not there
