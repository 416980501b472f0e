"""The two sh scripts that look at models on a host, fed to `sh -s` by stdin. Text only.

They use POSIX sh, coreutils, find and sed; python3 may be absent. Arguments are positional words,
never pasted into the text. The whole script is one function, so that a connection lost half way
runs nothing, and a command that reads stdin cannot eat the rest. Lines of the answer are a tag and
tab-separated values, the name of a file always last; `end` says that the answer is whole.
"""

_COMMON = r"""
LC_ALL=C; export LC_ALL
say() { printf '%s\t%s\n' "$1" "$2"; }
real() { readlink -f -- "$1" 2>/dev/null; }
inside() {
  while IFS= read -r root; do
    [ -n "$root" ] || continue
    case $1 in "$root"/*) return 0;; esac
  done <<ROOTS
$roots
ROOTS
  return 1
}
allow() {
  place=$(real "$1")
  if [ -n "$place" ] && [ -d "$place" ]; then roots="$roots
$place"; fi
}
total() { t=0; while read -r _ n; do t=$((t + n)); done; printf '%s' "$t"; }
config() {
  [ -e "$1" ] || return 0
  if [ ! -f "$1" ] || ! inside "$(real "$1")"; then say outside config.json; return 0; fi
  if [ ! -r "$1" ]; then say unreadable config.json; return 0; fi
  bytes=$(stat -L -c %s -- "$1")
  if [ "$bytes" -gt "$2" ]; then say config_large "$bytes"; return 0; fi
  printf 'config\t'; base64 < "$1" | tr -d '\n'; printf '\n'
}
"""

INSPECT = (
    _COMMON
    + r"""
denied() {
  p=$1
  while [ -n "$p" ] && [ ! -e "$p" ]; do p=${p%/*}; done
  [ -n "$p" ] && [ -d "$p" ] && [ ! -x "$p" ]
}
header_end() {
  length=$(od -An -v -tu1 -N8 "$1" | { read -r a b c d e f g h
    if [ "${e:-0}${f:-0}${g:-0}${h:-0}" != 0000 ]; then echo huge; else
    echo $((a + (b << 8) + (c << 16) + (d << 24))); fi; })
  case $length in *[!0-9]*|'') echo broken; return;; esac
  if [ $((length + 8)) -gt "$2" ]; then echo broken; return; fi
  if [ "$length" -gt 33554432 ]; then echo '?'; return; fi
  end=$(tail -c +9 "$1" 2>/dev/null | head -c "$length" | tr ']' '\n' | tr -d ' \t\r' \
    | sed -n 's/.*"data_offsets":\[[0-9]*,\([0-9][0-9]*\)$/\1/p' | sort -n | tail -n 1)
  echo $((8 + length + ${end:-0}))
}
weight() {
  if [ ! -e "./$2" ]; then say missing "$2"; return; fi
  if ! inside "$(real "./$2")"; then say outside "$2"; return; fi
  if [ ! -f "./$2" ]; then say missing "$2"; return; fi
  if [ ! -r "./$2" ]; then say unreadable "$2"; return; fi
  row=$(stat -L -c '%s %d:%i' -- "./$2"); size=${row%% *} ident=${row#* }
  wanted='?'
  if [ "$1" = shard ]; then
    if [ "$size" -lt 8 ]; then wanted=broken; else wanted=$(header_end "./$2" "$size"); fi
  fi
  printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$size" "$ident" "$wanted" "$2"
}
from_index() {
  say index "$1"
  if ! inside "$(real "./$1")"; then say outside "$1"; return; fi
  if [ ! -r "./$1" ]; then say unreadable "$1"; return; fi
  if [ "$(stat -L -c %s -- "./$1")" -gt 67108864 ]; then say unreadable "$1"; return; fi
  last=$(tail -c 64 "./$1" | tr -d ' \t\r\n' | tail -c 1)
  if [ "$last" != '}' ]; then say broken_index "$1"; fi
  tr '{,}' '\n\n\n' < "./$1" \
    | sed -n 's/^.*:[[:space:]]*"\([^"]*\.safetensors\)"[[:space:]]*$/\1/p' | sort -u \
    | while IFS= read -r name; do say wanted "$name"; weight shard "$name"; done
}
weights() {
  for f in model.safetensors.index.json *.safetensors.index.json; do
    if [ -e "./$f" ]; then from_index "$f"; return; fi
  done
  any=
  for f in *.safetensors; do
    case $f in consolidated*) continue;; esac
    if [ -e "./$f" ] || [ -L "./$f" ]; then any=1; weight shard "$f"; fi
  done
  [ -z "$any" ] || return 0
  for f in consolidated*.safetensors; do
    if [ -e "./$f" ] || [ -L "./$f" ]; then any=1; weight shard "$f"; fi
  done
  [ -z "$any" ] || return 0
  for f in *.bin *.gguf *.pt *.pth; do
    if [ -e "./$f" ] || [ -L "./$f" ]; then weight other "$f"; fi
  done
}
partial() {
  find "$1" -maxdepth 5 -name '*.incomplete' -type f 2>/dev/null | head -n 20 | sed 's!.*/!!' \
    | while IFS= read -r f; do say partial "$f"; done
}
look() {
  if [ ! -d "$dir" ]; then
    if denied "$dir"; then say unreadable "$dir"; else say absent "$dir"; fi
    return
  fi
  place=$(real "$dir")
  say dir "$dir"; say real "$place"
  if ! inside "$place"; then say elsewhere "$place"; return; fi
  if ! cd -- "$dir" 2>/dev/null || [ ! -r . ]; then say unreadable "$dir"; return; fi
  config ./config.json 262144
  [ ! -s ./params.json ] || say params params.json
  for f in tokenizer.json tokenizer.model tekken.json vocab.json vocab.txt tiktoken.model \
    tokenizer_config.json sentencepiece.bpe.model; do
    [ ! -s "./$f" ] || say tokenizer "$f"
  done
  for f in *; do
    if [ -L "./$f" ] && [ ! -e "./$f" ]; then say missing "$f"; fi
  done
  weights
}
main() {
  kind=$1 ref=$2 rev=$3 hf=$4; shift 4
  roots=
  if [ "$kind" = path ]; then
    for r do allow "$r"; done
    dir=$ref
    look
    partial "$dir"
  else
    [ -n "$hf" ] || hf=${HF_HOME:-$HOME/.cache/huggingface}
    allow "$hf"
    repo=$hf/hub/$ref
    commit=
    if [ -f "$repo/refs/$rev" ]; then commit=$(head -c 128 "$repo/refs/$rev" | tr -d ' \r\n')
    elif [ -d "$repo/snapshots/$rev" ]; then commit=$rev; fi
    case $commit in *[!0-9A-Za-z._-]*|''|.|..) commit=none;; esac
    say commit "$commit"
    dir=$repo/snapshots/$commit
    look
    partial "$repo/blobs"
  fi
  say end .
}
main "$@" </dev/null
"""
)

DISCOVER = (
    _COMMON
    + r"""
heaped() {
  find -L "$@" -type f -exec stat -L -c '%d:%i %s' {} + 2>/dev/null | sort -u | total
}
heavy() {
  sum=$(heaped "$1" -maxdepth 1 -name '*.safetensors' ! -name 'consolidated*')
  [ "$sum" != 0 ] || sum=$(heaped "$1" -maxdepth 1 -name 'consolidated*.safetensors')
  [ "$sum" != 0 ] || sum=$(heaped "$1" -maxdepth 1 \( -name '*.bin' -o -name '*.gguf' \))
  [ "$sum" = 0 ] || say weights "$sum"
}
cached() {
  for repo in "$1"/hub/models--*; do
    [ -d "$repo/snapshots" ] || continue
    commit=$(head -c 128 "$repo/refs/main" 2>/dev/null | tr -d ' \r\n')
    if [ -z "$commit" ] || [ ! -d "$repo/snapshots/$commit" ]; then
      for s in "$repo"/snapshots/*; do [ ! -d "$s" ] || commit=${s##*/}; done
    fi
    case $commit in *[!0-9A-Za-z._-]*|''|.|..) continue;; esac
    snap=$repo/snapshots/$commit
    sum=$(find -L "$snap" -maxdepth 4 -type f -exec stat -L -c '%d:%i %s' {} + 2>/dev/null \
      | sort -u | total)
    unfinished=$(find "$repo/blobs" -maxdepth 1 -name '*.incomplete' 2>/dev/null | wc -l)
    dangling=$(find "$snap" -maxdepth 4 -type l ! -exec test -e {} \; -print 2>/dev/null | wc -l)
    printf 'hf\t%s\t%s\t%s\n' "$sum" "$((unfinished + dangling))" "${repo##*/models--}"
    heavy "$snap"
    config "$snap/config.json" 65536
  done
}
local_models() {
  find "$1/" -maxdepth 4 -name config.json ! -path '*/.*' ! -path '*/snapshots/*' 2>/dev/null \
    | head -n 300 | while IFS= read -r file; do
    at=${file%/config.json}
    any=
    for f in "$at"/*.safetensors "$at"/*.gguf "$at"/*.bin; do [ ! -f "$f" ] || any=1; done
    [ -n "$any" ] || continue
    sum=$(find -L "$at" -maxdepth 1 -type f -exec stat -L -c '%d:%i %s' {} + 2>/dev/null \
      | sort -u | total)
    dangling=$(find "$at" -maxdepth 1 -type l ! -exec test -e {} \; -print 2>/dev/null | wc -l)
    printf 'path\t%s\t%s\t%s\n' "$sum" "$((dangling))" "$at"
    heavy "$at"
    config "$file" 65536
  done
}
main() {
  hf=$1; shift
  roots=
  [ -n "$hf" ] || hf=${HF_HOME:-$HOME/.cache/huggingface}
  allow "$hf"
  for r do allow "$r"; done
  cached "$hf"
  for r do
    if [ -d "$r" ]; then local_models "${r%/}"; fi
  done
  say end .
}
main "$@" </dev/null
"""
)
