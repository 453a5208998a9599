package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func nodeCases() []testCase {
	changed := func(name string, change func(*corev1.Node)) testCase {
		after := node()
		change(after)
		return testCase{name: "kubelet: " + name, object: node(), patch: nodePatch(node(), after)}
	}
	registered := node()
	registered.Status = corev1.NodeStatus{}
	return []testCase{
		changed("nothing but heartbeats", func(n *corev1.Node) {
			for i := range n.Status.Conditions[1:] {
				n.Status.Conditions[i+1].LastHeartbeatTime = at(10)
			}
		}),
		changed("not ready", func(n *corev1.Node) {
			n.Status.Conditions[4] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse,
				LastHeartbeatTime: at(11), LastTransitionTime: at(11), Reason: "KubeletNotReady", Message: "runtime is down"}
		}),
		changed("a condition more", func(n *corev1.Node) {
			n.Status.Conditions = append(n.Status.Conditions, condition("KernelDeadlock", corev1.ConditionFalse, 9, "KernelHasNoDeadlock"))
		}),
		changed("a condition in front", func(n *corev1.Node) {
			n.Status.Conditions = append([]corev1.NodeCondition{condition("KernelDeadlock", corev1.ConditionFalse, 9, "x")}, n.Status.Conditions...)
		}),
		changed("a condition less", func(n *corev1.Node) {
			n.Status.Conditions = append(n.Status.Conditions[:2:2], n.Status.Conditions[3:]...)
		}),
		changed("conditions in another order", func(n *corev1.Node) {
			c := n.Status.Conditions
			c[0], c[1], c[2], c[3], c[4] = c[4], c[2], c[0], c[1], c[3]
		}),
		changed("a zero heartbeat", func(n *corev1.Node) {
			n.Status.Conditions[1].LastHeartbeatTime.Reset()
		}),
		changed("addresses", func(n *corev1.Node) {
			n.Status.Addresses[0].Address = "192.0.2.77"
		}),
		changed("two addresses of one type", func(n *corev1.Node) {
			n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.10"},
				{Type: corev1.NodeHostName, Address: "edge-1"}, {Type: corev1.NodeInternalIP, Address: "2001:db8::10"}}
		}),
		changed("no addresses", func(n *corev1.Node) { n.Status.Addresses = nil }),
		changed("images", func(n *corev1.Node) {
			n.Status.Images = append([]corev1.ContainerImage{{Names: []string{"example.org/new:v1"}, SizeBytes: 1}}, n.Status.Images...)
		}),
		changed("no images", func(n *corev1.Node) { n.Status.Images = nil }),
		changed("volumes in use", func(n *corev1.Node) {
			n.Status.VolumesInUse = append(n.Status.VolumesInUse, "kubernetes.io/csi/d^v2")
		}),
		changed("no volumes in use", func(n *corev1.Node) { n.Status.VolumesInUse = nil }),
		changed("capacity and allocatable", func(n *corev1.Node) {
			n.Status.Capacity["example.org/gpu"] = resource.MustParse("2")
			n.Status.Capacity[corev1.ResourceMemory] = resource.MustParse("16Gi")
			n.Status.Capacity[corev1.ResourceCPU] = resource.MustParse("0")
			delete(n.Status.Allocatable, corev1.ResourceEphemeralStorage)
			n.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("3500m")
		}),
		changed("node info after a reboot", func(n *corev1.Node) {
			n.Status.NodeInfo.BootID = "b2"
			n.Status.NodeInfo.KernelVersion = "6.12"
			n.Status.NodeInfo.Swap = &corev1.NodeSwapStatus{Capacity: ptr(int64(1 << 31))}
		}),
		changed("runtime handlers and features", func(n *corev1.Node) {
			n.Status.RuntimeHandlers = append(n.Status.RuntimeHandlers, corev1.NodeRuntimeHandler{Name: "kata"})
			n.Status.Features.SupplementalGroupsPolicy = ptr(false)
		}),
		changed("annotations and labels", func(n *corev1.Node) {
			n.Annotations["volumes.kubernetes.io/controller-managed-attach-detach"] = "true"
			delete(n.Annotations, "quoted")
			n.Labels["kubernetes.io/os"] = "other"
		}),
		changed("a port", func(n *corev1.Node) { n.Status.DaemonEndpoints.KubeletEndpoint.Port = 10251 }),
		{name: "kubelet: first status", object: registered, patch: nodePatch(registered, node())},
	}
}

func podCases() []testCase {
	changed := func(name string, change func(*corev1.Pod)) testCase {
		after := pod()
		change(after)
		return testCase{name: "kubelet: " + name, object: pod(), patch: podPatch(pod(), after)}
	}
	scheduled := pod()
	scheduled.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBurstable,
		Conditions: []corev1.PodCondition{podCondition(corev1.PodScheduled, corev1.ConditionTrue, 1)},
		// Somebody else's, and there before the kubelet reports anything.
		ResourceClaimStatuses: pod().Status.ResourceClaimStatuses}
	return []testCase{
		{name: "kubelet: pod starts", object: scheduled, patch: podPatch(scheduled, pod())},
		changed("pod unready", func(p *corev1.Pod) {
			for _, i := range []int{2, 3} {
				p.Status.Conditions[i].Status = corev1.ConditionFalse
				p.Status.Conditions[i].LastTransitionTime = at(20)
				p.Status.Conditions[i].Reason = "ContainersNotReady"
				p.Status.Conditions[i].Message = "containers with unready status: [web]"
			}
			p.Status.ContainerStatuses[0].Ready = false
		}),
		changed("container restarts", func(p *corev1.Pod) {
			c := &p.Status.ContainerStatuses[0]
			c.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: at(21)}}
			c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			c.RestartCount++
			c.Started = ptr(false)
		}),
		changed("pod ends", func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodSucceeded
			p.Status.Reason = "Completed"
			p.Status.PodIP, p.Status.PodIPs = "", nil
			p.Status.ContainerStatuses = p.Status.ContainerStatuses[:1]
		}),
		changed("another address", func(p *corev1.Pod) {
			p.Status.PodIP = "10.244.1.6"
			p.Status.PodIPs = []corev1.PodIP{{IP: "10.244.1.6"}, {IP: "fd00:1::5"}}
		}),
		changed("addresses change places", func(p *corev1.Pod) {
			p.Status.PodIPs[0], p.Status.PodIPs[1] = p.Status.PodIPs[1], p.Status.PodIPs[0]
			p.Status.PodIP = p.Status.PodIPs[0].IP
			p.Status.HostIPs = append(p.Status.HostIPs, corev1.HostIP{IP: "2001:db8::10"})
		}),
		changed("a resize begins", func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, podCondition(corev1.PodResizeInProgress, corev1.ConditionTrue, 22))
			p.Status.ContainerStatuses[0].AllocatedResources[corev1.ResourceCPU] = resource.MustParse("200m")
		}),
		changed("conditions go", func(p *corev1.Pod) { p.Status.Conditions = p.Status.Conditions[3:5] }),
		changed("a condition without a time", func(p *corev1.Pod) {
			p.Status.Conditions[2].LastTransitionTime.Reset()
			p.Status.Conditions[2].LastProbeTime = at(4)
		}),
		changed("claims retain their keys", func(p *corev1.Pod) { p.Status.ResourceClaimStatuses[0].ResourceClaimName = nil }),
		changed("nothing", func(*corev1.Pod) {}),
	}
}

// edgeCases are written by hand: each rule of the algorithm, and what it refuses.
func edgeCases() []testCase {
	n := func(name, patch string) testCase { return testCase{name: name, object: node(), patch: patch} }
	p := func(name, patch string) testCase { return testCase{name: name, object: pod(), patch: patch} }
	merge := func(c testCase) testCase {
		c.mergePatch = true
		c.name = "merge patch: " + c.name
		return c
	}
	nameless := pod()
	nameless.Spec.ImagePullSecrets = append(nameless.Spec.ImagePullSecrets, corev1.LocalObjectReference{})
	return []testCase{
		{name: "an empty merge key that JSON leaves out", object: nameless, patch: `{"spec":{"imagePullSecrets":[{"name":"x"}]}}`},
		n("finalizers again", `{"metadata":{"finalizers":["c.example/three","z.example/new","a.example/one","z.example/new"]}}`),
		n("empty", `{}`),
		n("null deletes a scalar, a list, a map and a struct", `{"status":{"phase":null,"images":null,"capacity":null,"nodeInfo":null}}`),
		n("null for what is not there", `{"status":{"config":null},"metadata":{"generateName":null}}`),
		n("a null in a new value is dropped", `{"status":{"config":{"error":"x","active":null}}}`),
		n("element deleted by key", `{"status":{"conditions":[{"type":"Ready","$patch":"delete"}]}}`),
		n("element deleted and added", `{"status":{"conditions":[{"type":"MemoryPressure","$patch":"delete"},{"type":"MemoryPressure","status":"Unknown"}]}}`),
		n("element deleted and added in an order", `{"status":{"$setElementOrder/conditions":[{"type":"MemoryPressure"},{"type":"Ready"}],"conditions":[{"type":"MemoryPressure","$patch":"delete"},{"type":"MemoryPressure","status":"Unknown"}]}}`),
		n("two elements added in an order after two deleted", `{"status":{"$setElementOrder/conditions":[{"type":"Y"},{"type":"X"},{"type":"Ready"}],"conditions":[{"type":"MemoryPressure","$patch":"delete"},{"type":"DiskPressure","$patch":"delete"},{"type":"Y","status":"True"},{"type":"X","status":"True"}]}}`),
		n("element deleted that is not there", `{"status":{"conditions":[{"type":"Nope","$patch":"delete"}]}}`),
		n("list replaced by directive", `{"status":{"conditions":[{"$patch":"replace"},{"type":"Ready","status":"True"},{"type":"A","status":"False"}]}}`),
		n("list replaced by directive in an order", `{"status":{"$setElementOrder/conditions":[{"type":"A"},{"type":"Ready"}],"conditions":[{"$patch":"replace"},{"type":"A","status":"False"},{"type":"Ready","status":"True"}]}}`),
		n("list replaced by nothing", `{"status":{"conditions":[{"$patch":"replace"}]}}`),
		n("list told to merge", `{"status":{"conditions":[{"$patch":"merge"}]}}`),
		n("unknown directive in a list", `{"status":{"conditions":[{"type":"Ready","$patch":"explode"}]}}`),
		n("map replaced by directive", `{"status":{"nodeInfo":{"$patch":"replace","bootID":"b9","machineID":null}}}`),
		n("map deleted by directive", `{"status":{"nodeInfo":{"$patch":"delete"}}}`),
		n("unknown directive in a map", `{"status":{"nodeInfo":{"$patch":"merge"}}}`),
		n("new map that is a directive", `{"status":{"config":{"$patch":"delete"}}}`),
		n("element replaced from within", `{"status":{"features":{"$patch":"replace"}}}`),
		n("labels replaced by directive", `{"metadata":{"labels":{"$patch":"replace","a":"b"}}}`),
		n("labels and annotations", `{"metadata":{"labels":{"kubernetes.io/os":null,"a":"ü<>&"},"annotations":{"new":"","quoted":"\u2028"}}}`),
		n("capacity as numbers", `{"status":{"capacity":{"cpu":8,"memory":"1536Mi"}}}`),
		n("new elements keep the patch's order", `{"status":{"conditions":[{"type":"Z","status":"True"},{"type":"A","status":"True"},{"type":"Ready","status":"False"}]}}`),
		n("the same new element twice", `{"status":{"conditions":[{"type":"Z","status":"True","reason":"r"},{"type":"Z","status":"False"}]}}`),
		n("an order alone", `{"status":{"$setElementOrder/conditions":[{"type":"Ready"},{"type":"NetworkUnavailable"}]}}`),
		n("an order with unknown elements", `{"status":{"$setElementOrder/conditions":[{"type":"Ready"},{"type":"Nope"},{"type":"PIDPressure"}],"conditions":[{"type":"PIDPressure","status":"True"}]}}`),
		n("an empty order", `{"status":{"$setElementOrder/conditions":[],"conditions":[{"type":"X","status":"True"},{"type":"Y","status":"True"}]}}`),
		n("an order that contradicts the list", `{"status":{"$setElementOrder/conditions":[{"type":"Ready"},{"type":"PIDPressure"}],"conditions":[{"type":"PIDPressure","status":"True"},{"type":"Ready","status":"True"}]}}`),
		n("an order of what is nowhere", `{"status":{"$setElementOrder/runtimeHandlers":[]},"metadata":{"$setElementOrder/ownerReferences":[{"uid":"x"}]}}`),
		n("an order that is no list", `{"status":{"$setElementOrder/conditions":{}}}`),
		n("an element without its key", `{"status":{"conditions":[{"status":"True"}]}}`),
		n("finalizers are a set", `{"metadata":{"finalizers":["d.example/four","a.example/one"]}}`),
		n("finalizers deleted", `{"metadata":{"$deleteFromPrimitiveList/finalizers":["b.example/two","nope"]}}`),
		n("finalizers deleted, added and ordered", `{"metadata":{"$deleteFromPrimitiveList/finalizers":["b.example/two"],"$setElementOrder/finalizers":["c.example/three","z","a.example/one"],"finalizers":["z"]}}`),
		n("finalizers that were not there", `{"metadata":{"$deleteFromPrimitiveList/ownerReferences":["x"]}}`),
		n("pod CIDRs are a set", `{"spec":{"podCIDRs":["fd00:2::/64","10.244.1.0/24"]}}`),
		n("taints are replaced", `{"spec":{"taints":[{"key":"k","effect":"NoExecute","timeAdded":"2026-03-01T12:00:00+02:00"}]}}`),
		n("lists without a merge key are replaced", `{"status":{"images":[{"names":["n"],"sizeBytes":7}],"volumesInUse":["x"]}}`),
		n("wrong type: string", `{"status":{"phase":7}}`),
		n("wrong type: list", `{"status":{"conditions":{"type":"Ready"}}}`),
		n("wrong type: number", `{"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":"x"}}}}`),
		n("wrong type: quantity", `{"status":{"capacity":{"cpu":"lots"}}}`),
		n("wrong type: time", `{"metadata":{"creationTimestamp":"yesterday"}}`),
		n("wrong type: label", `{"metadata":{"labels":{"a":1}}}`),
		n("retainKeys", `{"status":{"nodeInfo":{"$retainKeys":["bootID","machineID"],"bootID":"b2"}}}`),
		n("retainKeys that does not name what is set", `{"status":{"nodeInfo":{"$retainKeys":["machineID"],"bootID":"b2"}}}`),
		n("retainKeys that is no list", `{"status":{"nodeInfo":{"$retainKeys":"machineID"}}}`),
		p("volume changes its source", `{"spec":{"$setElementOrder/volumes":[{"name":"data"},{"name":"token"}],"volumes":[{"$retainKeys":["name","hostPath"],"name":"data","hostPath":{"path":"/d"}}]}}`),
		p("volume within its source", `{"spec":{"volumes":[{"name":"data","emptyDir":{"medium":"Memory","sizeLimit":"2Gi"}}]}}`),
		p("a new volume and a null source", `{"spec":{"volumes":[{"name":"new","configMap":{"name":"cm","optional":true}},{"name":"data","emptyDir":null}]}}`),
		p("ports are matched by number", `{"spec":{"containers":[{"name":"web","ports":[{"containerPort":80,"name":"http"},{"containerPort":9090}]}]}}`),
		p("env, mounts and resources", `{"spec":{"containers":[{"name":"sidecar","env":[{"name":"B","$patch":"delete"},{"name":"C","value":"3"}],"volumeMounts":[{"mountPath":"/data","readOnly":true}],"resources":{"limits":{"memory":null,"cpu":"2"}}}]}}`),
		p("probe port becomes a name", `{"spec":{"containers":[{"name":"web","readinessProbe":{"httpGet":{"port":"http"},"failureThreshold":5}}]}}`),
		p("probe changes its handler", `{"spec":{"containers":[{"name":"web","readinessProbe":{"httpGet":null,"exec":{"command":["true"]}}}]}}`),
		p("ephemeral container", `{"spec":{"ephemeralContainers":[{"name":"debug","image":"example.org/debug","targetContainerName":"web"}]}}`),
		p("groups, pull secrets and spread", `{"spec":{"securityContext":{"supplementalGroups":[5,6]},"imagePullSecrets":[{"name":"other"}],"topologySpreadConstraints":[{"topologyKey":"zone","maxSkew":2}]}}`),
		p("owner references by uid", `{"metadata":{"ownerReferences":[{"uid":"0b5f0d0c-0003-4d55-9d3e-2f1c33a1b003","controller":false},{"apiVersion":"v1","kind":"Node","name":"n","uid":"u2"}]}}`),
		p("pointer to zero is kept", `{"spec":{"terminationGracePeriodSeconds":0,"activeDeadlineSeconds":0,"automountServiceAccountToken":false}}`),
		p("pointers deleted", `{"spec":{"terminationGracePeriodSeconds":null,"securityContext":null},"status":{"startTime":null}}`),
		p("time with a fraction and an offset", `{"status":{"startTime":"2026-03-01T13:02:00.75+01:00"}}`),
		p("container statuses are replaced", `{"status":{"containerStatuses":[{"name":"web","ready":false,"restartCount":0,"image":"i","imageID":"","state":{"waiting":{"reason":"x"}},"lastState":{}}]}}`),
		merge(n("lists are replaced", `{"status":{"conditions":[{"type":"Ready","status":"True"}],"phase":null,"nodeInfo":{"bootID":"b3"}}}`)),
		merge(n("labels", `{"metadata":{"labels":{"a":"b","kubernetes.io/os":null},"finalizers":null}}`)),
		merge(p("pointers and maps", `{"spec":{"securityContext":{"runAsUser":0}},"status":{"startTime":null,"podIPs":[{"ip":"10.0.0.1"}]}}`)),
		merge(p("new struct", `{"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"k","operator":"In","values":["v"]}]}]}}}}}`)),
	}
}
