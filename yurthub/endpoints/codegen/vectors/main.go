// Writes what Kubernetes' own EndpointSlice reconciler makes of pods in all states that matter.
//
// Run "go run ./vectors > ../tests/vectors/slices.json" in "yurthub/endpoints/codegen".
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
	endpointsliceutil "k8s.io/endpointslice/util"
	"k8s.io/klog/v2"
)

// A pod, the choices of its Service, and its endpoint; null when the reconciler lists none.
type vector struct {
	Pod                      *corev1.Pod           `json:"pod"`
	PublishNotReadyAddresses bool                  `json:"publishNotReadyAddresses"`
	AddressType              string                `json:"addressType"`
	Endpoint                 *discoveryv1.Endpoint `json:"endpoint"`
}

func main() {
	var vectors []string
	for _, ready := range []string{"", "False", "True"} {
		for _, phase := range []corev1.PodPhase{"Running", "Succeeded", "Failed"} {
			for _, ips := range [][]string{{}, {"10.0.0.9"}, {"fd00::9"}, {"fd00::9", "10.0.0.9"}} {
				for _, deleting := range []bool{false, true} {
					for _, publish := range []bool{false, true} {
						for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
							one := vector{Pod: pod(ready, phase, ips, deleting), PublishNotReadyAddresses: publish, AddressType: string(family)}
							one.Endpoint = reconcile(one.Pod, publish, family)
							text, err := json.Marshal(one)
							check(err)
							vectors = append(vectors, string(text))
						}
					}
				}
			}
		}
	}
	fmt.Println("[")
	for index, text := range vectors {
		if index+1 < len(vectors) {
			text += ","
		}
		fmt.Println(text)
	}
	fmt.Println("]")
}

func pod(ready string, phase corev1.PodPhase, ips []string, deleting bool) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "till-1", Namespace: "shop", UID: "here"},
		Spec:       corev1.PodSpec{NodeName: "edge1"},
		Status:     corev1.PodStatus{Phase: phase},
	}
	if deleting {
		pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_700_000_000, 0).UTC()}
	}
	if ready != "" {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionStatus(ready)}}
	}
	for index, ip := range ips {
		if index == 0 {
			pod.Status.PodIP = ip
		}
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	return pod
}

func reconcile(pod *corev1.Pod, publish bool, family corev1.IPFamily) *discoveryv1.Endpoint {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "till", Namespace: "shop", UID: "service"},
		Spec: corev1.ServiceSpec{
			ClusterIP:                "10.96.0.7",
			IPFamilies:               []corev1.IPFamily{family},
			PublishNotReadyAddresses: publish,
		},
	}
	nodes := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	check(nodes.Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "edge1"}}))
	client := fake.NewClientset()
	reconciler := endpointslice.NewReconciler(client, corelisters.NewNodeLister(nodes), 100,
		endpointsliceutil.NewEndpointSliceTracker(), nil, record.NewFakeRecorder(10), "controller")
	check(reconciler.Reconcile(klog.Background(), service, []*corev1.Pod{pod}, nil, time.Time{}))
	slices, err := client.DiscoveryV1().EndpointSlices("shop").List(context.Background(), metav1.ListOptions{})
	check(err)
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			return &endpoint
		}
	}
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
