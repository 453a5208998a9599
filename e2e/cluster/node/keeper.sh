#!/bin/bash
# keeper.sh NODE: the mains of one node. Boots it, and boots it again whenever it ends (reboot, power cut), as long
# as the file `on` is in its state folder.
#
# Runs in the cgroup `keepers`, so that no terminal or session takes it along, and taking the cluster down finds it.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
. "$SCRIPTS/cgroups.sh"
node=$1
state=$STATE/nodes/$node

# One life of the node: returns when its first process, and with it its whole pid namespace, is gone.
boot() {
  cgroup_create "$node"
  cgroup_clear "$node"
  "$SCRIPTS/network.sh" clear "$node"
  count=$(($(cat "$state/boots" 2>/dev/null || echo 0) + 1))
  echo $count >"$state/boots.new" && mv "$state/boots.new" "$state/boots"
  # Not `ip netns exec`: its new /sys hides the cgroups, into which boot.sh has to move.
  nsenter --net="/run/netns/$(node_namespace "$node")" \
    unshare --mount --pid --fork --kill-child --uts --ipc "$SCRIPTS/node/boot.sh" "$node" &
  echo $! >"$state/unshare.pid"
  wait $!
}

cgroup_create keepers
cgroup_enter keepers
echo $$ >"$state/keeper.pid"
while [ -e "$state/on" ]; do
  boot
  sleep 0.2   # a node that fails at once must not spin
done
