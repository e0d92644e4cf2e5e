#!/bin/bash
# First process of the lab, in its own namespaces: makes the tools root its root and creates the networks.
# When it ends, everything in the lab ends.  init.sh TOOLS CLOUD CODE PACKAGES "CGROUP-V1-CONTROLLERS"
set -eu
tools=$1 cloud=$2 code=$3 packages=$4 controllers=$5
hostname rehearsal
# What daemons write outside /lab is kept in memory and lost when the lab ends.
mount -t tmpfs -o mode=755 lab "$cloud/root"
mkdir -p "$cloud"/root/{upper,work,merged}
r=$cloud/root/merged
mount -t overlay -o "lowerdir=$tools,upperdir=$cloud/root/upper,workdir=$cloud/root/work" lab "$r"
mkdir -p "$r"/{lab,old,opt/rehearsal,packages}
mount --bind "$cloud" "$r/lab"
mount --bind "$packages" "$r/packages"
mount --bind "$code" "$r/opt/rehearsal" && mount -o remount,bind,ro "$r/opt/rehearsal"
mount -t proc proc "$r/proc"
mount -t sysfs sysfs "$r/sys"
mount --rbind /dev "$r/dev"
mount -t tmpfs -o mode=755 run "$r/run"
# control groups: only the lab's subtree, as the lab has its own cgroup namespace
c=$r/sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs "$c"
for name in $controllers; do mkdir -p "$c/$name"; mount -t cgroup -o "$name" cgroup "$c/$name"; done
mkdir -p "$c/systemd" "$c/unified"
mount -t cgroup -o none,name=systemd cgroup "$c/systemd" 2>/dev/null || rmdir "$c/systemd"
mount -t cgroup2 cgroup2 "$c/unified"
cp /etc/resolv.conf "$r/etc/resolv.conf.machine"
cp /etc/hosts "$r/etc/hosts.machine"
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then cat /etc/ssl/certs/ca-certificates.crt > "$r/etc/ssl/certs/ca-certificates.crt"; fi
cd "$r"
pivot_root . old
umount -l /old
exec chroot . /bin/bash /opt/rehearsal/inside/pid1.sh
