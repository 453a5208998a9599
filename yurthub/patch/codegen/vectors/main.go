// Command vectors prints ../tests/vectors/strategic.json: patches of nodes and pods with what Kubernetes makes of
// them. Each is applied as the apiserver does it: typed object to map, strategic merge, map to typed object
// (applyPatchToObject in k8s.io/apiserver/pkg/endpoints/handlers/patch.go), then encoded in both encodings.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"
)

// file is the whole output: objects by name, then the patches that are applied to them.
type file struct {
	Objects map[string]encoded `json:"objects"`
	Vectors []vector           `json:"vectors"`
}

type encoded struct {
	JSON     json.RawMessage `json:"json"`
	Protobuf string          `json:"protobuf"`
}

type vector struct {
	Name       string          `json:"name"`
	Kind       string          `json:"kind"`
	Object     string          `json:"object"`
	MergePatch bool            `json:"mergePatch"`
	Patch      json.RawMessage `json:"patch"`
	Error      string          `json:"error,omitempty"`
	Result     *encoded        `json:"result,omitempty"`
}

// object is what Pod and Node have in common here.
type object interface {
	runtime.Object
	Marshal() ([]byte, error)
}

func main() {
	out := file{Objects: map[string]encoded{}}
	for _, c := range append(append(nodeCases(), podCases()...), edgeCases()...) {
		out.Vectors = append(out.Vectors, run(c, out.Objects))
	}
	w := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(w, "{\"objects\":%s,\n\"vectors\":[\n", marshal(out.Objects))
	for i, v := range out.Vectors {
		separator := ","
		if i == len(out.Vectors)-1 {
			separator = ""
		}
		fmt.Fprintf(w, "%s%s\n", marshal(v), separator)
	}
	fmt.Fprintln(w, "]}")
	check(w.Flush())
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	check(err)
	return text
}

func run(c testCase, objects map[string]encoded) vector {
	v := vector{Name: c.name, Kind: kindOf(c.object), MergePatch: c.mergePatch, Patch: json.RawMessage(c.patch)}
	v.Object = store(encode(c.object), v.Kind, objects)
	result, err := apply(c)
	if err != nil {
		v.Error = err.Error()
		return v
	}
	v.Result = ptr(encode(result))
	return v
}

// store gives equal objects one name.
func store(e encoded, kind string, objects map[string]encoded) string {
	for i := 1; ; i++ {
		name := fmt.Sprintf("%s-%d", kind, i)
		known, taken := objects[name]
		if !taken {
			objects[name] = e
		}
		if !taken || known.Protobuf == e.Protobuf {
			return name
		}
	}
}

func apply(c testCase) (result object, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	original, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.object)
	check(err)
	result = newOf(c.object)
	if c.mergePatch {
		return result, applyMergePatch(original, c.patch, result)
	}
	patch := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts([]byte(c.patch), &patch); err != nil {
		return nil, err
	}
	patched, err := strategicpatch.StrategicMergeMapPatch(original, patch, newOf(c.object))
	if err != nil {
		return nil, err
	}
	return result, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(patched, result, false)
}

// applyMergePatch is what the apiserver does with application/merge-patch+json.
func applyMergePatch(original map[string]any, patch string, result object) error {
	text, err := json.Marshal(original)
	check(err)
	merged, err := jsonpatch.MergePatch(text, []byte(patch))
	if err != nil {
		return err
	}
	return kjson.UnmarshalCaseSensitivePreserveInts(merged, result)
}

func encode(o object) encoded {
	message, err := o.Marshal()
	check(err)
	return encoded{JSON: marshal(o), Protobuf: hex.EncodeToString(message)}
}

func kindOf(o object) string {
	switch o.(type) {
	case *corev1.Node:
		return "Node"
	case *corev1.Pod:
		return "Pod"
	}
	log.Fatalf("unexpected %T", o)
	return ""
}

func newOf(o object) object {
	if kindOf(o) == "Node" {
		return &corev1.Node{}
	}
	return &corev1.Pod{}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
