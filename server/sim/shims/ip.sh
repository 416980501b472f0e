#!/bin/sh
# `ip addr show`, with -o or without: this host's two addresses, on lo as they truly are here.
H='@HOST@'
read -r address < "$H/state/address"
cluster=$(cat "$H/state/cluster_address" 2> /dev/null)
n=1
for one in 127.0.0.1/8 "$address/32" ${cluster:+"$cluster/32"}; do
  printf '%d: lo    inet %s scope host lo\\       valid_lft forever preferred_lft forever\n' "$n" "$one"
done
