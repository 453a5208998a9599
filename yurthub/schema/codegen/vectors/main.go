// Command vectors prints ../../display/tests/vectors.jsonl: objects of all kinds of the tables, each as protobuf and as
// JSON, both as Kubernetes' own code writes them. The first of each kind is empty, the second has a value in every
// field, the others in some.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math/rand"
	"reflect"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type object interface{ Marshal() ([]byte, error) }

var kinds = []struct {
	version string
	make    func() object
}{
	{"v1", func() object { return &corev1.Pod{} }},
	{"v1", func() object { return &corev1.Node{} }},
	{"v1", func() object { return &corev1.ConfigMap{} }},
	{"v1", func() object { return &corev1.Secret{} }},
	{"v1", func() object { return &corev1.Service{} }},
	{"v1", func() object { return &corev1.ServiceAccount{} }},
	{"v1", func() object { return &corev1.Endpoints{} }},
	{"v1", func() object { return &corev1.Event{} }},
	{"v1", func() object { return &corev1.Namespace{} }},
	{"v1", func() object { return &corev1.PersistentVolume{} }},
	{"v1", func() object { return &corev1.PersistentVolumeClaim{} }},
	{"coordination.k8s.io/v1", func() object { return &coordinationv1.Lease{} }},
	{"discovery.k8s.io/v1", func() object { return &discoveryv1.EndpointSlice{} }},
	{"events.k8s.io/v1", func() object { return &eventsv1.Event{} }},
	{"node.k8s.io/v1", func() object { return &nodev1.RuntimeClass{} }},
	{"storage.k8s.io/v1", func() object { return &storagev1.CSIDriver{} }},
	{"storage.k8s.io/v1", func() object { return &storagev1.CSINode{} }},
	{"storage.k8s.io/v1", func() object { return &storagev1.VolumeAttachment{} }},
}

const sparse = 3

func main() {
	random := rand.New(rand.NewSource(20261121))
	for _, kind := range kinds {
		print(kind.version, kind.make())
		full := kind.make()
		fill(reflect.ValueOf(full).Elem(), random, 1)
		print(kind.version, full)
		for range sparse {
			some := kind.make()
			fill(reflect.ValueOf(some).Elem(), random, 0.4)
			print(kind.version, some)
		}
	}
}

func print(version string, o object) {
	protobuf, err := o.Marshal()
	if err != nil {
		log.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		log.Fatal(err)
	}
	line, err := json.Marshal(map[string]any{
		"version": version, "kind": reflect.TypeOf(o).Elem().Name(), "protobuf": protobuf, "json": string(text)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

var texts = []string{"a", "", "web-1", "<&>\u2028", "é\"\\\n", "10.0.0.1", "true"}
var quantities = []string{"0", "1", "100m", "1536Mi", "0.5", "1e3", "12Ki"}
var raw = `{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{}}`

// fill gives a field a value with the probability share.
func fill(v reflect.Value, random *rand.Rand, share float64) {
	pick := func(n int) int { return random.Intn(n) }
	switch v.Addr().Interface().(type) {
	case *metav1.TypeMeta: // The envelope has it.
		return
	case *metav1.Time:
		v.Set(reflect.ValueOf(metav1.NewTime(time.Unix(int64(1795269600+pick(1000)), 0))))
		return
	case *metav1.MicroTime:
		v.Set(reflect.ValueOf(metav1.NewMicroTime(time.Unix(1795269600, int64(pick(1000000))*1000))))
		return
	case *resource.Quantity:
		v.Set(reflect.ValueOf(resource.MustParse(quantities[pick(len(quantities))])))
		return
	case *intstr.IntOrString:
		v.Set(reflect.ValueOf(intstr.Parse([]string{"8080", "http", "0", "-1"}[pick(4)])))
		return
	case *metav1.FieldsV1:
		v.Set(reflect.ValueOf(metav1.FieldsV1{Raw: []byte(raw)}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[pick(len(texts))])
		if share == 1 {
			v.SetString("x")
		}
	case reflect.Bool:
		v.SetBool(share == 1 || pick(2) == 0)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64([]int{1, 0, -7, 30000}[pick(4)]))
		if share == 1 {
			v.SetInt(1 + int64(pick(100)))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), random, share)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(texts[pick(len(texts))] + "\x00\xff"))
			return
		}
		n := 1
		if share < 1 {
			n = pick(3)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), random, share)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{"b", "a<", "c/d"}[:1+pick(3)] {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, random, share)
			v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if random.Float64() < share {
				fill(v.Field(i), random, share)
			}
		}
	default:
		log.Fatalf("unexpected type %v", v.Type())
	}
}
