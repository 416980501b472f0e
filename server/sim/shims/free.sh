#!/bin/sh
# `free` from the simulated /proc/meminfo; -b, -m and -g are known.
H='@HOST@'
unit=1
for a in "$@"; do
  case $a in -b | --bytes) unit=b ;; -m | --mebi) unit=1024 ;; -g | --gibi) unit=1048576 ;; esac
done
while read -r name value _; do
  case $name in
    MemTotal:) total=$value ;; MemFree:) free=$value ;; MemAvailable:) available=$value ;;
    Cached:) cached=$value ;; SwapTotal:) swap=$value ;; SwapFree:) swapfree=$value ;;
  esac
done < "$H/proc/meminfo"
in_unit() { if [ "$unit" = b ]; then echo $(($1 * 1024)); else echo $(($1 / unit)); fi; }
printf '%15s %11s %11s %11s %11s %11s\n' total used free shared buff/cache available
printf '%-7s %11s %11s %11s %11s %11s %11s\n' Mem: "$(in_unit "$total")" "$(in_unit $((total - available)))" \
  "$(in_unit "$free")" 0 "$(in_unit "$cached")" "$(in_unit "$available")"
printf '%-7s %11s %11s %11s\n' Swap: "$(in_unit "$swap")" "$(in_unit $((swap - swapfree)))" "$(in_unit "$swapfree")"
