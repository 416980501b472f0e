#!/bin/sh
# The simulated host's own /proc; everything else is the real command of this name.
H='@HOST@'
me=${0##*/}
real=/usr/bin/$me
[ -x "$real" ] || real=/bin/$me
full=0
if read -r full < "$H/state/full" && [ "$full" = 1 ] && [ -f /dev/stdout ]; then
  echo "$me: write error: No space left on device" >&2
  exit 1
fi
up=0
n=$#
while [ "$n" -gt 0 ]; do
  a=$1
  shift
  case $a in
    /proc/meminfo | /proc/pressure/memory | /proc/net/dev | /proc/sys/kernel/random/boot_id)
      a=$H$a ;;
    /proc/uptime) up=1 a=/dev/fd/3 ;;
  esac
  set -- "$@" "$a"
  n=$((n - 1))
done
[ "$up" = 1 ] || exec "$real" "$@"
read -r now rest < /proc/uptime
read -r boot < "$H/proc/boot"
seconds=$((${now%.*} - boot))
exec "$real" "$@" 3<<END
$seconds.${now#*.} $((seconds * 19)).00
END
