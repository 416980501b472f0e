#!/bin/sh
# One NVMe disk of 4 TB. Sizes in the unit that was asked for; -P shapes the head.
H='@HOST@'
unit=1024 head=1K-blocks human=0
paths=
for a in "$@"; do
  case $a in
    -B1 | --block-size=1 | -PB1 | -B1P) unit=1 head=1B-blocks ;;
    -k | -Pk | -kP) ;;
    -m | -BM) unit=1048576 head=1M-blocks ;;
    -h | -Ph | -hP | -H) human=1 ;;
    -*) ;;
    *) paths="$paths $a" ;;
  esac
done
case " $* " in *" -PB1 "* | *" -B1P "*) head=1-blocks ;; *" -P "*) [ "$unit" = 1 ] && head=1-blocks || head=1024-blocks ;; esac
read -r full < "$H/state/full"
total=3936818806784
used=1180000000000
available=2556700000000
percent=32%
if [ "$full" = 1 ]; then used=3736800000000 available=0 percent=100%; fi
line() { # mount
  if [ "$human" = 1 ]; then
    printf '%-16s %8s %8s %8s %4s %s\n' /dev/nvme0n1p2 3.6T "$((used / 1099511627776)).1T" "$((available / 1099511627776)).3T" "$percent" "$1"
  else
    printf '%-16s %14s %14s %14s %8s %s\n' /dev/nvme0n1p2 $((total / unit)) $((used / unit)) $((available / unit)) "$percent" "$1"
  fi
}
[ "$human" = 1 ] && head=Size
printf '%-16s %14s %14s %14s %8s %s\n' Filesystem "$head" Used Available Capacity 'Mounted on'
code=0
if [ -z "$paths" ]; then
  line /
  printf '%-16s %14s %14s %14s %8s %s\n' /dev/nvme0n1p1 $((535805952 / unit)) $((6471680 / unit)) $((529334272 / unit)) 2% /boot/efi
fi
for a in "$@"; do
  case $a in
    -*) ;;
    *)
      if [ -e "$a" ]; then line /; else
        case $a in
          /var/lib/docker | /var/lib/docker/* | /srv | /root) line / ;;
          *) echo "df: $a: No such file or directory" >&2; code=1 ;;
        esac
      fi ;;
  esac
done
exit $code
