r"""The programs that start an engine, and the theory that makes a late or repeated start harmless.

Theory of the fence. A start that we sent may still be on its way when we are killed, and may run
long after somebody else decided that nothing runs: the shell may hang in a slow sshd, `docker run`
in a busy daemon, `launch-cluster.sh` in an ssh to a worker. Three things on the host make a late
start harmless, all in ~/.spark-control/engines/NAME:

  lock     flock; held by a start until the engine is recorded (container created, pid file written)
           and inherited by every process that still works on it.
  fence    a number. Each start carries an epoch and is refused unless epoch > fence. Only `STOP`
           raises it, first of all it does, so a start sent before that stop can never act after it.
           The number is overwritten in place, at a fixed width, so that a full disk cannot stop it.
  starter  pid, start ticks and process group of the shell that holds the lock, for `STOP` to kill.

`STOP` = raise the fence; take the lock, killing its holder when it does not let go; remove the
container; look again until it is gone (several times when a start was killed, since a daemon
may finish a creation that nobody waits for any more). `docker run` gets `--pull never`, so that no
start lasts as long as a download. Two starts of one tag: the lock lets one through, the second
finds the engine of its own tag and adopts it. A reboot ends everything in flight by itself.
"""

from server.launch.remote.common import BARE_STATE, COMMON, LIVENESS

_START = r"""
enter() {
  { make_home && : >>"$dir/lock"; } 2>/dev/null \
    || { mark nostate; printf '%s\n' "$dir"; exit 0; }
  exec 9>>"$dir/lock"
  flock -w "$2" 9 || { mark busy; exit 0; }
  fence
  [ "$1" -gt "$F" ] || { mark superseded; printf '%s\n' "$F"; exit 0; }
  myself
  printf '%s %s %s\n' $$ "$TICKS" "$GROUP" >"$dir/starter"
}
give_up() { rm -f "$dir/starter"; mark "$1"; printf '%s\n' "$2"; exit 0; }
"""

RUN = (
    COMMON
    + _START
    + r"""
# NAME EPOCH WAIT ARGV…  : docker run, with ~/ in front of -v expanded here
C=$1; home "$C"; enter "$2" "$3"
shift 3
before=''
for word do
  shift
  if [ "$before" = -v ]; then
    case $word in '~/'*) word=$HOME/${word#'~/'};; esac
    case $word in
      *:ro) [ -d "${word%%:*}" ] || give_up missing "${word%%:*}";;
      *) mkdir -p "${word%%:*}" 2>/dev/null;;
    esac
  fi
  before=$word
  set -- "$@" "$word"
done
mark output
out=$("$@" </dev/null 2>&1); code=$?
printf '%s\n' "$out"
mark code; echo "$code"
if [ $code -eq 0 ]; then
  # the id is known to be ours: STOP need not ask whose container bears the name
  printf '%s\n' "$out" | tail -n 1 >"$dir/id"
fi
mark inspect
docker inspect "$C" </dev/null 2>/dev/null
rm -f "$dir/starter"
exit 0
"""
)

LAUNCH = (
    COMMON
    + _START
    + LIVENESS
    + r"""
# NAME EPOCH WAIT CHECKOUT EXTRA HF_HOME ARGV…  : launch-cluster.sh on the head
C=$1; home "$C"; enter "$2" "$3"
cd "$4" 2>/dev/null || give_up missing "$4"
VLLM_SPARK_EXTRA_DOCKER_ARGS=$5; export VLLM_SPARK_EXTRA_DOCKER_ARGS
[ -n "$6" ] && { HF_HOME=$6; export HF_HOME; }
shift 6
if docker inspect "$C" </dev/null >/dev/null 2>&1; then
  # a second exec in a live container would start a second vLLM in it
  mark present
  mark serving; serving "$C" && printf '%s\n' "$C"
else
  mark output
  "$@" </dev/null 2>&1
  code=$?
  mark code; echo "$code"
fi
mark inspect
docker inspect "$C" </dev/null 2>/dev/null
rm -f "$dir/starter"
exit 0
"""
)

LEADER = r"""
dir=$1; shift
trap : TERM INT HUP
read -r S </proc/$$/stat; S=${S##*) }; B=''
{ read -r B </proc/sys/kernel/random/boot_id; } 2>/dev/null
ticks() { echo "${20}"; }
printf '%s %s %s\n' $$ "$(ticks $S)" "$B" >"$dir/pid.new" || exit 125
mv -f "$dir/pid.new" "$dir/pid" || exit 125
exec 9>&-
"$@"
code=$?
echo "$code" >"$dir/exit"
exit "$code"
"""

BARE = (
    COMMON
    + _START
    + BARE_STATE
    + r"""
# NAME EPOCH WAIT META LEADER VENV ARGV…  : the engine as its own session, which survives us
C=$1; home "$C"; enter "$2" "$3"
if alive; then rm -f "$dir/starter"; mark already; mark bare; show_bare; exit 0; fi
meta=$4; leader=$5; venv=$6
shift 6
PATH=$PATH:$HOME/.local/bin
[ -n "$venv" ] && { PATH=$venv/bin:$PATH; VIRTUAL_ENV=$venv; export VIRTUAL_ENV; }
export PATH
command -v vllm >/dev/null || give_up missing vllm
rm -f "$dir/pid" "$dir/pid.new" "$dir/exit"
rm -f "$dir/log.1"
[ -f "$dir/log" ] && mv -f "$dir/log" "$dir/log.old"
{ printf '%s\n' "$meta" >"$dir/meta.json" && : >"$dir/log"; } 2>/dev/null \
  || give_up nostate "$dir"
setsid sh -c "$leader" spark-control-engine "$dir" "$@" </dev/null >>"$dir/log" 2>&1 &
exec 9>&-
n=0
while [ ! -s "$dir/pid" ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
rm -f "$dir/starter"
mark bare; show_bare
exit 0
"""
)
