package nodeimage

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"sigs.k8s.io/yaml"
)

// docKind and docName find what a Kubernetes document in YAML is about. Both
// stand at a fixed depth in every document of the manifest.
var (
	docKind = regexp.MustCompile(`(?m)^kind: (\S+)\s*$`)
	docName = regexp.MustCompile(`(?m)^  name: (\S+)\s*$`)
)

// manifestKeeps are the documents of Calico's manifest that a lab cluster takes
// as they are, besides every CustomResourceDefinition.
var manifestKeeps = map[string]bool{
	"ConfigMap/calico-config":              true,
	"ServiceAccount/calico-node":           true,
	"ServiceAccount/calico-cni-plugin":     true,
	"ClusterRole/calico-node":              true,
	"ClusterRole/calico-cni-plugin":        true,
	"ClusterRoleBinding/calico-node":       true,
	"ClusterRoleBinding/calico-cni-plugin": true,
}

// manifestDrops are those it leaves out: our own DaemonSet stands for the one,
// and kube-controllers has nothing to do in a cluster that never loses a node.
var manifestDrops = map[string]bool{
	"DaemonSet/calico-node":                       true,
	"Deployment/calico-kube-controllers":          true,
	"PodDisruptionBudget/calico-kube-controllers": true,
	"ServiceAccount/calico-kube-controllers":      true,
	"ClusterRole/calico-kube-controllers":         true,
	"ClusterRoleBinding/calico-kube-controllers":  true,
}

// labManifest turns Calico's manifest into the one of a lab cluster: its
// definitions, accounts and roles, with our own DaemonSet. A document it does
// not know is an error: another version of Calico needs another look.
func labManifest(stock, daemonSet string) (string, error) {
	var kept, definitions []string
	missing := map[string]bool{}
	for k := range manifestKeeps {
		missing[k] = true
	}
	for k := range manifestDrops {
		missing[k] = true
	}
	for i, doc := range regexp.MustCompile(`(?m)^---\s*$`).Split(stock, -1) {
		doc = withoutComments(doc)
		if doc == "" {
			continue
		}
		kind, name := docKind.FindStringSubmatch(doc), docName.FindStringSubmatch(doc)
		if kind == nil || name == nil {
			return "", fmt.Errorf("calico's manifest: document %d has no kind or no name where they are expected", i)
		}
		key := kind[1] + "/" + name[1]
		delete(missing, key)
		switch {
		case kind[1] == "CustomResourceDefinition":
			doc, err := withoutSchemas(doc)
			if err != nil {
				return "", fmt.Errorf("calico's manifest: document %d, %s: %w", i, key, err)
			}
			definitions = append(definitions, doc)
		case manifestKeeps[key]:
			kept = append(kept, doc)
		case manifestDrops[key]:
		default:
			return "", fmt.Errorf("calico's manifest: document %d is %s, which this build does not know: decide in manifest.go whether a lab cluster keeps it", i, key)
		}
	}
	if len(missing) > 0 {
		var names []string
		for k := range missing {
			names = append(names, k)
		}
		sort.Strings(names)
		return "", fmt.Errorf("calico's manifest lacks %s", strings.Join(names, ", "))
	}
	if len(definitions) == 0 {
		return "", fmt.Errorf("calico's manifest has no CustomResourceDefinition")
	}
	kept = append(kept, strings.TrimSpace(defaultsRole), withoutComments(strings.ReplaceAll(daemonSet, "@CALICO@", CalicoVersion)))
	// The definitions come last, while the agent starts, and of these the ones for whose
	// kinds it waits.
	sort.SliceStable(definitions, func(i, j int) bool { return !hasDefaults(definitions[i]) && hasDefaults(definitions[j]) })
	return strings.Join(append(kept, definitions...), "\n---\n") + "\n", nil
}

// hasDefaults reports whether there are default objects of the kind that is defined.
func hasDefaults(definition string) bool {
	return regexp.MustCompile(`(?m)^  name: (ippools|clusterinformations|felixconfigurations)\.crd\.`).MatchString(definition)
}

// defaultsRole lets the agent apply what upstream's would create (see applyDefaults in
// calico/main.go).
const defaultsRole = `
kind: ClusterRole
apiVersion: rbac.authorization.k8s.io/v1
metadata:
  name: calico-defaults
rules:
- apiGroups: [crd.projectcalico.org]
  resources: [ippools, clusterinformations, felixconfigurations]
  verbs: [patch]
---
kind: ClusterRoleBinding
apiVersion: rbac.authorization.k8s.io/v1
metadata:
  name: calico-defaults
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: calico-defaults}
subjects:
- {kind: ServiceAccount, name: calico-node, namespace: kube-system}
`

// podOf makes the DaemonSet's pod a pod of its own. start-calico puts the node's
// name in the place of @NODE@. It runs while kubeadm is still at work, so it is told
// where pods have their addresses: the agent would ask kubeadm's configuration, and where
// that is not written yet take another range. Then nothing from a pod finds its way back
// from outside the cluster.
func podOf(daemonSet string) (string, error) {
	var ds struct {
		Metadata map[string]any `json:"metadata"`
		Spec     struct {
			Template struct {
				Spec map[string]any `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(daemonSet), &ds); err != nil {
		return "", fmt.Errorf("the agent's DaemonSet: %w", err)
	}
	if ds.Spec.Template.Spec == nil {
		return "", fmt.Errorf("the agent's DaemonSet has no spec.template.spec")
	}
	ds.Spec.Template.Spec["nodeName"] = "@NODE@"
	containers, _ := ds.Spec.Template.Spec["containers"].([]any)
	for _, c := range containers {
		if c, ok := c.(map[string]any); ok {
			env, _ := c["env"].([]any)
			c["env"] = append(env, map[string]any{"name": "CALICO_IPV4POOL_CIDR", "value": PodSubnet})
		}
	}
	out, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": ds.Metadata, "spec": ds.Spec.Template.Spec,
	})
	return string(out), err
}

// withoutSchemas lets a CustomResourceDefinition take any object. Nobody but
// Calico itself writes its resources in a lab, and to compile a quarter of a
// megabyte of schemas again for each of the definitions is the most expensive
// thing that a new API server does.
func withoutSchemas(doc string) (string, error) {
	var crd map[string]any
	if err := yaml.Unmarshal([]byte(doc), &crd); err != nil {
		return "", err
	}
	spec, _ := crd["spec"].(map[string]any)
	versions, _ := spec["versions"].([]any)
	if len(versions) == 0 {
		return "", fmt.Errorf("no spec.versions where they are expected")
	}
	for _, v := range versions {
		version, ok := v.(map[string]any)
		if !ok {
			return "", fmt.Errorf("a version that is no object")
		}
		delete(version, "additionalPrinterColumns")
		version["schema"] = map[string]any{"openAPIV3Schema": map[string]any{
			"type": "object", "x-kubernetes-preserve-unknown-fields": true,
		}}
	}
	out, err := yaml.Marshal(crd)
	return strings.TrimSpace(string(out)), err
}

// withoutComments removes whole-line comments and blank lines, in and around a
// document. The ConfigMap's JSON has neither.
func withoutComments(doc string) string {
	var out []string
	for line := range strings.Lines(doc) {
		line = strings.TrimRight(line, "\r\n")
		if t := strings.TrimSpace(line); t == "" || strings.HasPrefix(t, "#") {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
