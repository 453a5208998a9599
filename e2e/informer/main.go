// Command informer runs client-go's SharedInformer against an API server (or a proxy of one) and prints one JSON line
// per callback, for tests that compare what it saw with what was done. Lines out, all with "t" (RFC 3339, ns):
//
//	{"event":"add","key":"ns/name","rv":"123","uid":"…"}  likewise "update" (and "old_rv") and "delete"; a delete that
//	    only a new list told has "final_state_unknown":true, and the last version that was known
//	{"event":"synced"}                      once, when the callbacks have had the first list
//	{"event":"watch_error","error":"…"}     a list or watch failed, or ended with the program
//	{"event":"dump","items":[{"key":…,"rv":…,"uid":…},…]}  the indexer, sorted by key
//
// Line in: "dump" asks for a dump. The end of standard input ends it with code 0, a wrong argument with 2. There are
// no resyncs.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

type item struct {
	Key string `json:"key"`
	RV  string `json:"rv"`
	UID string `json:"uid"`
}

type line struct {
	T     string `json:"t"`
	Event string `json:"event"`
	*item
	OldRV   string  `json:"old_rv,omitempty"`
	Unknown bool    `json:"final_state_unknown,omitempty"`
	Error   string  `json:"error,omitempty"`
	Items   *[]item `json:"items,omitempty"`
}

var out struct {
	sync.Mutex
	*json.Encoder
}

func tell(l line) {
	out.Lock()
	defer out.Unlock()
	l.T = time.Now().Format(time.RFC3339Nano)
	if err := out.Encode(l); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

func describe(object any) *item {
	accessor, err := meta.Accessor(object)
	check(err)
	key, _ := cache.MetaNamespaceKeyFunc(object)
	return &item{Key: key, RV: accessor.GetResourceVersion(), UID: string(accessor.GetUID())}
}

func dump(store cache.Store) {
	items := []item{}
	for _, object := range store.List() {
		items = append(items, *describe(object))
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.Key, b.Key) })
	tell(line{Event: "dump", Items: &items})
}

var callbacks = cache.ResourceEventHandlerFuncs{
	AddFunc: func(object any) { tell(line{Event: "add", item: describe(object)}) },
	UpdateFunc: func(old, object any) {
		tell(line{Event: "update", item: describe(object), OldRV: describe(old).RV})
	},
	DeleteFunc: func(object any) {
		last, unknown := object.(cache.DeletedFinalStateUnknown)
		if unknown {
			object = last.Obj
		}
		tell(line{Event: "delete", item: describe(object), Unknown: unknown})
	},
}

func main() {
	out.Encoder = json.NewEncoder(os.Stdout)
	config := rest.Config{QPS: -1}
	flag.StringVar(&config.Host, "server", "", "URL of the API server")
	flag.StringVar(&config.CAFile, "ca", "", "file with the CA of the server")
	flag.StringVar(&config.CertFile, "cert", "", "file with the client certificate")
	flag.StringVar(&config.KeyFile, "key", "", "file with the key of the client certificate")
	resource := flag.String("resource", "pods", "resource, with version and group if not of v1: leases.v1.coordination.k8s.io")
	namespace := flag.String("namespace", "", "namespace; empty for all")
	fields := flag.String("field-selector", "", "field selector")
	protobuf := flag.Bool("protobuf", false, "ask for protobuf instead of JSON")
	flag.Parse()
	if *protobuf {
		config.ContentType = "application/vnd.kubernetes.protobuf"
		config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	}

	gvr, _ := schema.ParseResourceArg(*resource)
	if gvr == nil {
		gvr = &schema.GroupVersionResource{Version: "v1", Resource: *resource}
	}
	client, err := kubernetes.NewForConfig(&config)
	check(err)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(*namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = *fields }))
	generic, err := factory.ForResource(*gvr)
	check(err)
	informer := generic.Informer()
	check(informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		tell(line{Event: "watch_error", Error: err.Error()})
	}))
	registration, err := informer.AddEventHandler(callbacks)
	check(err)

	stop := make(chan struct{})
	factory.Start(stop)
	go func() {
		if cache.WaitForCacheSync(stop, registration.HasSynced) {
			tell(line{Event: "synced"})
		}
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "dump" {
			dump(informer.GetStore())
		}
	}
	close(stop)
	factory.Shutdown()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "informer:", err)
		os.Exit(2)
	}
}
