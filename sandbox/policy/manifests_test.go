package policy

import (
	"fmt"
	"strings"
)

// policyYAML is a policy; its spec is written without indentation.
func policyYAML(namespace, name, spec string) string {
	return fmt.Sprintf("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec:\n  %s\n", name, namespace, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

const allowDNS = `
podSelector: {}
policyTypes: [Egress]
egress:
- to:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports:
  - {protocol: UDP, port: 53}
  - {protocol: TCP, port: 53}`

var dnsAllowed = policyYAML("production", "allow-dns", allowDNS)
