#!/bin/bash
# link.sh NODE PROGRAM SEED: becomes the link emulator of one node. network.sh sends it the packets.
#
# In the cgroup `keepers`: taking the cluster down finds it, whoever started it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$SCRIPTS/cgroups.sh"
node=$1 program=$2 seed=$3

cgroup_create keepers
cgroup_enter keepers
queue=$((2 * $(node_number "$node")))
exec nsenter --net="/run/netns/$SWITCH" "$program" "$STATE/nodes/$node/link.sock" $queue $((queue + 1)) "$seed"
