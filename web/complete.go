package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// Schema is what can stand in a NetworkPolicy, for the editor to complete and to
// explain.
type Schema struct {
	// Root is the name of the policy's own type.
	Root  string                `json:"root"`
	Types map[string]SchemaType `json:"types"`
}

// SchemaType is one of the API's objects.
type SchemaType struct {
	// Doc is the API's own description.
	Doc    string        `json:"doc"`
	Fields []SchemaField `json:"fields"`
}

// SchemaField is a field of an object, in the API's order.
type SchemaField struct {
	Name string    `json:"name"`
	Kind FieldKind `json:"kind"`
	// Of is the name of the type of an object, or of the objects in a list; empty where
	// the field holds none.
	Of  string `json:"of,omitempty"`
	Doc string `json:"doc"`
	// Required says that the API refuses an object without it.
	Required bool `json:"required,omitempty"`
	// Values are the only ones that the field, or an entry of its list, may have.
	Values []string `json:"values,omitempty"`
	// Managed says that the cluster sets the field and people do not write it.
	Managed bool `json:"managed,omitempty"`
}

// FieldKind is what a field holds.
type FieldKind string

// The kinds of fields: a port is a number or a name, and a map is one of strings.
const (
	KindString  FieldKind = "string"
	KindInteger FieldKind = "integer"
	KindBoolean FieldKind = "boolean"
	KindPort    FieldKind = "port"
	KindMap     FieldKind = "map"
	KindObject  FieldKind = "object"
	KindObjects FieldKind = "objects"
	KindStrings FieldKind = "strings"
)

// What the API says in prose only: the fields that it demands, and the values that it
// takes.
var (
	requiredFields = map[string][]string{
		"NetworkPolicy":            {"apiVersion", "kind", "metadata", "spec"},
		"ObjectMeta":               {"name"},
		"IPBlock":                  {"cidr"},
		"LabelSelectorRequirement": {"key", "operator"},
	}
	fieldValues = map[string][]string{
		"NetworkPolicy.apiVersion":      {networkingv1.SchemeGroupVersion.String()},
		"NetworkPolicy.kind":            {"NetworkPolicy"},
		"NetworkPolicySpec.policyTypes": {string(networkingv1.PolicyTypeIngress), string(networkingv1.PolicyTypeEgress)},
		"NetworkPolicyPort.protocol":    {string(corev1.ProtocolTCP), string(corev1.ProtocolUDP), string(corev1.ProtocolSCTP)},
		"LabelSelectorRequirement.operator": {
			string(metav1.LabelSelectorOpIn), string(metav1.LabelSelectorOpNotIn),
			string(metav1.LabelSelectorOpExists), string(metav1.LabelSelectorOpDoesNotExist),
		},
	}
	// writtenMetadata are the fields of metadata that people write.
	writtenMetadata = []string{"name", "namespace", "labels", "annotations"}
)

// newSchema is the schema of a NetworkPolicy, from the API's types. It fails where one
// of them holds something that the editor knows nothing of.
func newSchema() (Schema, error) {
	s := Schema{Root: "NetworkPolicy", Types: map[string]SchemaType{}}
	if err := s.add(reflect.TypeFor[networkingv1.NetworkPolicy]()); err != nil {
		return Schema{}, fmt.Errorf("schema of a NetworkPolicy: %w", err)
	}
	return s, nil
}

// documented is what the API's types say of themselves: by a field's name, and of the
// whole by the empty one.
type documented interface{ SwaggerDoc() map[string]string }

func (s Schema) add(t reflect.Type) error {
	if _, ok := s.Types[t.Name()]; ok {
		return nil
	}
	described, ok := reflect.Zero(t).Interface().(documented)
	if !ok {
		return fmt.Errorf("%s does not describe itself", t)
	}
	docs := described.SwaggerDoc()
	s.Types[t.Name()] = SchemaType{} // for a type that holds itself
	out := SchemaType{Doc: description(docs[""]), Fields: []SchemaField{}}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue // what is embedded has its fields in the list
		}
		doc := docs[name]
		if len(f.Index) > 1 {
			doc = reflect.Zero(t.Field(f.Index[0]).Type).Interface().(documented).SwaggerDoc()[name]
		}
		field := SchemaField{
			Name: name, Doc: description(doc), Required: slices.Contains(requiredFields[t.Name()], name),
			Values:  fieldValues[t.Name()+"."+name],
			Managed: t == reflect.TypeFor[metav1.ObjectMeta]() && !slices.Contains(writtenMetadata, name),
		}
		var of reflect.Type
		if field.Kind, of = kindOf(f.Type); field.Kind == "" {
			return fmt.Errorf("%s.%s: nothing is known of %s", t, f.Name, f.Type)
		}
		if of != nil && field.Managed {
			of, field.Kind = nil, KindString // Nobody completes what nobody writes.
		}
		if of != nil {
			field.Of = of.Name()
			if err := s.add(of); err != nil {
				return err
			}
		}
		out.Fields = append(out.Fields, field)
	}
	s.Types[t.Name()] = out
	return nil
}

// kindOf is what a field of the type holds, and the type of the objects in it; empty
// where the schema has no word for it.
func kindOf(t reflect.Type) (FieldKind, reflect.Type) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[intstr.IntOrString]():
		return KindPort, nil
	case t == reflect.TypeFor[metav1.Time](), t.Kind() == reflect.String:
		return KindString, nil
	case t.Kind() == reflect.Int32, t.Kind() == reflect.Int64:
		return KindInteger, nil
	case t.Kind() == reflect.Bool:
		return KindBoolean, nil
	case t.Kind() == reflect.Struct:
		return KindObject, t
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && t.Elem().Kind() == reflect.String:
		return KindMap, nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return KindObjects, t.Elem()
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return KindStrings, nil
	}
	return "", nil
}

// description is what the API says, without what was true long ago: all of it has been
// stable for years.
func description(doc string) string {
	for _, old := range []string{"This field is beta-level in 1.8", "This type is beta-level in 1.8"} {
		doc = strings.ReplaceAll(doc, old, "")
	}
	return strings.TrimSpace(doc)
}

// schemaAnswer is the schema as it is sent, made once.
func schemaAnswer() (handler, error) {
	schema, err := newSchema()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		writeTagged(w, r, "application/json", body)
		return nil
	}, nil
}

// writeTagged sends what a client may keep, as long as it asks each time whether
// it is still the same.
func writeTagged(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	sum := sha256.Sum256(body)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// LabContents is what is in a lab that a policy can name.
type LabContents struct {
	Lab string `json:"lab"`
	// Running says that the addresses are those of the learner's own sandbox. Where it
	// is not set, only those are told that are the same in every sandbox.
	Running    bool           `json:"running"`
	Namespaces []LabNamespace `json:"namespaces"`
	Pods       []LabPod       `json:"pods"`
	Services   []LabService   `json:"services"`
	Hosts      []LabHost      `json:"hosts"`
	// Ranges are the cluster's own.
	Ranges []LabRange `json:"ranges"`
}

// LabNamespace is a namespace with all its labels, also those that the API server gives.
type LabNamespace struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	// System says that the namespace is Kubernetes' own: no policy of the lab may be in it.
	System bool `json:"system,omitempty"`
}

// LabPod is a pod. The addresses are empty where they are not known.
type LabPod struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels"`
	Addresses []string          `json:"addresses"`
	// Note says in a few words what the pod is to the learner.
	Note string `json:"note,omitempty"`
	// HostNetwork says that the pod shares its node's network: no policy selects it.
	HostNetwork bool      `json:"hostNetwork,omitempty"`
	Ports       []LabPort `json:"ports"`
}

// LabPort is a port that a pod or an outside host serves; the name may be empty.
type LabPort struct {
	Name     string `json:"name,omitempty"`
	Port     int32  `json:"port"`
	Protocol string `json:"protocol"`
}

// LabService is a Service in front of the pods that the selector selects in its namespace.
type LabService struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Addresses []string          `json:"addresses"`
	Selector  map[string]string `json:"selector"`
	Ports     []LabServicePort  `json:"ports"`
}

// LabServicePort leads from a Service's port to a pod's.
type LabServicePort struct {
	Name       string `json:"name,omitempty"`
	Port       int32  `json:"port"`
	TargetPort int32  `json:"targetPort"`
	Protocol   string `json:"protocol"`
}

// LabHost is a host outside the cluster.
type LabHost struct {
	Name      string    `json:"name"`
	Note      string    `json:"note,omitempty"`
	Addresses []string  `json:"addresses"`
	Ports     []LabPort `json:"ports"`
}

// LabRange is a range of addresses that the cluster has for itself: of its "pods" or
// its "Services".
type LabRange struct {
	CIDR string `json:"cidr"`
	Of   string `json:"of"`
}

// showLab tells what is in the lab of the address.
func (s *server) showLab(w http.ResponseWriter, r *http.Request) error {
	lesson, err := s.lab(r, chi.URLParam(r, "lab"))
	if err != nil {
		return err
	}
	addresses, running := lesson.Topology.FixedAddresses(), false
	if snapshot, ready := s.readyOf(r, lesson.Topology); ready {
		// It may have ended meanwhile: then there are no addresses of it to tell.
		if a, err := s.Sandboxes.Addresses(snapshot.ID); err == nil {
			addresses, running = a, true
		}
	}
	body, err := json.Marshal(contentsOf(lesson.Topology, addresses, running))
	if err != nil {
		return err
	}
	writeTagged(w, r, "application/json", body)
	return nil
}

func contentsOf(t *sandbox.Topology, a sandbox.Addresses, running bool) LabContents {
	network := t.Network(a)
	out := LabContents{
		Lab: t.Name, Running: running,
		Namespaces: []LabNamespace{}, Pods: []LabPod{}, Services: []LabService{}, Hosts: []LabHost{}, Ranges: []LabRange{},
	}
	own, notes := t.NamespaceNames(), map[string]string{}
	for _, ns := range t.Namespaces {
		for _, p := range ns.Pods {
			notes[ns.Name+"/"+p.Name] = p.Note
		}
	}
	for _, x := range t.External {
		notes[x.Name] = x.Note
	}
	for _, ns := range network.Namespaces {
		labels := map[string]string{corev1.LabelMetadataName: ns.Name}
		for k, v := range ns.Labels {
			labels[k] = v
		}
		out.Namespaces = append(out.Namespaces, LabNamespace{Name: ns.Name, Labels: labels, System: !slices.Contains(own, ns.Name)})
	}
	for _, p := range network.Pods {
		pod := LabPod{
			Namespace: p.Namespace, Name: p.Name, Note: notes[p.Namespace+"/"+p.Name], Labels: p.Labels,
			Addresses: texts(p.IPs), HostNetwork: p.HostNetwork, Ports: []LabPort{},
		}
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		for _, port := range p.Ports {
			pod.Ports = append(pod.Ports, LabPort{port.Name, port.Port, string(port.Protocol)})
		}
		out.Pods = append(out.Pods, pod)
	}
	for _, svc := range network.Services {
		service := LabService{Namespace: svc.Namespace, Name: svc.Name, Addresses: texts(svc.ClusterIPs), Selector: svc.Selector, Ports: []LabServicePort{}}
		if service.Selector == nil {
			service.Selector = map[string]string{}
		}
		for _, p := range svc.Ports {
			target := p.TargetPort.IntVal
			if target == 0 {
				target = p.Port
			}
			service.Ports = append(service.Ports, LabServicePort{p.Name, p.Port, target, string(p.Protocol)})
		}
		out.Services = append(out.Services, service)
	}
	for _, h := range network.Hosts {
		host := LabHost{Name: h.Name, Note: notes[h.Name], Addresses: texts(h.IPs), Ports: []LabPort{}}
		for _, port := range h.Ports {
			host.Ports = append(host.Ports, LabPort{port.Name, port.Port, string(port.Protocol)})
		}
		out.Hosts = append(out.Hosts, host)
	}
	for _, of := range []string{"pods", "Services"} {
		out.Ranges = append(out.Ranges, LabRange{CIDR: sandbox.ClusterRange(of).String(), Of: of})
	}
	return out
}

func texts(addrs []netip.Addr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
