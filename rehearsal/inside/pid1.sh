#!/bin/bash
# The lab's first process after it entered the tools root: creates folders and networks, then only reaps child processes.
set -eu
export PATH=/opt/openstack/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /run/netns /run/lock /run/libvirt /run/daemons
mkdir -p /lab/{log,lock,mysql,rabbitmq/log,keystone/{fernet,cred},glance/{images,tasks,staging},nova/instances,neutron,outside}
mkdir -p /lab/libvirt/{etc,lib,cache} /etc/libvirt /var/lib/libvirt /var/cache/libvirt
mount --bind /lab/libvirt/etc /etc/libvirt
mount --bind /lab/libvirt/lib /var/lib/libvirt
mount --bind /lab/libvirt/cache /var/cache/libvirt
mkdir -p /etc/libvirt/hooks
install -m 755 /opt/rehearsal/inside/lxc-hook /etc/libvirt/hooks/lxc
install -m 600 /lab/etc/libvirtd.conf /etc/libvirt/libvirtd.conf
printf '127.0.0.1 localhost rehearsal\n' > /etc/hosts
: > /etc/resolv.conf
# libvirtd requires this user (the package that creates it would also install services)
grep -q ^libvirt-qemu /etc/passwd || {
  echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >> /etc/passwd
  echo 'libvirt-qemu:x:64055:' >> /etc/group
}
touch /lab/outside/hosts
ip link set lo up
# The lab ignores the tenants' router advertisements on their bridges: an address there would bypass the security groups.
# (Not default.disable_ipv6: Neutron's agents would conclude that the machine has no IPv6 at all.)
sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.autoconf=0
# Addresses of the cloud's API, of the services in the table of endpoints, and of the hosts that a class could leak to.
while read -r address; do
  case $address in
    *:*) ip address add "$address/128" dev lo nodad ;;
    *) ip address add "$address/32" dev lo ;;
  esac
done < /lab/etc/addresses
ip link add br-ex type bridge
ip address add 203.0.113.1/24 dev br-ex
ip address add 2001:db8:f::1/64 dev br-ex nodad
ip link set br-ex up
# The client: a host on the outside network that reaches only the provider's edge router.
ip netns add client
ip link add to-client type veth peer name eth0 netns client
ip address add 198.51.100.1/24 dev to-client
ip address add 2001:db8:c::1/64 dev to-client nodad
ip link set to-client up
in_client() { ip netns exec client "$@"; }
in_client ip link set lo up
in_client ip link set eth0 up
in_client ip address add 198.51.100.2/24 dev eth0
in_client ip address add 2001:db8:c::2/64 dev eth0 nodad
in_client ip route add default via 198.51.100.1
in_client ip -6 route add default via 2001:db8:c::1
# The lab's network namespace routes between client and edge router, and nowhere else.
sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.to-client.forwarding=1 net.ipv4.conf.br-ex.forwarding=1
sysctl -qw net.ipv6.conf.all.forwarding=1
# A short timeout for unanswered connections: a scan of all ports would fill the connection tracking table.
sysctl -qew net.netfilter.nf_conntrack_tcp_timeout_syn_sent=10
touch /run/ready /lab/ready
trap 'exit 0' TERM
while :; do sleep 86400 & wait $!; done
