package policy

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// namedNetwork has one of each that a person can name.
func namedNetwork(t *testing.T) *Evaluator {
	t.Helper()
	addr := netip.MustParseAddr
	e, err := Compile(Network{
		Pods: []Pod{
			{Namespace: "production", Name: "api", IPs: []netip.Addr{addr("10.0.0.1"), addr("fd00::1")}, Labels: map[string]string{"app": "api"}, Ports: []Port{{"http", 8080, ""}, {"dns", 53, corev1.ProtocolUDP}}},
			{Namespace: "development", Name: "shell", IPs: []netip.Addr{addr("10.0.0.2")}},
		},
		Services: []Service{
			{Namespace: "production", Name: "api", ClusterIPs: []netip.Addr{addr("10.96.0.1")}, Selector: map[string]string{"app": "api"}, Ports: []ServicePort{{Name: "web", Port: 80}}},
			{Namespace: "production", Name: "headless"},
		},
		Hosts: []Host{{Name: "internet", IPs: []netip.Addr{addr("192.0.2.1")}, Ports: []Port{{"https", 443, ""}}}, {Name: "nowhere"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestA_source_is_named_as_people_name_it(t *testing.T) {
	e := namedNetwork(t)
	for text, want := range map[string]string{
		"production/api": "production/api", "10.0.0.1": "production/api", "fd00::1": "production/api", "[fd00::1]": "production/api",
		"internet": "internet", "192.0.2.1": "internet", "203.0.113.9": "203.0.113.9",
	} {
		if got, err := e.Source(text); err != nil || e.Name(got) != want {
			t.Errorf("%s: %v, %v", text, e.Name(got), err)
		}
	}
}

func TestA_destination_is_named_as_people_name_it(t *testing.T) {
	e := namedNetwork(t)
	for text, want := range map[string]struct {
		to       string
		port     int32
		protocol corev1.Protocol
	}{
		"production/api:8080":      {"production/api", 8080, "TCP"},
		"production/api:8080/TCP":  {"production/api", 8080, "TCP"},
		"production/api:9999/sctp": {"production/api", 9999, "SCTP"},
		"production/api:http":      {"production/api", 8080, "TCP"},
		"production/api:dns/UDP":   {"production/api", 53, "UDP"},
		"10.0.0.1:80":              {"production/api", 80, "TCP"},
		"[fd00::1]:80/UDP":         {"production/api", 80, "UDP"},
		"[2001:db8::1]:443":        {"2001:db8::1", 443, "TCP"},
		"203.0.113.9:65535":        {"203.0.113.9", 65535, "TCP"},
		"internet:443":             {"internet", 443, "TCP"},
		"internet:https":           {"internet", 443, "TCP"},
		"svc/production/api:80":    {"10.96.0.1", 80, "TCP"},
		"svc/production/api:web":   {"10.96.0.1", 80, "TCP"},
	} {
		f, err := e.Destination(text)
		if err != nil || e.Name(f.To) != want.to || f.Port != want.port || f.Protocol != want.protocol {
			t.Errorf("%s: %s %d/%s, %v", text, e.Name(f.To), f.Port, f.Protocol, err)
		}
	}
}

func TestA_wrong_name_says_what_was_perhaps_meant(t *testing.T) {
	e := namedNetwork(t)
	for text, want := range map[string]string{
		"production/apo":  "there is no pod production/apo; did you mean production/api?",
		"prod/x":          "there is no pod prod/x; there are development/shell, production/api",
		"api":             "a pod is named with its namespace; did you mean production/api?",
		"interned":        "there is no host outside interned; did you mean internet?",
		"nowhere":         "the host nowhere has no address",
		"10.0.0.256":      "there is no host outside 10.0.0.256; there are internet, nowhere",
		"production/api/": "there is no pod production/api/; did you mean production/api?",
	} {
		if got, err := e.Source(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"production/api":             "the port is missing: write production/api:PORT; its ports are 8080/TCP, 53/UDP",
		"production/api:":            "the port is missing: write production/api:PORT; its ports are 8080/TCP, 53/UDP",
		"production/apo:80":          "there is no pod production/apo; did you mean production/api?",
		"production/api:0":           "0 is no port: write a number from 1 to 65535",
		"production/api:65536":       "65536 is no port: write a number from 1 to 65535",
		"production/api:-1":          "-1 is no port: write a number from 1 to 65535",
		"production/api:99999999999": "99999999999 is no port: write a number from 1 to 65535",
		"production/api:https":       `there is no port "https" with TCP: write a number; its ports are 8080/TCP, 53/UDP`,
		"production/api:80/HTTP":     `there is no protocol "HTTP": write TCP, UDP or SCTP`,
		"2001:db8::1":                "an IPv6 address needs brackets, and a port behind them: [2001:db8::1]:443",
		"[2001:db8::1]":              "the port is missing: write [2001:db8::1]:PORT",
		"[2001:db8::1]/UDP":          "the port is missing: write [2001:db8::1]:PORT",
		"203.0.113.9":                "the port is missing: write 203.0.113.9:PORT",
		"svc/production/apis:80":     "there is no Service svc/production/apis; did you mean svc/production/api?",
		"svc/production/api:8080":    "svc/production/api has no port 8080/TCP; its ports are 80/TCP",
		"svc/production/headless:80": "the Service production/headless has no ClusterIP, so connections to it go to its pods' own addresses: name one of its pods",
	} {
		if got, err := e.Destination(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestA_name_in_a_network_of_pods_alone_is_no_host(t *testing.T) {
	e, err := Compile(Network{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"web":   `"web" is neither namespace/pod nor an IP address`,
		"x/web": "there is no pod x/web, nor any other",
	} {
		if _, err := e.Source(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
