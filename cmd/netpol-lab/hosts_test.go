package main

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var classroom = machine{name: "trainer", addrs: []netip.Addr{netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("2001:db8::5")}}

func TestHosts_are_the_machines_own_and_those_given_wherever_it_listens(t *testing.T) {
	for _, c := range []struct {
		listen string
		given  []string
		want   string
	}{
		{"127.0.0.1:8080", nil, "localhost 127.0.0.1 ::1 127.0.0.1"},
		{"[::1]:8080", nil, "localhost 127.0.0.1 ::1 ::1"},
		{"localhost:8080", []string{"lab.example"}, "localhost 127.0.0.1 ::1 lab.example"},
		{"0.0.0.0:8080", nil, "localhost 127.0.0.1 ::1 trainer trainer.local 192.0.2.5 2001:db8::5"},
		{":8080", []string{"lab.example"}, "localhost 127.0.0.1 ::1 trainer trainer.local 192.0.2.5 2001:db8::5 lab.example"},
		{"192.0.2.5:8080", nil, "localhost 127.0.0.1 ::1 192.0.2.5 trainer trainer.local"},
	} {
		if got := strings.Join(classroom.hosts(c.listen, c.given), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.listen, got, c.want)
		}
	}
	if got := (machine{name: "trainer.school.example"}).names(); !slices.Equal(got, []string{"trainer.school.example"}) {
		t.Errorf("a name with a domain became %q", got)
	}
}

func TestURLs_are_told_that_others_can_use(t *testing.T) {
	for listening, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080/",
		"[::1]:8080":     "http://[::1]:8080/",
		"192.0.2.5:8080": "http://192.0.2.5:8080/ http://192.0.2.5:8080/",
		"0.0.0.0:80":     "http://localhost:80/ http://trainer:80/ http://trainer.local:80/ http://192.0.2.5:80/",
		"[::]:8080":      "http://localhost:8080/ http://trainer:8080/ http://trainer.local:8080/ http://192.0.2.5:8080/ http://[2001:db8::5]:8080/",
	} {
		own, others := classroom.urls(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(listening)))
		if got := strings.Join(append([]string{own}, others...), " "); got != want {
			t.Errorf("%s: %s, want %s", listening, got, want)
		}
	}
}

func TestThisMachine_has_no_address_that_leads_nowhere_else(t *testing.T) {
	for name, want := range map[string]bool{"docker0": true, "br-0123456789ab": true, "br0": false, "eth0": false} {
		if dockers(name) != want {
			t.Errorf("%s is Docker's: %v", name, !want)
		}
	}
	for _, addr := range thisMachine().addrs {
		if addr.IsLoopback() || addr.IsLinkLocalUnicast() || !addr.IsValid() {
			t.Errorf("%s is told", addr)
		}
	}
}
