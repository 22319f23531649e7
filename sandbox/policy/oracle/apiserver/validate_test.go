package apiserver

import (
	"errors"
	"flag"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/networking"
	kubernetesv1 "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
	sigsyaml "sigs.k8s.io/yaml"
)

var (
	seed  = flag.Uint64("seed", 1, "the seed of the policies to draw")
	count = flag.Uint64("count", 6000, "how many policies to draw")
)

// kubernetes defaults, converts and validates policies as the API server does on
// their creation.
type kubernetes struct{ scheme *runtime.Scheme }

func newKubernetes(t *testing.T) kubernetes {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{networking.AddToScheme, kubernetesv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return kubernetes{scheme}
}

func (k kubernetes) defaulted(np *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
	np = np.DeepCopy()
	k.scheme.Default(np)
	return np
}

func (k kubernetes) validate(t *testing.T, np *networkingv1.NetworkPolicy) field.ErrorList {
	var internal networking.NetworkPolicy
	if err := k.scheme.Convert(k.defaulted(np), &internal, nil); err != nil {
		t.Fatal(err)
	}
	return validation.ValidateNetworkPolicy(&internal, validation.ValidationOptionsForNetworking(&internal, nil))
}

// TestValidate_agrees_with_Kubernetes compares, for policies drawn at random, what
// is wrong with them: of the object, and of its YAML.
func TestValidate_agrees_with_Kubernetes(t *testing.T) {
	api := newKubernetes(t)
	valid, invalid := 0, 0
	paths, rules := map[string]int{}, map[string]int{}
	for number := range *count {
		np := draw(*seed, number)
		errs := api.validate(t, np)
		if len(errs) == 0 {
			valid++
		} else {
			invalid++
		}
		for _, e := range errs {
			path := index.ReplaceAllString(e.Field, "[]")
			paths[path]++
			rules[path+": "+e.Type.String()+": "+e.Detail]++
		}
		want := fieldsOf(errs)
		if got := problemFields(policy.Validate(policy.Policy{NetworkPolicy: *np})); !slices.Equal(got, want) {
			t.Errorf("%s: Validate has problems with %q, Kubernetes with\n%v", describe(*seed, number), got, errs.ToAggregate())
		}

		text, err := sigsyaml.Marshal(np)
		if err != nil {
			t.Fatal(err)
		}
		if np.ManagedFields != nil {
			// By these Parse takes it as a cluster has printed it, and leaves out what only
			// a cluster writes.
			np.ObjectMeta = metav1.ObjectMeta{Name: np.Name, Namespace: np.Namespace, Labels: np.Labels, Annotations: np.Annotations}
			errs = api.validate(t, np)
			want = fieldsOf(errs)
		}
		var problems *policy.Error
		switch policies, err := policy.Parse(text, policy.ParseOptions{MaxBytes: 2 << 20}); {
		case errors.As(err, &problems):
			if got := problemFields(problems.Problems); !slices.Equal(got, want) {
				t.Errorf("%s: Parse has problems with %q, Kubernetes with\n%v", describe(*seed, number), got, errs.ToAggregate())
			}
			for _, p := range problems.Problems {
				if p.Line == 0 || p.Column == 0 {
					t.Errorf("%s: %v has no place", describe(*seed, number), p)
				}
			}
		case err != nil:
			t.Fatal(err)
		case len(want) > 0 || len(policies) != 1:
			t.Errorf("%s: Parse takes it as %d policies, Kubernetes says\n%v", describe(*seed, number), len(policies), errs.ToAggregate())
		}
		if t.Failed() {
			t.Fatalf("the first policy of %d that they do not agree on:\n%s", *count, text)
		}
	}

	t.Logf("seed %d: %d policies, %d valid and %d invalid; %d fields refused, by %d rules", *seed, *count, valid, invalid, len(paths), len(rules))
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		t.Logf("%6d  %s", rules[rule], rule)
	}
	if share := float64(invalid) / float64(*count); share < 0.4 || share > 0.6 {
		t.Errorf("%.0f %% of the policies are invalid; draw about half", 100*share)
	}
	for _, rule := range rulesToHit() {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(rules)), func(hit string) bool { return strings.HasPrefix(hit, rule) }) {
			t.Errorf("no policy broke the rule %s", rule)
		}
	}
}

// TestDefault_agrees_with_Kubernetes compares what is filled in.
func TestDefault_agrees_with_Kubernetes(t *testing.T) {
	api := newKubernetes(t)
	for number := range *count {
		np := draw(*seed, number)
		want := api.defaulted(np)
		policy.Default(np)
		if !reflect.DeepEqual(np, want) {
			t.Fatalf("%s becomes\n%+v\nand in Kubernetes\n%+v", describe(*seed, number), np, want)
		}
	}
}

var index = regexp.MustCompile(`\[\d+\]`)

// fieldsOf are the fields with errors, sorted, each once.
func fieldsOf(errs field.ErrorList) []string {
	set := map[string]bool{}
	for _, e := range errs {
		set[e.Field] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// problemFields are the fields with problems, sorted, each once.
func problemFields(problems []policy.Problem) []string {
	set := map[string]bool{}
	for _, p := range problems {
		set[p.Field] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// rulesToHit are the rules of Kubernetes' validation, each as the field, the type
// and how the message begins. A rule that no policy breaks is one not compared.
func rulesToHit() []string {
	selector := []string{
		".matchLabels: Invalid value: name part must be non-empty",
		".matchLabels: Invalid value: name part must consist of",
		".matchLabels: Invalid value: name part must be no more than 63",
		".matchLabels: Invalid value: prefix part must be non-empty",
		".matchLabels: Invalid value: prefix part a lowercase RFC 1123",
		".matchLabels: Invalid value: prefix part must be no more than 253",
		".matchLabels: Invalid value: a valid label key must consist of",
		".matchLabels: Invalid value: a valid label must be",
		".matchLabels: Invalid value: must be no more than 63",
		".matchExpressions[].key: Invalid value: name part must be non-empty",
		".matchExpressions[].key: Invalid value: prefix part a lowercase RFC 1123",
		".matchExpressions[].operator: Invalid value: not a valid selector operator",
		".matchExpressions[].values: Required value: must be specified when",
		".matchExpressions[].values: Forbidden: may not be specified when",
		".matchExpressions[].values[]: Invalid value: a valid label must be",
		".matchExpressions[].values[]: Invalid value: must be no more than 63",
	}
	cidr := []string{
		": Invalid value: must be a valid CIDR value",
		": Invalid value: must not have leading 0s",
		": Invalid value: must not have an IPv4-mapped",
		": Invalid value: must not have bits set beyond",
	}
	rules := []string{
		"metadata.name: Required value: ",
		"metadata.name: Invalid value: a lowercase RFC 1123 subdomain",
		"metadata.name: Invalid value: must be no more than 253",
		"metadata.generateName: Invalid value: a lowercase RFC 1123 subdomain",
		"metadata.namespace: Required value: ",
		"metadata.namespace: Invalid value: must not contain dots",
		"metadata.namespace: Invalid value: a lowercase RFC 1123 label",
		"metadata.namespace: Invalid value: must be no more than 63",
		"metadata.labels: Invalid value: name part",
		"metadata.labels: Invalid value: a valid label must be",
		"metadata.annotations: Invalid value: name part",
		"metadata.annotations: Too long: ",
		"metadata.generation: Invalid value: ",
		"metadata.finalizers: Invalid value: name part",
		"metadata.finalizers: Invalid value: finalizer",
		"metadata.finalizers[]: Invalid value: name is neither a standard",
		"metadata.ownerReferences: Invalid value: Only one reference",
		"metadata.ownerReferences[]: Invalid value: ",
		"metadata.ownerReferences[].apiVersion: ",
		"metadata.ownerReferences[].kind: Required value: ",
		"metadata.ownerReferences[].name: Required value: ",
		"metadata.managedFields[].operation: Required value: ",
		"metadata.managedFields[].operation: Unsupported value: ",
		"metadata.managedFields[].fieldsType: Invalid value: ",
		"metadata.managedFields[].manager: Invalid value: ",
		"metadata.managedFields[].subresource: Too long: ",
		"spec.policyTypes: Invalid value: may not specify more than two",
		"spec.policyTypes[]: Unsupported value: ",
	}
	for _, rule := range selector {
		rules = append(rules, "spec.podSelector"+rule)
	}
	for direction, peers := range map[string]string{"spec.ingress[]": ".from[]", "spec.egress[]": ".to[]"} {
		for _, rule := range []string{
			".protocol: Unsupported value: ",
			".port: Invalid value: must be between 1 and 65535",
			".port: Invalid value: must contain only",
			".port: Invalid value: must contain at least one letter",
			".port: Invalid value: must be no more than 15",
			".port: Invalid value: must not contain consecutive",
			".port: Invalid value: must not begin or end",
			".endPort: Invalid value: must be greater than or equal to `port`",
			".endPort: Invalid value: must be between 1 and 65535",
			".endPort: Invalid value: may not be specified when `port` is non-numeric",
			".endPort: Invalid value: may not be specified when `port` is not specified",
		} {
			rules = append(rules, direction+".ports[]"+rule)
		}
		at := direction + peers
		rules = append(rules, at+": Required value: must specify a peer", at+": Forbidden: may not specify both",
			at+".ipBlock.cidr: Required value: ", at+".ipBlock.except[]: Invalid value: must be a strict subset")
		for _, rule := range selector {
			rules = append(rules, at+".podSelector"+rule, at+".namespaceSelector"+rule)
		}
		for _, rule := range cidr {
			rules = append(rules, at+".ipBlock.cidr"+rule, at+".ipBlock.except[]"+rule)
		}
	}
	return rules
}
