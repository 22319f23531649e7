package policy

import (
	"encoding/json"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// listVersions are the lists that may hold policies, with their apiVersion.
var listVersions = map[string]string{
	"List":        "v1",
	kind + "List": apiVersion,
}

// object is what one document, or one item of a List, holds.
type object struct {
	node *yaml.Node
	// printed is whether a cluster has printed it, as kubectl get does: what only a cluster
	// writes is left out then. A List's items always are.
	printed bool
	// leftOut are the fields that this leaves out.
	leftOut []string
	// implied is whether the list says what its items are, so that they need not.
	implied bool
	walker  walker
	// understood is whether it is a policy at all, whatever else is wrong with it.
	understood bool
	problems   []Problem // That the walk found.
}

// objects are the objects of a document, and whether they are a List's items.
func (w *walker) objects(top *yaml.Node) (all []*object, isList bool) {
	k, kindNode := scalar(top, "kind")
	want, isList := listVersions[k]
	if !isList {
		return []*object{{node: top}}, false
	}
	version, versionNode := scalar(top, "apiVersion")
	switch {
	case versionNode == nil:
		w.parser.problem(w.at(top), "apiVersion", "the field is missing: write apiVersion: %s", want)
	case version != want:
		w.parser.problem(w.at(versionNode), "apiVersion", "a %s has apiVersion: %s, not %q", k, want, short(version))
	}
	var items *yaml.Node
	name := func(field string) string { return field }
	w.eachPair(top, "", name, func(key, v *yaml.Node, field string) {
		switch field {
		case "apiVersion", "kind", "metadata":
		case "items":
			items = v
		default:
			w.parser.problem(w.at(key), short(field), "a %s has no field %q; the fields here are apiVersion, kind, metadata and items", k, short(field))
		}
	})
	switch {
	case items == nil:
		w.parser.problem(w.at(kindNode), "items", "the field is missing: write items: and under it the policies, each of which begins with \"- \"")
	case isNull(items):
	case items.Kind != yaml.SequenceNode:
		w.wrong(items, "items", w.at(items), wantList, "")
	default:
		for _, n := range items.Content {
			all = append(all, &object{node: n, printed: true, implied: k == kind+"List"})
		}
	}
	return all, true
}

// leaveOut takes out of an object that a cluster has printed what it may not have, and
// notes what else will not be read.
func (o *object) leaveOut() {
	meta := lookup(o.node, "metadata")
	for _, field := range []string{"uid", "resourceVersion", "managedFields"} {
		o.printed = o.printed || meta != nil && lookup(meta, field) != nil
	}
	if !o.printed {
		return
	}
	if meta != nil && meta.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(meta.Content); i += 2 {
			if field := meta.Content[i].Value; !slices.Contains([]string{"name", "namespace", "labels", "annotations"}, field) {
				o.leftOut = append(o.leftOut, short(field))
			}
		}
	}
	if lookup(o.node, "status") != nil {
		o.leftOut = append(o.leftOut, "status")
		dropField(o.node, "status")
	}
}

// LeftOut are the fields of the policies that only a cluster writes and their input has,
// each once.
func LeftOut(policies []Policy) []string {
	var all []string
	for _, p := range policies {
		for _, field := range p.LeftOut {
			if !slices.Contains(all, field) {
				all = append(all, field)
			}
		}
	}
	return all
}

// dropField takes a field out of a mapping.
func dropField(mapping *yaml.Node, field string) {
	if mapping.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == field {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}

// texts cuts a document, as JSON, into its n objects.
func texts(document []byte, isList bool, n int) ([]json.RawMessage, error) {
	if !isList {
		return []json.RawMessage{document}, nil
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(document, &list); err != nil {
		return nil, err
	}
	if len(list.Items) != n {
		return nil, fmt.Errorf("there are %d items here, or %d", len(list.Items), n)
	}
	return list.Items, nil
}

// decode reads the object from its JSON as kubectl does.
func (o *object) decode(js []byte, into *Policy) error {
	if !o.printed {
		return decodeStrict(js, &into.NetworkPolicy)
	}
	// Clusters before Kubernetes 1.28 write a status, which the type no longer has.
	var item struct {
		networkingv1.NetworkPolicy
		Status json.RawMessage `json:"status"`
	}
	if err := decodeStrict(js, &item); err != nil {
		return err
	}
	into.NetworkPolicy = asWritten(item.NetworkPolicy)
	return nil
}

// asWritten leaves out what a cluster adds to a policy.
func asWritten(np networkingv1.NetworkPolicy) networkingv1.NetworkPolicy {
	meta := metav1.ObjectMeta{Name: np.Name, Namespace: np.Namespace, Labels: np.Labels, Annotations: np.Annotations}
	delete(meta.Annotations, corev1.LastAppliedConfigAnnotation)
	if len(meta.Annotations) == 0 {
		meta.Annotations = nil
	}
	return networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
		ObjectMeta: meta,
		Spec:       np.Spec,
	}
}
