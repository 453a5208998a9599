# containerd, its pod network, and the images it starts with.

mkdir -p "$root/etc/cni/net.d" "$root/etc/containerd" "$root/etc/systemd/system/containerd.service.d"

cat >"$root/etc/cni/net.d/10-bridge.conflist" <<J
{"cniVersion": "0.4.0", "name": "podnet", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$(node_pod_cidr "$node")"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J

# restrict_oom_score_adj: without CAP_SYS_RESOURCE no sandbox starts otherwise.
cat >"$root/etc/containerd/config.toml" <<T
version = 2
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
T

# The service counts as started when the images are in: who waits for containerd waits for them.
image_folders=all
case $node in cloud*) image_folders="all cloud" ;; esac
cat >"$root/usr/local/sbin/load-images" <<S
#!/bin/sh
set -e
[ -e /var/lib/containerd/loaded ] && exit 0
for folder in $image_folders; do
  for image in /opt/images/\$folder/*.tar; do ctr -n k8s.io images import "\$image"; done
done
touch /var/lib/containerd/loaded
S
chmod +x "$root/usr/local/sbin/load-images"
printf '[Service]\nOOMScoreAdjust=\nExecStartPost=/usr/local/sbin/load-images\n' >"$root/etc/systemd/system/containerd.service.d/10-yurt.conf"
