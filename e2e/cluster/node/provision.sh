# What a distribution, its kubeadm package and an administrator would have put on the node's disk. Sourced by boot.sh
# at the first boot, with $node and $root. One file for each concern.

for concern in system containerd kubelet kubeadm; do
  . "$SCRIPTS/node/provision/$concern.sh"
done
