package policy

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

func TestDefaults_are_the_API_servers(t *testing.T) {
	ingress, egress := networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	for name, tt := range map[string]struct {
		spec string
		want []networkingv1.PolicyType
	}{
		"nothing":              {"{}", []networkingv1.PolicyType{ingress}},
		"ingress rules":        {"{ingress: [{}]}", []networkingv1.PolicyType{ingress}},
		"egress rules":         {"{egress: [{}]}", []networkingv1.PolicyType{ingress, egress}},
		"egress without rules": {"{egress: []}", []networkingv1.PolicyType{ingress}},
		"empty policyTypes":    {"{egress: [{}], policyTypes: []}", []networkingv1.PolicyType{ingress, egress}},
		"policyTypes stay":     {"{egress: [{}], policyTypes: [Egress]}", []networkingv1.PolicyType{egress}},
	} {
		t.Run(name, func(t *testing.T) {
			policies, err := Parse([]byte(head+"spec: "+tt.spec+"\n"), inLab)
			if err != nil {
				t.Fatal(err)
			}
			np := &policies[0].NetworkPolicy
			Default(np)
			if !reflect.DeepEqual(np.Spec.PolicyTypes, tt.want) {
				t.Errorf("got %v, want %v", np.Spec.PolicyTypes, tt.want)
			}
		})
	}

	np := &networkingv1.NetworkPolicy{}
	udp := corev1.ProtocolUDP
	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{}, {Protocol: &udp}}}}
	np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{{}}}}
	Default(np)
	if in, out := np.Spec.Ingress[0].Ports, np.Spec.Egress[0].Ports; *in[0].Protocol != "TCP" || *in[1].Protocol != "UDP" || *out[0].Protocol != "TCP" {
		t.Errorf("protocols are %s, %s and %s", *in[0].Protocol, *in[1].Protocol, *out[0].Protocol)
	}
}

func TestValidate_leaves_the_policy_alone(t *testing.T) {
	policies, err := Parse([]byte(head+"spec: {egress: [{ports: [{port: 80}]}]}\n"), inLab)
	if err != nil {
		t.Fatal(err)
	}
	before := policies[0].NetworkPolicy.DeepCopy()
	if problems := Validate(policies[0]); problems != nil {
		t.Errorf("got %v", problems)
	}
	if !reflect.DeepEqual(before, &policies[0].NetworkPolicy) {
		t.Errorf("Validate made %+v of %+v", policies[0].NetworkPolicy, before)
	}
}
