r"""The programs that only look: what runs, what a start would find, logs, memory.

They change nothing but the length of a bare engine's own log, which is cut when it outgrows its
limit (the engine appends, so that cutting is safe).
"""

from server.launch.remote.common import BARE_STATE, COMMON, LIVENESS

OBSERVE = (
    COMMON
    + BARE_STATE
    + LIVENESS
    + r"""
# LOG_LIMIT LOG_KEEP : every engine of ours on this host
limit=$1; keep=$2
told() {
  [ -n "$ids" ] || return 0
  found=$(ask inspect $ids 2>/dev/null) && { printf '%s\n' "$found"; return 0; }
  # one that went away meanwhile is no fault: docker still shows the others
  list=$(ask inspect $ids 2>&1 >/dev/null)
  case $? in
    0) ask inspect $ids 2>/dev/null && return 0;;
    124) list='no answer within 8 s';;
    *) case $list in *'o such '*) printf '%s\n' "$found"; return 0;; esac;;
  esac
  mark dockererror; printf '%s\n' "$list"
  return 1
}
if command -v docker >/dev/null; then
  list=$(ask ps -a --no-trunc --filter label=spark-control.engine=1 --format '{{json .}}' 2>&1)
  code=$?
  ids=$(printf '%s\n' "$list" | sed -n 's/.*"ID": *"\([0-9A-Za-z]*\)".*/\1/p')
  mark inspect
  if [ $code -eq 0 ]; then
    rows=$list
    told && { mark serving
    printf '%s\n' "$rows" | grep -F 'spark-control.launcher=launch-cluster' \
      | sed -n 's/.*"ID": *"\([0-9A-Za-z]*\)".*/\1/p' \
      | while read -r id; do
          serving "$id"
          case $? in
            0) printf '%s\n' "$id";;
            2) mark dockererror; printf '%s\n' 'no answer within 8 s';;
          esac
        done; }
  elif [ $code -ne 127 ]; then
    [ $code -eq 124 ] && list='no answer within 8 s'
    mark dockererror; printf '%s\n' "$list"
  fi
fi
mark starting
for dir in "$HOME"/.spark-control/engines/*; do starting; done
mark bare
for dir in "$HOME"/.spark-control/engines/*; do
  [ -f "$dir/pid" ] || continue
  show_bare
  size=$(stat -c %s "$dir/log" 2>/dev/null || echo 0)
  if [ "$size" -gt "$limit" ]; then
    tail -c "$keep" "$dir/log" >"$dir/log.1" 2>/dev/null && : >"$dir/log"
  fi
done
mark end
exit 0
"""
)

LOOK = (
    COMMON
    + BARE_STATE
    + LIVENESS
    + r"""
# KIND NAME IMAGE CHECKOUT STAMP MODEL_PATH VENV : what a start would find, touching nothing
kind=$1; C=$2; image=$3; checkout=$4; stamp=$5; model=$6; venv=$7; home "$C"
mark home; printf '%s\n' "$HOME"
if [ -n "$model" ] && [ ! -d "$model" ]; then mark nomodel; printf '%s\n' "$model"; fi
images=/var/lib/docker
[ "$kind" = bare ] && images=$HOME
mark space; timeout --foreground 5 df -PB1 -- "$HOME" "$images" </dev/null 2>/dev/null
if [ "$kind" = bare ]; then
  PATH=$PATH:$HOME/.local/bin
  [ -n "$venv" ] && PATH=$venv/bin:$PATH
  command -v vllm >/dev/null || mark novllm
  mark bare; show_bare
else
  if command -v docker >/dev/null; then
    mark image; ask image inspect "$image" 2>&1; code=$?; echo "rc=$code"
    if [ $code -ne 124 ]; then
      mark inspect; ask inspect "$C" 2>/dev/null
      [ "$kind" = launch-cluster ] && { mark serving; serving "$C" && echo "$C"; }
    fi
    mark starting; starting
  else
    mark nodocker
  fi
  if [ "$kind" = launch-cluster ] && [ -n "$checkout" ]; then
    if [ -f "$checkout/launch-cluster.sh" ]; then
      now=$(stat -c '%Y-%s' "$checkout/launch-cluster.sh")
      mark stamp; printf '%s\n' "$now"
      if [ "$now" != "$stamp" ]; then
        mark help; ( cd "$checkout" && ./launch-cluster.sh --help </dev/null 2>&1 )
      fi
    else
      mark nocheckout
    fi
  fi
fi
mark end
exit 0
"""
)

FOLLOW_CLUSTER = (
    COMMON
    + LIVENESS
    + r"""
# IDENT : its log until vLLM (not only the container) is gone
docker logs -f "$1" </dev/null 2>&1 &
log=$!
trap 'kill $log 2>/dev/null' EXIT TERM INT HUP
idle=0; patience=15
while stat_of $log; do  # (kill -0 would also see a zombie)
  serving "$1"
  case $? in 0) idle=0; patience=2;; 2) idle=0;; *) idle=$((idle + 1));; esac
  [ $idle -ge $patience ] && break
  sleep 1
done
exit 0
"""
)

FOLLOW_BARE = (
    COMMON
    + r"""
# NAME PID TICKS : the whole log, then what is added until the engine ends
home "$1"
if same_process "$2" "${3%%-*}"; then
  exec tail -n +1 -s 0.2 "--pid=$2" -F "$dir/log" 2>/dev/null
fi
cat "$dir/log" 2>/dev/null
exit 0
"""
)

TAIL = r"""docker logs --tail "$2" "$1" </dev/null 2>&1; exit 0"""

TAIL_BARE = (
    COMMON
    + r"""
home "$1"
cat "$dir/log.1" "$dir/log" 2>/dev/null | tail -n "$2"
exit 0
"""
)

_MEMINFO = r"""
meminfo() {
  A=''
  while read -r key value unit; do
    case $key in MemAvailable:) A=$value;; esac
  done <<END
$(cat /proc/meminfo)
END
}
"""

MEMORY = (
    COMMON
    + _MEMINFO
    + r"""
meminfo; mark available; printf '%s\n' "$A"
if command -v nvidia-smi >/dev/null; then
  if list=$(nvidia-smi --query-compute-apps=pid,process_name,used_memory \
            --format=csv,noheader,nounits </dev/null 2>/dev/null); then
    mark gpu; printf '%s\n' "$list"
    mark owners
    printf '%s\n' "$list" | while IFS=, read -r pid rest; do
      case $pid in ''|*[!0-9]*) continue ;; esac
      owner=''
      [ -r "/proc/$pid/cgroup" ] && read -r owner <"/proc/$pid/cgroup"
      printf '%s %s\n' "$pid" "$owner"
    done
  fi
fi
mark end
exit 0
"""
)

AWAIT_MEMORY = (
    COMMON
    + _MEMINFO
    + r"""
# NEED_KIB TENTHS STEADY PID… : wait until the processes are gone and so much memory is available,
# or, with STEADY, until no more of it has come back for so many tenths of a second
need=$1; tenths=$2; steady=$3; shift 3
now() { read -r U rest </proc/uptime; U=${U%.*}${U#*.}; }
now; begin=$U; most=0; moved=0
while :; do
  left=''
  for pid do stat_of "$pid" && left="$left $pid"; done
  meminfo
  now; spent=$(((U - begin) / 10))
  enough=false
  [ -z "$left" ] && [ -n "$A" ] && [ "$A" -ge "$need" ] && enough=true
  if [ $enough = true ] || [ $spent -ge "$tenths" ]; then break; fi
  if [ "${A:-0}" -gt $((most + 65536)) ]; then most=$A; moved=$spent; fi
  [ "$steady" -gt 0 ] && [ $((spent - moved)) -ge "$steady" ] && break
  sleep 0.1
done
mark available; printf '%s\n' "$A"
mark left; printf '%s\n' $left
mark enough; echo $enough
mark end
exit 0
"""
)
