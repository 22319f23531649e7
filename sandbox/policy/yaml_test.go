package policy

import (
	"testing"

	"go.yaml.in/yaml/v3"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestYAML_a_text_that_looks_like_something_else_stays_a_text(t *testing.T) {
	labels := map[string]string{"": ""}
	for _, text := range []string{"yes", "null", "~", "true", "1", "0x1F", "1e3", "2026-11-28", "a: b", "a #b", "- a", "<&>", "\u2028", "two\nlines", " x ", "'", "\"", "*a", "{}"} {
		labels[text] = text
	}
	p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "on", Namespace: "123", Labels: labels}}
	text := YAML(p)
	var got struct {
		Metadata struct {
			Name, Namespace any
			Labels          map[any]any
		}
		Spec struct {
			PodSelector map[string]any `yaml:"podSelector"`
		}
	}
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got.Metadata.Name != "on" || got.Metadata.Namespace != "123" || len(got.Metadata.Labels) != len(labels) || got.Spec.PodSelector == nil {
		t.Errorf("got %+v of\n%s", got, text)
	}
	for k, v := range labels {
		if got.Metadata.Labels[k] != v {
			t.Errorf("label %q is %v in\n%s", k, got.Metadata.Labels[k], text)
		}
	}
}
