package lint

import (
	"slices"
	"strings"

	sigsyaml "sigs.k8s.io/yaml"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// mostNames is how many names a message lists.
const mostNames = 6

// names names pods: "production/api and production/web".
func (l *linter) names(pods []int) string {
	out := make([]string, len(pods))
	for i, pod := range pods {
		out[i] = l.pods[pod].Namespace + "/" + l.pods[pod].Name
	}
	slices.Sort(out)
	return enumerate(out)
}

// enumerate is "a, b and c"; of many, the first and how many more.
func enumerate(names []string) string {
	return policy.List(names, mostNames, "and")
}

// text is a value's YAML.
func text(v any) string {
	out, _ := sigsyaml.Marshal(v) // The API's own types always have one.
	return strings.TrimSuffix(string(out), "\n")
}

func plural(one, many string, n int) string {
	if n == 1 {
		return one
	}
	return many
}
