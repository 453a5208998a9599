# The kubelet's unit and its drop-in: the ones of the kubeadm packages (RestartSec is 10 there).

units=$root/etc/systemd/system
mkdir -p "$units/kubelet.service.d" "$units/multi-user.target.wants" "$root/etc/kubernetes"
for binary in kubelet kubeadm kubectl; do
  ln -sf "/opt/k8s/$binary" "$root/usr/bin/$binary"
done

cat >"$units/kubelet.service" <<'U'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Wants=network-online.target
After=network-online.target containerd.service

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=2

[Install]
WantedBy=multi-user.target
U

cat >"$units/kubelet.service.d/10-kubeadm.conf" <<'U'
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
U
ln -sf /etc/systemd/system/kubelet.service "$units/multi-user.target.wants/"
