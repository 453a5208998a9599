// Command tables prints ../src/tables.rs: for the kinds that a node deals with, and every message they reach, how each
// field is called in JSON, numbered in protobuf, and merged by a strategic merge patch. It reads nothing but the
// struct tags of k8s.io/api, so that a new version of Kubernetes is a change of go.mod.
package main

import (
	"fmt"
	"log"
	"os"
	"path"
	"reflect"
	"sort"
	"strconv"
	"strings"

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

const header = `//! Generated from the struct tags of k8s.io/api %s. Do not edit: run
//! "go run ./tables > ../src/tables.rs" in "yurthub/schema/codegen".
//!
//! Names are pieces of one text and types are numbers, because a table of references would take ten times the room.
//! Invariant: the fields of a message are in the order of the Go struct, which is that of its JSON; those of an embedded
//! struct stand where it stands.

`

// The kinds. What is only reached from these comes after them.
var roots = []struct {
	version string
	object  any
}{
	{"v1", corev1.Pod{}},
	{"v1", corev1.Node{}},
	{"v1", corev1.ConfigMap{}},
	{"v1", corev1.Secret{}},
	{"v1", corev1.Service{}},
	{"v1", corev1.ServiceAccount{}},
	{"v1", corev1.Endpoints{}},
	{"v1", corev1.Event{}},
	{"v1", corev1.Namespace{}},
	{"v1", corev1.PersistentVolume{}},
	{"v1", corev1.PersistentVolumeClaim{}},
	{"coordination.k8s.io/v1", coordinationv1.Lease{}},
	{"discovery.k8s.io/v1", discoveryv1.EndpointSlice{}},
	{"events.k8s.io/v1", eventsv1.Event{}},
	{"node.k8s.io/v1", nodev1.RuntimeClass{}},
	{"storage.k8s.io/v1", storagev1.CSIDriver{}},
	{"storage.k8s.io/v1", storagev1.CSINode{}},
	{"storage.k8s.io/v1", storagev1.VolumeAttachment{}},
}

// Types with a form of their own in JSON.
var leaves = map[reflect.Type]string{
	reflect.TypeFor[metav1.Time]():        "TIME",
	reflect.TypeFor[metav1.MicroTime]():   "MICRO_TIME",
	reflect.TypeFor[resource.Quantity]():  "QUANTITY",
	reflect.TypeFor[intstr.IntOrString](): "INT_OR_STRING",
	reflect.TypeFor[metav1.FieldsV1]():    "FIELDS_V1",
}

type field struct {
	name           string
	number, inline int
	kind           string
	target         reflect.Type
	flags          []string
	mergeKey       string
}

type generator struct {
	order    []reflect.Type
	index    map[reflect.Type]int
	messages map[reflect.Type][]field
}

func main() {
	g := generator{index: map[reflect.Type]int{}, messages: map[reflect.Type][]field{}}
	for _, root := range roots {
		g.message(reflect.TypeOf(root.object))
	}
	fmt.Printf(header, apiVersion())
	g.print()
}

func (g *generator) print() {
	names, places := g.pool()
	keys := g.mergeKeys()
	fmt.Print("use super::packed::{\n    BOOL, FIELDS_V1, INT32, INT64, INT_OR_STRING, LIST, MAP_OF_BYTES, MAP_OF_QUANTITY, MAP_OF_STRING, MERGE,\n",
		"    MESSAGE, MICRO_TIME, OMITEMPTY, OMITZERO, POINTER, Packed, QUANTITY, RETAIN_KEYS, STRING, TIME, field,\n};\n\n")
	fmt.Print("/// Version and kind of each object, and the number of its message.\n")
	fmt.Printf("pub(super) static ROOTS: [(&str, &str, u16); %d] = [\n", len(roots))
	for _, root := range roots {
		t := reflect.TypeOf(root.object)
		fmt.Printf("    (%q, %q, %d),\n", root.version, t.Name(), g.index[t])
	}
	fmt.Print("];\n\n/// Where the fields of each message begin; the last one is where they end.\n")
	fmt.Printf("pub(super) static MESSAGES: [u16; %d] = [\n", len(g.order)+1)
	start := 0
	for _, t := range g.order {
		fmt.Printf("    %d, // %s\n", start, qualified(t))
		start += len(g.messages[t])
	}
	fmt.Printf("    %d,\n];\n\n/// All fields.\npub(super) static FIELDS: [Packed; %d] = [\n", start, start)
	for _, t := range g.order {
		fmt.Printf("    // %s\n", qualified(t))
		for _, f := range g.messages[t] {
			target := 0
			if f.target != nil {
				target = g.index[f.target]
			}
			flags := "0"
			if len(f.flags) > 0 {
				flags = strings.Join(f.flags, " | ")
			}
			fmt.Printf("    field((%d, %d), (%d, %d), (%s, %d), %s, %d), // %s\n",
				places[f.name], len(f.name), f.number, f.inline, f.kind, target, flags, indexOf(keys, f.mergeKey), f.name)
		}
	}
	fmt.Printf("];\n\n/// By which field the elements of a merged list are matched.\npub(super) static MERGE_KEYS: [&str; %d] = [\n", len(keys))
	for _, key := range keys {
		fmt.Printf("    %q,\n", key)
	}
	fmt.Print("];\n\n/// The names of all fields.\npub(super) static NAMES: &str = \"\\\n")
	for len(names) > 0 {
		n := min(100, len(names))
		fmt.Printf("    %s\\\n", names[:n])
		names = names[n:]
	}
	fmt.Print("    \";\n")
}

// pool gives one text that holds all names, and where each of them begins.
func (g *generator) pool() (string, map[string]int) {
	unique := map[string]bool{}
	for _, fields := range g.messages {
		for _, f := range fields {
			unique[f.name] = true
		}
	}
	names := make([]string, 0, len(unique))
	for name := range unique {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if len(names[i]) != len(names[j]) {
			return len(names[i]) > len(names[j])
		}
		return names[i] < names[j]
	})
	pool := ""
	for _, name := range names {
		if !strings.Contains(pool, name) {
			pool += name
		}
	}
	places := map[string]int{}
	for _, name := range names {
		places[name] = strings.Index(pool, name)
	}
	if len(pool) > 1<<16 {
		log.Fatal("the names do not fit")
	}
	return pool, places
}

func (g *generator) mergeKeys() []string {
	unique := map[string]bool{}
	for _, fields := range g.messages {
		for _, f := range fields {
			unique[f.mergeKey] = true
		}
	}
	keys := make([]string, 0, len(unique))
	for key := range unique {
		keys = append(keys, key)
	}
	sort.Strings(keys) // The empty one is the first.
	return keys
}

func indexOf(list []string, wanted string) int {
	for i, one := range list {
		if one == wanted {
			return i
		}
	}
	log.Fatalf("%q is not in the list", wanted)
	return 0
}

func apiVersion() string {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range strings.Split(string(mod), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "k8s.io/api" {
			return f[1]
		}
	}
	log.Fatal("go.mod does not name k8s.io/api")
	return ""
}

// message reads the fields of t once.
func (g *generator) message(t reflect.Type) {
	if _, seen := g.index[t]; seen {
		return
	}
	g.index[t] = len(g.order)
	g.order = append(g.order, t)
	g.messages[t] = g.fields(t, 0)
}

func (g *generator) fields(t reflect.Type, inline int) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		jsonTag := strings.Split(f.Tag.Get("json"), ",")
		if f.Type == reflect.TypeFor[metav1.TypeMeta]() {
			continue // Not in the message: the envelope has it.
		}
		number := protoNumber(f)
		if jsonTag[0] == "" && f.Anonymous {
			if inline != 0 {
				log.Fatalf("%s.%s: embedded twice", t.Name(), f.Name)
			}
			fields = append(fields, g.fields(f.Type, number)...)
			continue
		}
		if jsonTag[0] == "" || jsonTag[0] == "-" {
			log.Fatalf("%s.%s has no JSON name", t.Name(), f.Name)
		}
		read := field{name: jsonTag[0], number: number, inline: inline}
		read.kind, read.target = g.kind(f.Type)
		g.modify(&read, f, jsonTag)
		fields = append(fields, read)
	}
	return fields
}

func protoNumber(f reflect.StructField) int {
	parts := strings.Split(f.Tag.Get("protobuf"), ",")
	if len(parts) < 2 {
		log.Fatalf("%s has no protobuf tag", f.Name)
	}
	number, err := strconv.Atoi(parts[1])
	if err != nil || number > 255 {
		log.Fatalf("%s: %d, %v", f.Name, number, err)
	}
	return number
}

func (g *generator) modify(read *field, f reflect.StructField, jsonTag []string) {
	if f.Type.Kind() == reflect.Slice && read.kind != "BYTES" {
		read.flags = append(read.flags, "LIST")
	}
	if f.Type.Kind() == reflect.Pointer {
		read.flags = append(read.flags, "POINTER")
	}
	for _, option := range jsonTag[1:] {
		switch option {
		case "omitempty":
			read.flags = append(read.flags, "OMITEMPTY")
		case "omitzero":
			if read.kind != "TIME" && read.kind != "MICRO_TIME" {
				log.Fatalf("%s: omitzero of something that is no time", f.Name)
			}
			read.flags = append(read.flags, "OMITZERO")
		default:
			log.Fatalf("%s: unknown option %q", f.Name, option)
		}
	}
	strategy := f.Tag.Get("patchStrategy")
	if strategy == "" {
		return
	}
	for _, s := range strings.Split(strategy, ",") {
		switch s {
		case "merge":
			read.flags = append(read.flags, "MERGE")
			read.mergeKey = f.Tag.Get("patchMergeKey")
		case "replace":
			read.flags = append(read.flags, "REPLACE")
		case "retainKeys": // Only tells the maker of a patch to send the directive.
			read.flags = append(read.flags, "RETAIN_KEYS")
		default:
			log.Fatalf("%s: unknown patch strategy %q", f.Name, s)
		}
	}
}

func (g *generator) kind(t reflect.Type) (string, reflect.Type) {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return "BYTES", nil
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer || t.Kind() == reflect.Uint8 {
			log.Fatalf("unexpected element type %v", t)
		}
	}
	if leaf, ok := leaves[t]; ok {
		return leaf, nil
	}
	switch t.Kind() {
	case reflect.String:
		return "STRING", nil
	case reflect.Bool:
		return "BOOL", nil
	case reflect.Int32:
		return "INT32", nil
	case reflect.Int64:
		return "INT64", nil
	case reflect.Struct:
		g.message(t)
		return "MESSAGE", t
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			log.Fatalf("unexpected map key in %v", t)
		}
		switch of, _ := g.kind(t.Elem()); of {
		case "STRING", "BYTES", "QUANTITY":
			return "MAP_OF_" + of, nil
		}
	}
	log.Fatalf("unexpected type %v", t)
	return "", nil
}

// qualified is core/v1.PodSpec for k8s.io/api/core/v1.PodSpec.
func qualified(t reflect.Type) string {
	return path.Base(path.Dir(t.PkgPath())) + "/" + path.Base(t.PkgPath()) + "." + t.Name()
}
