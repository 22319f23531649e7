package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestParse_does_not_echo_a_long_value_whole: wherever it stands in a policy, and
// whatever is wrong with it. What is told is cut between characters.
func TestParse_does_not_echo_a_long_value_whole(t *testing.T) {
	const whole = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow
  namespace: production
  labels: {team: red}
  annotations: {note: text}
spec:
  podSelector:
    matchLabels: {app: api}
    matchExpressions:
    - {key: tier, operator: In, values: [front]}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {environment: production}}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports:
    - {protocol: TCP, port: 8080, endPort: 8090}
`
	const most = 2000 // Bytes in all, of what is said.
	try := func(name, src string) {
		_, err := Parse([]byte(src), ParseOptions{Namespaces: []string{"production", "development"}})
		var problems *Error
		switch {
		case errors.As(err, &problems):
		case err != nil:
			t.Errorf("%s: %v", name, err)
			return
		default:
			return
		}
		for _, p := range problems.Problems {
			if n := len(p.Message) + len(p.Field); n > most {
				t.Errorf("%s: %d bytes are said: %.200s ... (%.80s)", name, n, p.Message, p.Field)
			}
			if !utf8.ValidString(p.Message) || !utf8.ValidString(p.Field) {
				t.Errorf("%s: a character is cut through: %q", name, p.Message)
			}
		}
		if n := len(err.Error()); n > 20*most {
			t.Errorf("%s: %d bytes are said in all", name, n)
		}
	}
	try("a kind", "kind: "+strings.Repeat("x", 250_000))
	try("a label", strings.Replace(whole, "app: api", "app: "+strings.Repeat("x", 250_000), 1))
	for _, long := range []string{strings.Repeat("x", 5000), "a" + strings.Repeat("ö", 5000), strings.Repeat("1", 5000), strings.Repeat("a/", 5000), `"` + strings.Repeat(" x", 5000) + `"`, strings.Repeat("A", 5000) + ": " + strings.Repeat("b", 5000)} {
		words := strings.FieldsFunc(whole, func(r rune) bool { return strings.ContainsRune(" \n{}[],", r) })
		for i, word := range words {
			if word == "-" {
				continue
			}
			// The i-th word of the policy becomes the long one; a field keeps its colon.
			var b strings.Builder
			rest := whole
			for _, w := range words[:i] {
				at := strings.Index(rest, w) + len(w)
				b.WriteString(rest[:at])
				rest = rest[at:]
			}
			at := strings.Index(rest, word)
			colon := ""
			if strings.HasSuffix(word, ":") {
				colon = ":"
			}
			b.WriteString(rest[:at] + long + colon + rest[at+len(word):])
			try(fmt.Sprintf("%.10s as word %d (%s)", long, i, word), b.String())
		}
		for _, src := range []string{long, "- " + long, long + ":", "a: " + long, "kind: " + long, "apiVersion: v1\nkind: List\nitems:\n- " + long, "apiVersion: " + long + "\nkind: List", "apiVersion: v1\nkind: List\n" + long + ": a", "a: *" + long, "a: !" + long + " b", "a: [" + long, "--- " + long, "a: b " + long + "\n  c: d", "a\n" + long + "\n", "-" + long, "a: {b} " + long, "a: '" + long} {
			try(fmt.Sprintf("%.20s", src), src)
		}
	}
}
