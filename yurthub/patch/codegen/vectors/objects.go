package main

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

type testCase struct {
	name       string
	object     object
	patch      string
	mergePatch bool
}

func at(minute int) metav1.Time {
	return metav1.NewTime(time.Date(2026, 3, 1, 12, minute, 0, 0, time.UTC))
}

func ptr[T any](v T) *T { return &v }

func condition(t corev1.NodeConditionType, status corev1.ConditionStatus, minute int, reason string) corev1.NodeCondition {
	return corev1.NodeCondition{Type: t, Status: status, LastHeartbeatTime: at(minute), LastTransitionTime: at(1),
		Reason: reason, Message: "kubelet says " + reason}
}

func resources(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(cpu),
		corev1.ResourceMemory:           resource.MustParse(memory),
		corev1.ResourceEphemeralStorage: resource.MustParse("10Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
}

func node() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: "edge-1", UID: "0b5f0d0c-0001-4d55-9d3e-2f1c33a1b001", ResourceVersion: "4711", CreationTimestamp: at(0),
			Labels:      map[string]string{"kubernetes.io/hostname": "edge-1", "kubernetes.io/os": "linux"},
			Annotations: map[string]string{"node.alpha.kubernetes.io/ttl": "0", "quoted": "a \"b\" <c> é"},
			Finalizers:  []string{"a.example/one", "b.example/two", "c.example/three"},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: ptr(at(0)),
				FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:status":{"f:conditions":{}}}`)},
			}},
		},
		Spec: corev1.NodeSpec{
			PodCIDR: "10.244.1.0/24", PodCIDRs: []string{"10.244.1.0/24", "fd00:1::/64"}, ProviderID: "edge://1",
			Taints: []corev1.Taint{{Key: "edge", Value: "true", Effect: corev1.TaintEffectNoSchedule, TimeAdded: ptr(at(2))}},
		},
		Status: corev1.NodeStatus{
			Capacity: resources("4", "8Gi"), Allocatable: resources("3800m", "7Gi"), Phase: corev1.NodeRunning,
			Conditions: []corev1.NodeCondition{
				condition(corev1.NodeNetworkUnavailable, corev1.ConditionFalse, 1, "RouteCreated"),
				condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, 5, "KubeletHasSufficientMemory"),
				condition(corev1.NodeDiskPressure, corev1.ConditionFalse, 5, "KubeletHasNoDiskPressure"),
				condition(corev1.NodePIDPressure, corev1.ConditionFalse, 5, "KubeletHasSufficientPID"),
				condition(corev1.NodeReady, corev1.ConditionTrue, 5, "KubeletReady"),
			},
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "192.0.2.10"}, {Type: corev1.NodeHostName, Address: "edge-1"},
			},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 10250}},
			NodeInfo: corev1.NodeSystemInfo{MachineID: "m", BootID: "b1", KernelVersion: "6.1", KubeletVersion: "v1.34.4",
				OperatingSystem: "linux", Architecture: "amd64", ContainerRuntimeVersion: "containerd://2.1"},
			Images: []corev1.ContainerImage{
				{Names: []string{"example.org/app@sha256:01", "example.org/app:v1"}, SizeBytes: 52428800},
				{Names: []string{"example.org/pause:3.10"}, SizeBytes: 320000},
			},
			VolumesInUse:    []corev1.UniqueVolumeName{"kubernetes.io/csi/d^v1"},
			VolumesAttached: []corev1.AttachedVolume{{Name: "kubernetes.io/csi/d^v1", DevicePath: "/dev/vdb"}},
			RuntimeHandlers: []corev1.NodeRuntimeHandler{
				{Name: "", Features: &corev1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: ptr(true), UserNamespaces: ptr(false)}},
			},
			Features: &corev1.NodeFeatures{SupplementalGroupsPolicy: ptr(true)},
		},
	}
}

func podCondition(t corev1.PodConditionType, status corev1.ConditionStatus, minute int) corev1.PodCondition {
	return corev1.PodCondition{Type: t, Status: status, LastTransitionTime: at(minute)}
}

func container(name string) corev1.Container {
	return corev1.Container{
		Name: name, Image: "example.org/" + name + ":v1",
		Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80, Protocol: corev1.ProtocolTCP}, {ContainerPort: 443, Protocol: corev1.ProtocolTCP}},
		Env:   []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "token", MountPath: "/var/run/token", ReadOnly: true}},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(80)}},
			PeriodSeconds: 10,
		},
		SecurityContext: &corev1.SecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr(int64(0))},
	}
}

func pod() *corev1.Pod {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(3)}}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-0", Namespace: "default", UID: types.UID("0b5f0d0c-0002-4d55-9d3e-2f1c33a1b002"), ResourceVersion: "4712", Generation: 1,
			CreationTimestamp: at(0), Labels: map[string]string{"app": "web"},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: "0b5f0d0c-0003-4d55-9d3e-2f1c33a1b003", Controller: ptr(true), BlockOwnerDeletion: ptr(true)},
			},
		},
		Spec: corev1.PodSpec{
			NodeName:   "edge-1",
			Containers: []corev1.Container{container("web"), container("sidecar")},
			Volumes: []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr(resource.MustParse("1Gi"))}}},
				{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
					DefaultMode: ptr(int32(420)),
					Sources:     []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr(int64(3607))}}},
				}}},
			},
			TerminationGracePeriodSeconds: ptr(int64(0)),
			Tolerations:                   []corev1.Toleration{{Key: "edge", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr(int64(300))}},
			ImagePullSecrets:              []corev1.LocalObjectReference{{Name: "pull"}},
			SecurityContext:               &corev1.PodSecurityContext{SupplementalGroups: []int64{1, 2, 300000}},
			TopologySpreadConstraints:     []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule}},
		},
		Status: corev1.PodStatus{
			ObservedGeneration: 1, Phase: corev1.PodRunning, HostIP: "192.0.2.10", HostIPs: []corev1.HostIP{{IP: "192.0.2.10"}},
			PodIP: "10.244.1.5", PodIPs: []corev1.PodIP{{IP: "10.244.1.5"}, {IP: "fd00:1::5"}}, StartTime: ptr(at(2)), QOSClass: corev1.PodQOSBurstable,
			Conditions: []corev1.PodCondition{
				podCondition(corev1.PodReadyToStartContainers, corev1.ConditionTrue, 2),
				podCondition(corev1.PodInitialized, corev1.ConditionTrue, 2),
				podCondition(corev1.PodReady, corev1.ConditionTrue, 4),
				podCondition(corev1.ContainersReady, corev1.ConditionTrue, 4),
				podCondition(corev1.PodScheduled, corev1.ConditionTrue, 1),
				podCondition("example.org/gate", corev1.ConditionTrue, 1),
			},
			ContainerStatuses: []corev1.ContainerStatus{
				{Name: "web", Ready: true, Started: ptr(true), Image: "example.org/web:v1", ImageID: "sha256:01", ContainerID: "containerd://01", State: running,
					AllocatedResources: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
					VolumeMounts:       []corev1.VolumeMountStatus{{Name: "data", MountPath: "/data"}},
					User:               &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: 0, GID: 0, SupplementalGroups: []int64{1}}}},
				{Name: "sidecar", Ready: true, Started: ptr(true), RestartCount: 2, Image: "example.org/sidecar:v1", ImageID: "sha256:02", ContainerID: "containerd://02", State: running,
					LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", StartedAt: at(1), FinishedAt: at(2)}}},
			},
			ResourceClaimStatuses: []corev1.PodResourceClaimStatus{{Name: "gpu", ResourceClaimName: ptr("web-0-gpu")}},
		},
	}
}

// nodePatch is the patch that the kubelet sends for a change of its Node: PatchNodeStatus in
// k8s.io/component-helpers/node/util/status.go, which replaces the addresses whenever they change.
func nodePatch(before, after *corev1.Node) string {
	old := before.DeepCopy()
	fresh := after.DeepCopy()
	old.Spec, fresh.Spec = corev1.NodeSpec{}, corev1.NodeSpec{}
	addressesChanged := !jsonEqual(old.Status.Addresses, fresh.Status.Addresses)
	if addressesChanged {
		fresh.Status.Addresses = old.Status.Addresses
	}
	patch := twoWay(old, fresh, corev1.Node{})
	if !addressesChanged {
		return patch
	}
	document := map[string]any{}
	check(json.Unmarshal([]byte(patch), &document))
	if document["status"] == nil {
		document["status"] = map[string]any{}
	}
	var addresses []any
	text, err := json.Marshal(after.Status.Addresses)
	check(err)
	check(json.Unmarshal(text, &addresses))
	document["status"].(map[string]any)["addresses"] = append(addresses, map[string]any{"$patch": "replace"})
	text, err = json.Marshal(document)
	check(err)
	return string(text)
}

// podPatch is the patch that the kubelet sends for a change of a pod: PatchPodStatus in
// k8s.io/kubernetes/pkg/util/pod/pod.go.
func podPatch(before, after *corev1.Pod) string {
	return twoWay(&corev1.Pod{Status: before.Status},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: before.UID}, Status: after.Status}, corev1.Pod{})
}

func twoWay(before, after, schema any) string {
	old, err := json.Marshal(before)
	check(err)
	fresh, err := json.Marshal(after)
	check(err)
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, fresh, schema)
	check(err)
	return string(patch)
}

func jsonEqual(a, b any) bool {
	left, err := json.Marshal(a)
	check(err)
	right, err := json.Marshal(b)
	check(err)
	return string(left) == string(right)
}
