#!/bin/bash
# boot.sh NODE: the first program in a node's namespaces (network, mount, pid, uts, ipc, cgroup). Builds the node's
# root folder, moves into it, and becomes systemd.
#
# The node's disk is the upper layer of an overlay over the shared root file system: it survives reboots and power
# cuts. /run, /tmp and /dev are new at each boot.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
. "$SCRIPTS/cgroups.sh"
node=$1

# The cgroup in which the namespace is made becomes the node's root. Only processes of the node may be in it: systemd
# fails to move those of an outer pid namespace, and with them the services that it was about to start.
if [ -z "${IN_CGROUP:-}" ]; then
  cgroup_enter "$node"
  IN_CGROUP=1 exec unshare --cgroup "$0" "$@"
fi

state=$STATE/nodes/$node
root=$state/root
exec >>"$state/boot.log" 2>&1
echo "boot $(cat "$state/boots")"

mount_disk() {
  mkdir -p "$state"/{disk,work,root,containerd,kubelet}
  mount -t overlay -o "lowerdir=$ROOTFS,upperdir=$state/disk,workdir=$state/work" overlay "$root"
  local directory
  # containerd and the kubelet mount overlays themselves, and an overlay cannot lie on another one.
  for directory in containerd kubelet; do
    mkdir -p "$root/var/lib/$directory"
    mount --bind "$state/$directory" "$root/var/lib/$directory"
  done
  mkdir -p "$root/opt/k8s" "$root/opt/images"
  mount --bind "$BINARIES" "$root/opt/k8s"
  mount --bind "$IMAGES" "$root/opt/images"
}

# The file `binds` puts folders of the node on other devices: one `source target` a line.
mount_binds() {
  [ -e "$state/binds" ] || return 0
  local source target
  while read -r source target; do
    mkdir -p "$root$target"
    mount --bind "$source" "$root$target"
  done <"$state/binds"
}

mount_kernel_folders() {
  local device
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  mkdir -p "$root"/dev/{pts,shm,net}
  for device in null zero full random urandom tty fuse net/tun kmsg loop-control; do   # without kmsg the kubelet exits
    [ -e "/dev/$device" ] || continue
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  # systemd hangs on a console that is missing or a fifo.
  touch "$root/dev/console"
  mount --bind /dev/null "$root/dev/console"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  mount -t tmpfs tmpfs "$root/dev/shm"
}

move_into_root() {
  cd "$root"
  mkdir -p .old
  pivot_root . .old
  cd /
  umount -l /.old
  rmdir /.old
}

# The cgroup namespace makes the node's own cgroup the root of each hierarchy. systemd needs its named one.
mount_cgroups() {
  local controller
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for controller in $CGROUP_CONTROLLERS; do
    mkdir "/sys/fs/cgroup/$controller"
    if [ "$controller" = systemd ]; then
      mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    else
      mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    fi
  done
}

# pretend FILE VALUE: what lies under /proc/sys belongs to the machine; the node sees and writes a file of its own.
pretend() {
  mkdir -p "/run/pretended/${1%/*}"
  echo "$2" >"/run/pretended/$1"
  mount --bind "/run/pretended/$1" "/proc/sys/$1"
}

hostname "$node"
mount --make-rprivate /
mount_disk
mount_binds
mount_kernel_folders
if [ ! -e "$state/provisioned" ]; then
  . "$SCRIPTS/node/provision.sh"
  touch "$state/provisioned"
fi
boot_id=$(cat /proc/sys/kernel/random/uuid)
move_into_root
mount_cgroups
pretend kernel/random/boot_id "$boot_id"   # the kubelet and journald tell boots apart by it
pretend vm/overcommit_memory 1             # the kubelet writes this one and the next three
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
mount --make-rshared /
exec env -i container=yurt PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
