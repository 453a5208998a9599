#!/bin/bash
# rootfs.sh OUT: OUT/rootfs, what a node's disk holds when new: Debian with systemd, containerd, runc and CNI plugins (80 s).
#
# Runs in a mount namespace of its own: what it mounts goes with it.
set -euo pipefail
[ "${IN_NAMESPACE:-}" ] || IN_NAMESPACE=1 exec unshare --mount "$0" "$@"
root=$1/rootfs
packages=systemd,systemd-sysv,dbus,iproute2,iptables,nftables,conntrack,kmod,ca-certificates,procps,curl,socat,ethtool,ipset,util-linux,mount

# The machine's own mirror and its apt settings (proxies) are the ones that work here.
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1)
[ "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' /etc/apt/sources.list 2>/dev/null | head -1)
debootstrap --variant=minbase --include=$packages bookworm "$root" "$mirror"
cp /etc/resolv.conf "$root/etc/"
cp -n /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" || true

# policy-rc.d keeps packages from starting services while they are installed.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc"
chroot "$root" apt-get update -q
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -q --no-install-recommends containerd runc containernetworking-plugins
umount "$root/proc"
rm -rf "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf" "$root"/var/cache/apt/archives/*.deb
