package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
)

func TestSentences_say_whom_a_policy_selects_what_it_lets_through_and_what_it_closes(t *testing.T) {
	for _, c := range []struct {
		name, namespace, spec string
		want                  []string
	}{
		{"default deny", "production", `{podSelector: {}, policyTypes: [Ingress, Egress]}`, []string{
			"It selects every pod of production: api, db and web.",
			"It lets nobody in: there is no ingress rule.",
			"It lets nothing out, not even questions to DNS: there is no egress rule.",
			"Everything that comes in or goes out is closed, unless another policy lets it through.",
		}},
		{"default deny for ingress", "production", `{podSelector: {}}`, []string{
			"It selects every pod of production: api, db and web.",
			"It lets nobody in: there is no ingress rule.",
			"It says nothing about what these pods send: there are no egress rules, and policyTypes is left out.",
			"Everything that comes in is closed, unless another policy lets it through.",
		}},
		{"a host-network pod beside the others", "monitoring", `{podSelector: {}}`, []string{
			"It selects every pod of monitoring: grafana and prometheus; not node-agent, which uses its node's network.",
			"It lets nobody in: there is no ingress rule.",
			"It says nothing about what these pods send: there are no egress rules, and policyTypes is left out.",
			"Everything that comes in is closed, unless another policy lets it through.",
		}},
		{"only a host-network pod", "monitoring", `{podSelector: {matchLabels: {app: node-agent}}}`, []string{
			"It selects pods of monitoring labelled app=node-agent, but no pod: node-agent uses its node's network, and no policy selects such a pod.",
			"It lets nobody in: there is no ingress rule.",
			"It says nothing about what such pods send: there are no egress rules, and policyTypes is left out.",
		}},
		{"an empty namespace", "empty", `{podSelector: {}}`, []string{
			"It selects every pod of empty, and there is none yet.",
			"It lets nobody in: there is no ingress rule.",
			"It says nothing about what such pods send: there are no egress rules, and policyTypes is left out.",
		}},
		{"a label that nobody has", "production", `{podSelector: {matchLabels: {app: apl}}}`, []string{
			"It selects pods of production labelled app=apl, and there is none: it changes nothing.",
			"It lets nobody in: there is no ingress rule.",
			"It says nothing about what such pods send: there are no egress rules, and policyTypes is left out.",
		}},
		{"neither direction", "production", `{podSelector: {}, policyTypes: []}`, []string{
			"It selects every pod of production: api, db and web.",
			"It lets nobody in: there is no ingress rule.",
			"It says nothing about what these pods send: there are no egress rules, and policyTypes is left out.",
			"Everything that comes in is closed, unless another policy lets it through.",
		}},
		{"one peer and one port", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in web (app=web) on 8080/TCP.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"both directions", "production", `{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}, {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in web (app=web) on 8080/TCP.",
			"It lets api send to db (app=db) on 5432/TCP; and to the cluster's DNS on 53/UDP and 53/TCP.",
			"All else that comes in or goes out is closed, unless another policy lets it through.",
		}},
		{"DNS of any namespace", "production", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}]}`, []string{
			"It selects every pod of production: api, db and web.",
			"It says nothing about what comes in.",
			"It lets these pods send to the cluster's DNS, and any pod of any namespace labelled k8s-app=kube-dns on 53/UDP.",
			"All else that goes out is closed, unless another policy lets it through.",
		}},
		{"an empty rule", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{}]}`, []string{
			"It selects api in production (app=api).",
			"It lets everybody in on every port: a rule that is empty asks for nothing.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"So by this policy nothing is closed.",
		}},
		{"an empty egress rule", "production", `{podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], egress: [{}]}`, []string{
			"It selects api in production (app=api).",
			"It says nothing about what comes in.",
			"It lets everything out, to anywhere on every port: a rule that is empty asks for nothing.",
			"So by this policy nothing is closed.",
		}},
		{"an empty list of rules", "production", `{podSelector: {matchLabels: {app: api}}, ingress: []}`, []string{
			"It selects api in production (app=api).",
			"It lets nobody in: there is no ingress rule.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"Everything that comes in is closed, unless another policy lets it through.",
		}},
		{"an empty from", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [], ports: [{port: 8080}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in everybody on 8080/TCP (an empty from is the same as none).",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"a missing from", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 8080}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in everybody on 8080/TCP.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"an empty ports", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: []}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in web (app=web) on every port (an empty ports is the same as none).",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"an empty from and no ports", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: []}]}`, []string{
			"It selects api in production (app=api).",
			"It lets everybody in on every port: an empty from is the same as none.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"So by this policy nothing is closed.",
		}},
		{"an empty podSelector as peer", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {}}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in every pod of production on every port.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"an empty namespaceSelector", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {}}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in every pod of every namespace on every port.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"both selectors in one entry", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {environment: monitoring}}, podSelector: {matchLabels: {app: prometheus}}}], ports: [{port: 9090}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in monitoring/prometheus (app=prometheus) on 9090/TCP.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"two entries", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {environment: monitoring}}}, {podSelector: {matchLabels: {app: web}}}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in every pod of monitoring or web (app=web) on every port.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"a pod of another namespace by its label alone", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: prometheus}}}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in pods of production labelled app=prometheus (there is none) on every port.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"a namespace that is not there", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {environment: test}}}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in every pod of namespaces labelled environment=test (there is none) on every port.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"any pod of any namespace with a label", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in any pod of any namespace labelled app=web (now web) on every port.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"one address", "production", `{podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 172.18.0.9/32}}], ports: [{port: 443}]}]}`, []string{
			"It selects api in production (app=api).",
			"It says nothing about what comes in.",
			"It lets api send to internet (172.18.0.9/32) on 443/TCP.",
			"All else that goes out is closed, unless another policy lets it through.",
		}},
		{"every address but some", "production", `{podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}`, []string{
			"It selects api in production (app=api).",
			"It says nothing about what comes in.",
			"It lets api send to every address but those of 10.0.0.0/8 on every port.",
			"All else that goes out is closed, unless another policy lets it through.",
		}},
		{"ports by name, in a range, and all of a protocol", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: http}, {port: 9000, endPort: 9100}, {protocol: UDP}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in everybody on http/TCP, 9000-9100/TCP and every port of UDP.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"egress rules that count for nothing", "production", `{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], egress: [{}]}`, []string{
			"It selects api in production (app=api).",
			"It lets nobody in: there is no ingress rule.",
			"Its egress rules count for nothing: policyTypes does not list Egress.",
			"Everything that comes in is closed, unless another policy lets it through.",
		}},
		{"egress rules without policyTypes", "production", `{podSelector: {matchLabels: {app: api}}, egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets nobody in: policyTypes is left out, which means Ingress, too, and there is no ingress rule.",
			"It lets api send to db (app=db) on every port.",
			"All else that comes in or goes out is closed, unless another policy lets it through.",
		}},
		{"more rules than a sentence takes", "production", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 1}]}, {ports: [{port: 2}]}, {ports: [{port: 3}]}, {ports: [{port: 4}]}, {ports: [{port: 5}]}]}`, []string{
			"It selects api in production (app=api).",
			"It lets in everybody on 1/TCP; and everybody on 2/TCP; and everybody on 3/TCP; and whom 2 more rules name.",
			"It says nothing about what api sends: there are no egress rules, and policyTypes is left out.",
			"All else that comes in is closed, unless another policy lets it through.",
		}},
		{"absence of a label", "production", `{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [db]}, {key: tier, operator: DoesNotExist}]}, ingress: []}`, []string{
			"It selects api and web in production (app notin (db),no tier).",
			"It lets nobody in: there is no ingress rule.",
			"It says nothing about what these pods send: there are no egress rules, and policyTypes is left out.",
			"Everything that comes in is closed, unless another policy lets it through.",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, p := read(t, c.namespace, c.spec)
			got := e.Sentences(p)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// read compiles one policy for the shop.
func read(t *testing.T, namespace, spec string) (*policy.Evaluator, *policy.Policy) {
	t.Helper()
	policies, err := policy.Parse([]byte("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: it, namespace: "+namespace+"}\nspec: "+spec+"\n"), policy.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := policy.Compile(policytest.Shop(), policies)
	if err != nil {
		t.Fatal(err)
	}
	return e, &policies[0]
}
