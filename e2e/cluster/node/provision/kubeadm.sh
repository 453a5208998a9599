# kubeadm.yaml: `kubeadm init` for cloud1, `kubeadm join` for all others (as a further control plane if it is a cloud node).
#
# From the profile: NODE_MONITOR_GRACE_PERIOD, NODE_MONITOR_PERIOD, TOLERATION_SECONDS (Kubernetes' defaults if not set).

registration="nodeRegistration:
  name: $node
  criSocket: unix:///run/containerd/containerd.sock
  ignorePreflightErrors: [all]
  kubeletExtraArgs: [{name: node-ip, value: $(node_ip "$node")}]"

init_configuration() {
  cat <<Y
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens: [{token: $BOOTSTRAP_TOKEN, ttl: 24h0m0s}]
certificateKey: $CERTIFICATE_KEY
localAPIEndpoint: {advertiseAddress: $(node_ip "$node")}
$registration
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v$K8S_VERSION
imageRepository: $IMAGE_REPOSITORY
controlPlaneEndpoint: "$CLOUD_IP:6443"
networking: {serviceSubnet: $SERVICE_CIDR}
etcd: {local: {extraArgs: [{name: unsafe-no-fsync, value: "true"}]}}
apiServer:
  extraArgs:
  - {name: default-not-ready-toleration-seconds, value: "${TOLERATION_SECONDS:-300}"}
  - {name: default-unreachable-toleration-seconds, value: "${TOLERATION_SECONDS:-300}"}
controllerManager:
  extraArgs:
  - {name: node-monitor-grace-period, value: ${NODE_MONITOR_GRACE_PERIOD:-40s}}
  - {name: node-monitor-period, value: ${NODE_MONITOR_PERIOD:-5s}}
---
# cgroup v1 needs cgroupfs and, from 1.35 on, a word that it is meant. Disk thresholds are low: the disk is the machine's.
# nodeStatusUpdateFrequency makes a node Ready 3 s after its registration instead of 10 s.
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failSwapOn: false
failCgroupV1: false
evictionHard: {memory.available: 100Mi, nodefs.available: 2%, nodefs.inodesFree: 2%, imagefs.available: 2%}
imageGCHighThresholdPercent: 99
imageGCLowThresholdPercent: 98
nodeStatusUpdateFrequency: 3s
---
# These sysctls of conntrack belong to the machine: zero means hands off.
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
Y
}

join_configuration() {
  cat <<Y
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery: {bootstrapToken: {token: $BOOTSTRAP_TOKEN, apiServerEndpoint: "$CLOUD_IP:6443", unsafeSkipCAVerification: true}}
$registration
Y
  case $node in cloud*)
    echo "controlPlane: {localAPIEndpoint: {advertiseAddress: $(node_ip "$node")}, certificateKey: $CERTIFICATE_KEY}" ;;
  esac
}

case $node in
  cloud1) init_configuration ;;
  *) join_configuration ;;
esac >"$root/etc/kubernetes/kubeadm.yaml"
