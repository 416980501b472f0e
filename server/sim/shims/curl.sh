#!/bin/sh
# 127.0.0.1 on a host is the host itself; here every host has a loopback address of its own.
read -r address < '@HOST@/state/address'
n=$#
while [ "$n" -gt 0 ]; do
  a=$1
  shift
  case $a in
    http://127.0.0.1:* | http://localhost:*) a=http://$address:${a#http://*:} ;;
    http://0.0.0.0:*) a=http://$address:${a#http://*:} ;;
    127.0.0.1:* | localhost:*) a=$address:${a#*:} ;;
  esac
  set -- "$@" "$a"
  n=$((n - 1))
done
exec /usr/bin/curl "$@"
