#!/bin/bash
# images.sh OUT: OUT/images, the images that kubeadm's manifests name, packed from the binaries, and a busybox for test pods (5 s).
#
# `all` is for every node, `cloud` for control planes. The names must be exactly those that kubeadm will ask for: it
# tries to pull what is not there, and that costs minutes.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
out=$1/images
mkdir -p "$out"/{all,cloud}
names=$("$BINARIES/kubeadm" config images list --kubernetes-version "v$K8S_VERSION" --image-repository $IMAGE_REPOSITORY 2>/dev/null)

full_name() { grep "/$1:" <<<"$names"; }
pack() { python3 "$SCRIPTS/build/pack_image.py" "$@"; }

pack_control_plane() {
  local program
  for program in kube-apiserver kube-controller-manager kube-scheduler etcd; do
    pack "$out/cloud/$program.tar" "$(full_name $program)" '{"Env": ["PATH=/usr/local/bin"]}' \
      "usr/local/bin/$program=$BINARIES/$program" tmp/
  done
}

pack_coredns() {
  pack "$out/all/coredns.tar" "$(full_name coredns)" '{"Entrypoint": ["/coredns"]}' "coredns=$BINARIES/coredns"
}

# kube-proxy drives iptables: the image takes it, its libraries and its extensions out of the node's root file system.
pack_kube_proxy() {
  local xtables=usr/sbin/xtables-nft-multi extensions files alias
  extensions=$(cd "$ROOTFS" && ls usr/lib/*/xtables/*.so)
  files=$(for file in $xtables usr/sbin/nft $extensions; do
    chroot "$ROOTFS" ldd "/$file" | grep -o '/[^ ]*\.so[^ ]*'
  done | sort -u)
  pack "$out/all/kube-proxy.tar" "$(full_name kube-proxy)" '{"Env": ["PATH=/usr/local/bin:/usr/sbin:/sbin"]}' \
    "usr/local/bin/kube-proxy=$BINARIES/kube-proxy" tmp/ run/ \
    $(for file in $xtables usr/sbin/nft $extensions; do echo "$file=$ROOTFS/$file"; done) \
    $(for file in $files; do echo "${file#/}=$ROOTFS$file"; done) \
    $(for alias in iptables ip6tables; do
      echo "usr/sbin/$alias->xtables-nft-multi usr/sbin/$alias-save->xtables-nft-multi usr/sbin/$alias-restore->xtables-nft-multi"
    done)
}

# kubeadm and containerd may name different versions of it.
pack_pause() {
  local name
  gcc -Os -static -s -o "$out/pause" "$SCRIPTS/build/pause.c"
  for name in $(printf '%s\n' $PAUSE_IMAGE "$(full_name pause)" | sort -u); do
    pack "$out/all/pause-${name##*:}.tar" "$name" '{"Entrypoint": ["/pause"]}' "pause=$out/pause"
  done
}

pack_busybox() {
  local applets="cat cp date dd echo env false grep head hostname httpd id ls md5sum mkdir nc nslookup ping ps rm sed seq sh
    sha256sum sleep stty tail tar test touch true wc wget yes"
  pack "$out/all/busybox.tar" $BUSYBOX_IMAGE '{"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}' \
    bin/busybox=/bin/busybox $(printf 'bin/%s->busybox ' $applets) tmp/
}

pack_control_plane
pack_coredns
pack_kube_proxy
pack_pause
pack_busybox
touch "$out/ok"
