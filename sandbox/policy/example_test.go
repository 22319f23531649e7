package policy_test

import (
	"fmt"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

func ExampleParse() {
	src := `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: production
spec:
  podselector: {}
`
	_, err := policy.Parse([]byte(src), policy.ParseOptions{Namespaces: []string{"production", "development"}})
	fmt.Println(err)
	// Output:
	// line 7, column 3: spec.podselector: spec has no field "podselector"; did you mean "podSelector"?
}
