# Settings that all scripts of the cluster share. Source it.
#
# YURT_INSTANCE names the cluster. Whatever the scripts create outside of their state folder (network
# namespaces, cgroups) carries that name, so that a demo and a test cluster do not meet. The addresses are
# the same in every instance: no instance has a way out of its own switch.

SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
INSTANCE=${YURT_INSTANCE:-e2e}
K8S_VERSION=${K8S_VERSION:-1.34.4}

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/yurt   # what was built: kept between runs
STATE=/var/tmp/yurt-$INSTANCE                # what a run creates: gone when the cluster is taken down
BINARIES=$CACHE/bin-$K8S_VERSION
IMAGES=$CACHE/images-$K8S_VERSION
ROOTFS=$CACHE/rootfs

CGROUP=yurt-$INSTANCE
CGROUP_CONTROLLERS="cpu cpuacct cpuset memory devices freezer blkio pids systemd"
SWITCH=yurt-$INSTANCE-switch

IMAGE_REPOSITORY=testbed.local               # no registry stands behind it: images are imported from files
PAUSE_IMAGE=$IMAGE_REPOSITORY/pause:3.10.1
BUSYBOX_IMAGE=$IMAGE_REPOSITORY/busybox:1
METRICS_SERVER_IMAGE=$IMAGE_REPOSITORY/metrics-server:0.9.0

CLOUD_IP=10.99.0.10
SERVICE_CIDR=10.96.0.0/16
BOOTSTRAP_TOKEN=abcdef.0123456789abcdef      # secrets of a cluster that nobody else can reach
CERTIFICATE_KEY=a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4

ALL_NODES=$(echo cloud{1..9} edge{1..9})

# cloud1..9 have the numbers 10..18, edge1..9 have 21..29; e2e/src/node.rs counts the same way.
node_number() {
  case $1 in
    cloud[1-9]) echo $((9 + ${1#cloud})) ;;
    edge[1-9]) echo $((20 + ${1#edge})) ;;
    *) echo "no such node: $1 (cloud1..9, edge1..9)" >&2; return 1 ;;
  esac
}
node_ip() { echo "10.99.0.$(node_number "$1")"; }
node_pod_cidr() { echo "10.244.$(node_number "$1").0/24"; }
node_namespace() { echo "yurt-$INSTANCE-$1"; }
