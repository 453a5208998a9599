// Makes FIXTURE.after.{json,pb} from FIXTURE.{json,pb}: what Kubernetes' own types and serializers make of
// the change that each filter is to make. Run in this folder: go run . ../fixtures
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
)

const (
	hubHost  = "169.254.2.1"
	hubHost6 = "fd00::2:1"
	hubPort  = 10268
)

func service(host string, family corev1.IPFamily) func(*corev1.Service) {
	return func(service *corev1.Service) {
		spec := &service.Spec
		spec.ClusterIP = host
		spec.ClusterIPs = []string{host}
		spec.IPFamilies = []corev1.IPFamily{family}
		if spec.IPFamilyPolicy != nil && *spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack {
			single := corev1.IPFamilyPolicySingleStack
			spec.IPFamilyPolicy = &single
		}
		for i := range spec.Ports {
			if spec.Ports[i].Name == "https" {
				spec.Ports[i].Port = hubPort
			}
		}
	}
}

func pod(pod *corev1.Pod) {
	change := func(container string, env []corev1.EnvVar) {
		if container == "from" || container == "blank" {
			return
		}
		for i := range env {
			switch env[i].Name {
			case "KUBERNETES_SERVICE_HOST":
				env[i].Value = hubHost
			case "KUBERNETES_SERVICE_PORT":
				env[i].Value = fmt.Sprint(hubPort)
			}
		}
	}
	for _, c := range pod.Spec.InitContainers {
		change(c.Name, c.Env)
	}
	for _, c := range pod.Spec.Containers {
		change(c.Name, c.Env)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		change(c.Name, c.Env)
	}
}

func rootCA(bundle string) func(*corev1.ConfigMap) {
	return func(config *corev1.ConfigMap) { config.Data["ca.crt"] += bundle }
}

func kubeProxy(config *corev1.ConfigMap) {
	const key = "kubeconfig.conf"
	config.Data[key] = strings.Replace(config.Data[key], "https://10.0.0.10:6443", fmt.Sprintf("https://%s:%d", hubHost, hubPort), 1)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write[T runtime.Object](folder, from, to string, object T, change func(T)) {
	scheme := runtime.NewScheme()
	check(corev1.AddToScheme(scheme))
	for extension, serializer := range map[string]runtime.Serializer{
		"json": json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{}),
		"pb":   protobuf.NewSerializer(scheme, scheme),
	} {
		before, err := os.ReadFile(filepath.Join(folder, from+"."+extension))
		check(err)
		fresh := object.DeepCopyObject().(T)
		_, kind, err := serializer.Decode(before, nil, fresh)
		check(err)
		fresh.GetObjectKind().SetGroupVersionKind(*kind)
		var same, after bytes.Buffer
		check(serializer.Encode(fresh, &same))
		if !bytes.Equal(same.Bytes(), before) {
			check(fmt.Errorf("%s.%s does not survive decoding and encoding", from, extension))
		}
		change(fresh)
		check(serializer.Encode(fresh, &after))
		check(os.WriteFile(filepath.Join(folder, to+"."+extension), after.Bytes(), 0o644))
	}
}

func main() {
	folder := os.Args[1]
	bundle, err := os.ReadFile(filepath.Join(folder, "hub_ca.pem"))
	check(err)
	four, six := service(hubHost, corev1.IPv4Protocol), service(hubHost6, corev1.IPv6Protocol)
	write(folder, "service", "service.after", &corev1.Service{}, four)
	write(folder, "service", "service.after6", &corev1.Service{}, six)
	write(folder, "service_dual", "service_dual.after", &corev1.Service{}, four)
	write(folder, "service_dual", "service_dual.after6", &corev1.Service{}, six)
	write(folder, "pod_env", "pod_env.after", &corev1.Pod{}, pod)
	write(folder, "root_ca", "root_ca.after", &corev1.ConfigMap{}, rootCA(string(bundle)))
	write(folder, "kube_proxy", "kube_proxy.after", &corev1.ConfigMap{}, kubeProxy)
}
