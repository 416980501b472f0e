r"""The programs that end an engine and return when it is gone; see `remote.start` for the fence."""

from server.launch.remote.common import BARE_STATE, COMMON

_CLOSE = r"""
raise() {
  make_home 2>/dev/null
  fence
  [ "$1" -gt "$F" ] || return 0
  if [ -f "$dir/fence" ]; then printf '%020d\n' "$1" 1<>"$dir/fence"
  else printf '%020d\n' "$1" >"$dir/fence.new" && mv -f "$dir/fence.new" "$dir/fence"
  fi 2>/dev/null
}
seize() {
  KILLED=''
  [ -f "$dir/lock" ] || return 0
  exec 9>>"$dir/lock"
  flock -w "$1" 9 && return 0
  KILLED=1
  p=''; { read -r p t g <"$dir/starter"; } 2>/dev/null
  myself
  same_process "$p" "${t:-}" && [ "$g" != "$GROUP" ] && kill -s KILL -- "-$g"
  flock -w 5 9 || rm -f "$dir/lock"
}
"""

STOP = (
    COMMON
    + _CLOSE
    + r"""
# NAME EPOCH GRACE LIMIT KEEP IDENT PATIENCE CLIENTS : remove our container; done when it is gone
C=$1; home "$C"; grace=$3; limit=$4; keep=$5; target=${6:-$1}; strict=$6
command -v docker >/dev/null || { raise "$2"; mark gone; exit 0; }
ours() {
  [ -n "$strict" ] && return 0
  flat=$(printf '%s' "$out" | tr -d ' \n\t')
  case $flat in *'"spark-control.engine":"1"'*) return 0;; esac
  return 1
}
kept() {
  [ -n "$keep" ] || return 1
  flat=$(printf '%s' "$out" | tr -d ' \n\t')
  case $flat in *"\"spark-control.tag\":\"$keep\""*) return 0;; esac
  return 1
}
absent() { case $1 in *'o such '*) return 0;; esac; return 1; }
running_clients() {
  for pid in $(pgrep -u "$(id -u)" -f -- "[d]ocker run .*--name $C( |\$)" 2>/dev/null); do
    [ "$pid" != $$ ] && grep -qzx -- "HOME=$HOME" "/proc/$pid/environ" 2>/dev/null \
      && printf '%s\n' "$pid"
  done
}
if [ -n "$keep" ]; then
  out=$(docker inspect "$target" </dev/null 2>&1) && kept && { mark kept; exit 0; }
fi
raise "$2"
seize "$7"
[ -n "$8" ] && for pid in $(running_clients); do KILLED=1; kill -s KILL "$pid" 2>/dev/null; done
[ -n "$KILLED" ] && mark killed
known=''
[ -z "$strict" ] && [ -f "$dir/id" ] && { read -r known <"$dir/id"; } 2>/dev/null
case $known in *[!0-9a-f]*) known='';; esac
if [ ${#known} -eq 64 ]; then
  [ "$grace" = 0 ] || docker stop -t "$grace" "$known" </dev/null >/dev/null 2>&1
  docker rm -f "$known" </dev/null 2>/dev/null | grep -q . && rm -f "$dir/id" \
    && [ -z "$KILLED" ] && { mark gone; exit 0; }
fi
calm=0; asked=''
end=$(($(date +%s) + limit))
while [ "$(date +%s)" -le "$end" ]; do
  code=0; out=''
  if [ -z "$strict" ] || [ -n "$asked" ]; then
    out=$(docker inspect "$target" </dev/null 2>&1); code=$?
  fi
  [ $code -eq 127 ] && { mark gone; exit 0; }
  if [ $code -ne 0 ]; then
    if absent "$out"; then
      calm=$((calm + 1))
      if [ -z "$KILLED" ] || [ $calm -ge 5 ]; then mark gone; exit 0; fi
    else
      case $out in *ermission\ denied*) break;; esac
    fi
  elif ours; then
    calm=0
    # a container of launch-cluster runs a sleeper, which does not hear SIGTERM
    case $(printf '%s' "$out" | tr -d ' \n\t') in
      *'"spark-control.launcher":"launch-cluster"'*) grace=0;;
    esac
    if [ -z "$asked" ] && [ "$grace" != 0 ]; then
      docker stop -t "$grace" "$target" </dev/null >/dev/null 2>&1
    fi
    asked=1
    if out=$(docker rm -f "$target" </dev/null 2>&1) || absent "$out"; then
      [ -z "$KILLED" ] && { mark gone; exit 0; }
    fi
  else
    mark foreign; exit 0
  fi
  sleep 0.1
done
mark stuck; printf '%s\n' "$out"
exit 0
"""
)

STOP_BARE = (
    COMMON
    + _CLOSE
    + BARE_STATE
    + r"""
# NAME EPOCH GRACE LIMIT KEEP IDENT PATIENCE : end the whole session; done when nobody is left
C=$1; home "$C"; grace=$3; limit=$4; keep=$5; ident=$6
[ -d "$dir" ] || { raise "$2"; mark gone; exit 0; }
if [ -n "$keep" ] && grep -qsF -- "\"tag\":\"$keep\"" "$dir/meta.json" && alive; then
  mark kept; exit 0
fi
engine_pid
if [ -n "$ident" ] && [ "$ident" != "$P" ]; then mark gone; exit 0; fi
raise "$2"
seize "$7"
[ -n "$KILLED" ] && mark killed
clear_away() { rm -f "$dir/pid" "$dir/pid.new" "$dir/exit" "$dir/starter"; mark gone; exit 0; }
# (dash takes a negative pid only after -s)
signal() {
  kill -s "$1" -- "-$P" 2>/dev/null
  for pid in $M; do kill -s "$1" "$pid" 2>/dev/null; done
}
alive || clear_away
members
[ "$grace" = 0 ] || signal TERM
n=0
while [ $n -lt "$((grace * 10))" ]; do
  members; [ -z "$M" ] && clear_away
  sleep 0.1; n=$((n + 1))
done
n=0
while [ $n -lt "$((limit * 10))" ]; do
  members; [ -z "$M" ] && clear_away
  signal KILL
  sleep 0.1; n=$((n + 1))
done
mark stuck; printf '%s\n' "$M"
exit 0
"""
)
