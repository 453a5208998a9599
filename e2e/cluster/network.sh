#!/bin/bash
# network.sh VERB [NODE [NODE2]]: the network of an instance, a switch namespace and a namespace for each node.
#
#   switch                        makes the switch
#   plug NODE                     makes the node's namespace and its cable to the switch
#   clear NODE                    removes what the node's earlier life left in its namespace (as a boot does)
#   remove                        removes all of the instance's namespaces
#   cut | join NODE               pulls the cable, plugs it in
#   blackhole | unblackhole NODE [NODE2]   packets vanish, the cable stays in: to everyone, or to one other node
#   nat | unnat NODE              only the node opens connections, as behind a site's router
#   emulate | unemulate NODE      each IPv4 packet waits for the verdict of its link emulator (link.sh)
#   heal NODE                     ends all of these
#
# Nothing has a default route: no packet can leave the instance, and the kubelet's look-up of a cloud's metadata
# fails at once instead of after 6 s.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

make_switch() {
  ip netns add "$SWITCH"
  ip -n "$SWITCH" link set lo up
  ip -n "$SWITCH" link add br0 type bridge
  ip -n "$SWITCH" link set br0 up
  # The name server of the nodes: there is none, and asking fails at once. Without the address every query was an
  # ARP broadcast a second on all cables.
  ip -n "$SWITCH" addr add 10.99.0.254/24 dev br0
  # Bridged packets pass the hooks of the ip family, where connections are tracked.
  ip netns exec "$SWITCH" sysctl -qw net.bridge.bridge-nf-call-iptables=1
  ip netns exec "$SWITCH" nft -f - <<'NFT'
table ip site {
  set behind_nat { type ipv4_addr; flags interval; }
  set lost_pairs { type ipv4_addr . ipv4_addr; }
  chain forward {
    type filter hook forward priority 0
    ip saddr . ip daddr @lost_pairs drop
    ip daddr @behind_nat ct state { new, invalid } drop
  }
}
table bridge site {
  set lost_ports { type ifname; }
  chain forward {
    type filter hook forward priority 0
    iifname @lost_ports drop
    oifname @lost_ports drop
  }
}
NFT
}

plug() {
  local node=$1 namespace other
  namespace=$(node_namespace "$node")
  ip netns add "$namespace"
  ip -n "$namespace" link set lo up
  # Both ends are born in their namespaces: the machine itself never sees the pair.
  ip link add "$node" netns "$SWITCH" type veth peer name eth0 netns "$namespace"
  ip -n "$SWITCH" link set "$node" master br0
  ip -n "$SWITCH" link set "$node" up
  ip -n "$namespace" addr add "$(node_ip "$node")/24" dev eth0
  ip -n "$namespace" link set eth0 up
  ip netns exec "$namespace" sysctl -qw net.ipv4.ip_forward=1
  ip -n "$namespace" route add $SERVICE_CIDR dev eth0
  for other in $ALL_NODES; do
    [ "$other" = "$node" ] && continue
    echo "route add $(node_pod_cidr "$other") via $(node_ip "$other")"
  done | ip -n "$namespace" -batch -
}

clear_leftovers() {
  local namespace link
  namespace=$(node_namespace "$1")
  ip netns exec "$namespace" nft flush ruleset
  ip -n "$namespace" -o link show | awk -F': ' '{ sub(/@.*/, "", $2); print $2 }' | while read -r link; do
    case $link in lo | eth0) ;; *) ip -n "$namespace" link delete "$link" 2>/dev/null || true ;; esac
  done
}

remove_all() {
  local namespace
  for namespace in $(ip netns list | awk '{ print $1 }' | grep "^yurt-$INSTANCE-" || true); do
    # `e2e` must not take `e2e-short` with it.
    case ${namespace#"yurt-$INSTANCE-"} in switch | cloud[1-9] | edge[1-9]) ip netns delete "$namespace" ;; esac
  done
}

# set_element add|delete SET ELEMENT: a set that is already as wanted is left alone.
set_element() {
  local verb=$1 set=$2 element=$3 there=no
  ip netns exec "$SWITCH" nft "get element $set { $element }" >/dev/null 2>&1 && there=yes
  [ "$verb $there" = "add yes" ] || [ "$verb $there" = "delete no" ] || ip netns exec "$SWITCH" nft "$verb element $set { $element }"
}

lose() {
  local verb=$1 node=$2 other=${3:-}
  if [ -z "$other" ]; then
    set_element "$verb" "bridge site lost_ports" "\"$node\""
  else
    set_element "$verb" "ip site lost_pairs" "$(node_ip "$node") . $(node_ip "$other")"
    set_element "$verb" "ip site lost_pairs" "$(node_ip "$other") . $(node_ip "$node")"
  fi
}

behind_nat() {
  set_element "$1" "ip site behind_nat" "$(node_ip "$2")"
  set_element "$1" "ip site behind_nat" "$(node_pod_cidr "$2")"
}

# Two tables: a packet between two such nodes is asked for twice, and a verdict skips the rest of its chain. Without an
# emulator the packets are lost.
emulate() {
  local node=$1 queue
  queue=$((2 * $(node_number "$node")))
  unemulate "$node"
  ip netns exec "$SWITCH" iptables-nft -t mangle -A FORWARD -m physdev --physdev-in "$node" -j NFQUEUE --queue-num $queue
  ip netns exec "$SWITCH" iptables-nft -t filter -A FORWARD -m physdev --physdev-out "$node" -j NFQUEUE --queue-num $((queue + 1))
}

unemulate() {
  local table way
  for table in "mangle in" "filter out"; do
    way=${table#* } table=${table% *}
    ip netns exec "$SWITCH" iptables-nft -t "$table" -S FORWARD | { grep -- "--physdev-$way $1 " || true; } | while read -r _ rule; do
      # shellcheck disable=SC2086 # words of a rule
      ip netns exec "$SWITCH" iptables-nft -t "$table" -D $rule
    done
  done
}

heal() {
  local node=$1 ip pair
  ip=$(node_ip "$node")
  ip -n "$SWITCH" link set "$node" up
  lose delete "$node"
  behind_nat delete "$node"
  unemulate "$node"
  ip netns exec "$SWITCH" nft list set ip site lost_pairs | { grep -oE '[0-9.]+ \. [0-9.]+' || true; } | while read -r pair; do
    case " $pair " in *" $ip "*) set_element delete "ip site lost_pairs" "$pair" ;; esac
  done
}

usage() { sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

[ $# -ge 1 ] || usage
case $1 in
  switch) make_switch ;;
  plug) plug "$2" ;;
  clear) clear_leftovers "$2" ;;
  remove) remove_all ;;
  cut) ip -n "$SWITCH" link set "$2" down ;;
  join) ip -n "$SWITCH" link set "$2" up ;;
  blackhole) lose add "$2" "${3:-}" ;;
  unblackhole) lose delete "$2" "${3:-}" ;;
  emulate) emulate "$2" ;;
  unemulate) unemulate "$2" ;;
  heal) heal "$2" ;;
  nat) behind_nat add "$2" ;;
  unnat) behind_nat delete "$2" ;;
  *) usage ;;
esac
