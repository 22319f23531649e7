package main

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// machine is what a machine is known by on its networks.
type machine struct {
	// name is the one that it has given itself; empty where it has none.
	name string
	// addrs are its addresses but for those that lead nowhere else.
	addrs []netip.Addr
}

// thisMachine asks the operating system. What that does not tell is left out.
func thisMachine() machine {
	var m machine
	m.name, _ = os.Hostname()
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || dockers(i.Name) {
			continue
		}
		all, _ := i.Addrs()
		for _, a := range all {
			prefix, err := netip.ParsePrefix(a.String())
			if addr := prefix.Addr().Unmap(); err == nil && addr.IsGlobalUnicast() {
				m.addrs = append(m.addrs, addr)
			}
		}
	}
	return m
}

// dockers says that the interface is one that Docker makes for its containers, as it
// names them: nobody but these comes that way.
func dockers(name string) bool { return name == "docker0" || strings.HasPrefix(name, "br-") }

// names are what the machine can be called by others: where it has a name of one word,
// that may also be known by multicast DNS.
func (m machine) names() []string {
	switch {
	case m.name == "":
		return nil
	case strings.Contains(m.name, "."):
		return []string{m.name}
	}
	return []string{m.name, m.name + ".local"}
}

// hosts are the names for which requests are answered: those that lead from the
// machine itself to where the server listens, those of the machine where others can
// reach it, and the given ones.
func (m machine) hosts(listen string, given []string) []string {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		host = listen
	}
	all := []string{"localhost", "127.0.0.1", "::1"}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "localhost":
	case err == nil && addr.IsLoopback():
		all = append(all, addr.String())
	case host == "" || err == nil && addr.IsUnspecified():
		all = append(all, m.names()...)
		for _, a := range m.addrs {
			all = append(all, a.String())
		}
	default: // An address of the machine, or a name of it.
		all = append(append(all, host), m.names()...)
	}
	return append(all, given...)
}

// urls are the addresses at which the lab that listens there is reached: own from the
// machine itself, others from elsewhere, none where it listens for itself alone.
func (m machine) urls(listening net.Addr) (own string, others []string) {
	url := func(host string, port uint16) string {
		return "http://" + net.JoinHostPort(host, strconv.Itoa(int(port))) + "/"
	}
	at, err := netip.ParseAddrPort(listening.String())
	if err != nil { // It is no address of the internet's.
		return "http://" + listening.String() + "/", nil
	}
	addr := at.Addr().Unmap()
	switch {
	case addr.IsLoopback():
		return url(addr.String(), at.Port()), nil
	case !addr.IsUnspecified():
		own := url(addr.String(), at.Port())
		return own, []string{own}
	}
	for _, name := range m.names() {
		others = append(others, url(name, at.Port()))
	}
	for _, a := range m.addrs {
		if a.Is4() || at.Addr().Is6() {
			others = append(others, url(a.String(), at.Port()))
		}
	}
	return url("localhost", at.Port()), others
}
