#!/bin/bash
# Runs a command as a client: own /proc, the outside network's DNS server, the rehearsal's authority among the trusted ones.
# client.sh FOLDER COMMAND…, in its own mount namespace
set -eu
folder=$1
shift
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs -o mode=755 tmpfs /run/netns; }
mount --bind "$folder/resolv.conf" "$(readlink -f /etc/resolv.conf)"
if [ -e "$folder/bundle.pem" ] && [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  mount --bind "$folder/bundle.pem" /etc/ssl/certs/ca-certificates.crt
fi
exec "$@"
