"""The sampler that runs on a host: one POSIX sh script, fed by stdin to `sh -s`, nothing installed.

Owns the text of the script and the argv that starts it. Refuses to interpret what comes back
(`parse.py` does) and to change anything on the host: it only reads.

The wire format, one record per line, fields separated by tabs, first field the tag, last field
`@E` (a record without it was cut somewhere and is worth nothing):

    @H  version boot-id cores                    once, first
    @F  <every line of the /proc files>          one per tick
    @G  <one csv line of nvidia-smi>             as nvidia-smi ticks
    @g  status                                   nvidia-smi ended (127: not installed)
    @P  <csv line of a GPU process> TAB <its cgroup line>, closed by  @p status count
    @D  <line of df>,                                      closed by  @d status count
    @K  <one container as JSON, or a complaint of docker>, closed by  @k status count
    @X                                           the agreed lifetime is over

Forks per tick: one `cat` and one `sleep`. A whole frame leaves in one write, so that the lines of
the background readers never cut into it. Everything that could hang runs under `timeout` (in the
foreground, so that it stays in our process group and dies with us), and in a background loop of
its own: a docker that hangs delays no frame. When the other end goes away the next write fails,
the shell ends, and its traps take the background readers along.
"""

from collections.abc import Sequence

DISK_SECONDS = 15
CONTAINER_SECONDS = 5
GPU_QUERY = "index,name,utilization.gpu,temperature.gpu,power.draw,clocks.current.sm,driver_version"

SAMPLER = r"""
main() {
  export LC_ALL=C
  set -f
  tick=$1 often="$2 $3" ticks=$4 slow=$5
  shift 5
  tab=$(printf '\t')
  nl='
'
  kids=
  trap 'stop' EXIT
  trap 'exit 0' HUP INT TERM PIPE
  IFS= read -r boot < /proc/sys/kernel/random/boot_id || boot=
  seen=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) && boot=$seen
  cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc 2>/dev/null)
  say "@H${tab}1${tab}${boot}${tab}${cores}"
  gpus & kids="$kids $!"
  processes & kids="$kids $!"
  containers & kids="$kids $!"
  disks "$@" & kids="$kids $!"
  while [ "$ticks" -gt 0 ]; do
    frame=$(cat /proc/uptime /proc/loadavg /proc/pressure/memory /proc/meminfo /proc/net/dev \
      2>/dev/null)
    IFS=$nl
    set -- $frame
    IFS=$tab
    say "@F${tab}$*"
    unset IFS
    ticks=$((ticks - 1))
    sleep "$tick" || exit 0
  done
  say '@X'
  exit 0
}

say() { printf '%s\t@E\n' "$1" || exit 0; }

stop() {
  trap - EXIT
  trap '' TERM
  unset IFS
  for kid in $kids; do descend "$kid"; done
}

descend() {
  below=
  if [ -r "/proc/$1/task/$1/children" ]; then read -r below < "/proc/$1/task/$1/children"; fi
  set -- "$1" "$below"
  kill "$1" 2>/dev/null
  for child in $2; do descend "$child"; done
}

quietly() { trap - EXIT HUP INT TERM PIPE; kids=; }

gpus() {
  quietly
  if ! command -v nvidia-smi >/dev/null 2>&1; then
    say "@g${tab}127"
    return 0
  fi
  lines=
  if command -v stdbuf >/dev/null 2>&1; then lines='stdbuf -oL'; fi
  while :; do
    { timeout --foreground -k 2 300 $lines nvidia-smi \
        --query-gpu=@GPU_QUERY@ --format=csv,noheader,nounits $often 2>&1
      status=$?
      echo "@g $status"
      [ "$status" -eq 124 ] || sleep 5
    } | while IFS= read -r line; do
      case $line in
        '@g '*) say "@g${tab}${line#@g }" ;;
        *) say "@G${tab}${line}" ;;
      esac
    done || exit 0
  done
}

processes() {
  quietly
  command -v nvidia-smi >/dev/null 2>&1 || return 0
  while :; do
    answer=$(timeout --foreground -k 2 8 nvidia-smi \
      --query-compute-apps=pid,process_name,used_memory --format=csv,noheader,nounits 2>&1)
    status=$?
    count=0
    IFS=$nl
    for line in $answer; do
      pid=${line%%,*}
      group=
      case $pid in
        ''|*[!0-9]*) ;;
        *) if [ -r "/proc/$pid/cgroup" ]; then whose "$pid"; fi ;;
      esac
      say "@P${tab}${line}${tab}${group}"
      count=$((count + 1))
    done
    unset IFS
    say "@p${tab}${status}${tab}${count}"
    sleep "$slow" || exit 0
  done
}

whose() {
  while IFS= read -r entry; do
    group=$entry
    case $entry in *docker*|*libpod*|*containerd*) break ;; esac
  done < "/proc/$1/cgroup"
}

containers() {
  quietly
  if ! command -v docker >/dev/null 2>&1; then
    say "@k${tab}127${tab}0"
    return 0
  fi
  while :; do
    answer=$(timeout --foreground -k 2 8 \
      docker ps -a --no-trunc --size=false --format '{{json .}}' 2>&1)
    status=$?
    listing '@K' '@k'
    sleep "$slow" || exit 0
  done
}

listing() {
  count=0
  IFS=$nl
  for line in $answer; do
    say "$1${tab}${line}"
    count=$((count + 1))
  done
  unset IFS
  say "$2${tab}${status}${tab}${count}"
}

disks() {
  quietly
  root=/var/lib/docker
  if command -v docker >/dev/null 2>&1; then
    facts=$(timeout --foreground -k 2 8 docker info --format '{{json .}}' 2>/dev/null)
    case $facts in
      *'"DockerRootDir":"/'*) root=${facts#*'"DockerRootDir":"'} root=${root%%'"'*} ;;
    esac
  fi
  set -- / "$HOME" "$HOME/.cache/huggingface" "$root" "$@"
  while :; do
    answer=$(timeout --foreground -k 2 10 df -PB1 -- "$@" 2>/dev/null)
    status=$?
    listing '@D' '@d'
    sleep "$beat" || exit 0
  done
}

beat=@DISK_SECONDS@
main "$@" </dev/null 2>/dev/null
""".replace("@GPU_QUERY@", GPU_QUERY).replace("@DISK_SECONDS@", str(DISK_SECONDS))


def sampler_argv(
    sample_seconds: float, lifetime: float, paths: Sequence[str], slow: float = CONTAINER_SECONDS
) -> tuple[str, ...]:
    """The argv that runs `SAMPLER` (given as stdin): it ticks until `lifetime` seconds are over."""
    ticks = max(1, round(lifetime / sample_seconds))
    milliseconds = round(sample_seconds * 1000)
    whole = milliseconds % 1000 == 0
    often = ("-l", str(milliseconds // 1000)) if whole else ("-lms", str(milliseconds))
    return ("sh", "-s", "--", f"{sample_seconds:g}", *often, str(ticks), f"{slow:g}", *paths)
