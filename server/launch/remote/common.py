r"""What every remote program shares: state directory, fence, process identity; and how to run one.

Pure text and parsing. A program is POSIX sh, run as `sh -c PROGRAM spark-control ARG…`. Values only
ever come in as positional arguments, so nothing is ever pasted into program text. Refuses to parse
on the host: every program answers in sections (`==name` and the lines after it), read by `observe`.
"""

from collections.abc import Sequence

COMMON = r"""
set -u
mark() { printf '\n==%s\n' "$1"; }
# a question to docker, which may hang: 124 when it did not answer (--foreground: one group to kill)
ask() { timeout --foreground -k 1 8 docker "$@" </dev/null; }
home() { dir=$HOME/.spark-control/engines/$1; }
make_home() { [ -d "$dir" ] || { mkdir -p "$dir" && chmod 700 "$dir"; }; }
fence() {
  F=0
  if [ -f "$dir/fence" ]; then { read -r F <"$dir/fence"; } 2>/dev/null; fi
  case $F in ''|*[!0-9]*) F=0;; esac
}
stat_of() {
  S=''
  { read -r S <"/proc/$1/stat"; } 2>/dev/null || return 1
  S=${S##*) }
  case $S in Z*|X*|'') return 1;; esac
}
same_process() {
  case $1 in ''|*[!0-9]*) return 1;; esac
  want=$2
  stat_of "$1" || return 1
  set -- $S
  [ "${20}" = "$want" ]
}
starting() {
  [ -f "$dir/starter" ] || return 0
  p=''; { read -r p t g <"$dir/starter"; } 2>/dev/null
  same_process "$p" "${t:-}" && printf '%s\n' "${dir##*/}"
  return 0
}
myself() {
  stat_of $$; set -- $S
  TICKS=${20}; GROUP=$3
}
"""

BARE_STATE = r"""
engine_pid() {
  P=''; T=''; B=''
  [ -f "$dir/pid" ] && { read -r P T B <"$dir/pid"; } 2>/dev/null
  case $P in ''|*[!0-9]*) P='';; esac
  boot=''
  { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
}
members() {
  M=''
  for path in /proc/[0-9]*/stat; do
    path=${path#/proc/}; pid=${path%/stat}
    stat_of "$pid" || continue
    in_session "$pid" $S && M="$M $pid"
  done
}
in_session() { [ "$5" = "$P" ]; }
alive() {
  engine_pid
  [ -n "$P" ] && [ "$B" = "$boot" ] || return 1
  same_process "$P" "$T" && return 0
  [ -e "/proc/$P/stat" ] && stat_of "$P" && return 1
  members
  [ -n "$M" ]
}
show_bare() {
  engine_pid
  [ -n "$P" ] || return 0
  up=false; alive && up=true
  code=null
  if [ -f "$dir/exit" ]; then { read -r code <"$dir/exit"; } 2>/dev/null; fi
  case $code in ''|*[!0-9]*) code=null;; esac
  meta=null
  if [ -f "$dir/meta.json" ]; then { read -r meta <"$dir/meta.json"; } 2>/dev/null; fi
  printf '{"container":"%s","pid":"%s","ticks":"%s","running":%s,"exit":%s,"meta":%s}\n' \
    "${dir##*/}" "$P" "$T-$B" "$up" "$code" "${meta:-null}"
}
"""

LIVENESS = r"""
# 0: vLLM runs in the container, 1: it does not, 2: docker did not answer
serving() {
  rows_of_top=$(ask top "$1" -eo pid,args 2>/dev/null)
  [ $? -eq 124 ] && return 2
  printf '%s\n' "$rows_of_top" | grep -Eq 'vllm serve|VLLM::|vllm[.]entrypoints'
}
"""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")


def program(text: str, *args: str) -> tuple[str, ...]:
    """The argv that runs one of the programs above."""
    return ("sh", "-c", text, "spark-control", *args)


def sections(output: str) -> dict[str, str]:
    """`==name` headed parts of an answer; a part that comes twice is joined."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output.splitlines():
        if line.startswith("==") and line[2:].isalpha():
            current = found.setdefault(line[2:], [])
        else:
            current.append(line)
    return {name: "\n".join(lines).strip("\n") for name, lines in found.items()}


def shell_words(argv: Sequence[str]) -> bool:
    """Whether every word survives an unquoted expansion in somebody else's shell script."""
    return all(word and not set(word) - _PLAIN for word in argv)
