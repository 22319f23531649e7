//go:build integration

package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// metadata is the address at which clouds tell machines about themselves.
const metadata = "169.254.169.254"

// neighbourhood is what stands around the shared cluster that is none of its business.
type neighbourhood struct {
	gateway string // the host, as a container sees it
	port    int    // where the test itself listens, on all addresses of the host
	second  *laid
	// somebody is a container in the same network that nothing holds back; it serves
	// somebodyPort, also at the address of the clouds' metadata.
	somebody, somebodyAddr string
}

const somebodyPort = 8080

// onNode runs a command on the node.
func onNode(t *testing.T, node, command string) (string, error) {
	t.Helper()
	return docker(t.Context(), "exec", node, "bash", "-ec", command)
}

func mustOnNode(t *testing.T, node, command string) string {
	t.Helper()
	out, err := onNode(t, node, command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// listens is a port of the test's own on all addresses of the host, as the lab's is.
func listens(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

// gatewayOf is the host, as the node sees it.
func gatewayOf(t *testing.T, node string) string {
	t.Helper()
	return mustOnNode(t, node, "ip -4 route show default | cut -d ' ' -f 3")
}

// keepsFromTheHost fails where the node reaches the host.
func keepsFromTheHost(t *testing.T, node string) {
	t.Helper()
	host := []place{{"the host", gatewayOf(t, node), listens(t)}}
	unfiltered(t, []string{node}, func() {
		if len(reachedFrom(t, node, host)) == 0 {
			t.Errorf("%s does not reach the host without the filter, so nothing is proven", node)
		}
	})
	if found := reachedFrom(t, node, host); len(found) > 0 {
		t.Errorf("%s reaches %v", node, found)
	}
}

// startsFiltered fails where the node's pods may have run before the filter was in force.
func startsFiltered(t *testing.T, node string) {
	t.Helper()
	times := map[string]int{}
	for unit, property := range map[string]string{
		"netpol-lab-filter": "ActiveEnterTimestampMonotonic", "containerd": "ExecMainStartTimestampMonotonic", "kubelet": "ExecMainStartTimestampMonotonic",
	} {
		at, err := strconv.Atoi(mustOnNode(t, node, "systemctl show --property "+property+" --value "+unit))
		if err != nil || at == 0 {
			t.Fatalf("%s: %s did not start: %d, %v", node, unit, at, err)
		}
		times[unit] = at
	}
	if filter := times["netpol-lab-filter"]; filter > times["containerd"] || filter > times["kubelet"] {
		t.Errorf("%s: the units started at %v microseconds", node, times)
	}
}

// settle makes another sandbox, a service of somebody else's and one of the host's.
func settle(t *testing.T) neighbourhood {
	t.Helper()
	n := neighbourhood{somebody: shared.clusterPrefix() + "somebody"}
	n.gateway, n.port = gatewayOf(t, lab.booted.node()), listens(t)
	b, c, err := create(t.Context(), shared, "second", topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.second = c.(*laid)
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), shared.Delete(context.Background(), "second")); err != nil {
			t.Error(err)
		}
	})

	node, err := inspectContainer(t.Context(), lab.booted.node())
	if err != nil {
		t.Fatal(err)
	}
	network, _, err := node.network()
	if err != nil {
		t.Fatal(err)
	}
	if err := removeContainer(t.Context(), n.somebody); err != nil { // of a run that was cut off
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeContainer(context.Background(), n.somebody); err != nil {
			t.Error(err)
		}
	})
	if _, err := docker(t.Context(), "run", "--detach", "--name", n.somebody, "--network", network, "--cap-add", "NET_ADMIN", "--entrypoint", "sh",
		shared.opts.NodeImage, "-ec", fmt.Sprintf("ip address add %s/32 dev lo; exec busybox httpd -f -p %d -h /kind/terminal/etc", metadata, somebodyPort)); err != nil {
		t.Fatal(err)
	}
	found, err := inspectContainer(t.Context(), n.somebody)
	if err != nil {
		t.Fatal(err)
	}
	_, addr, err := found.network()
	if err != nil {
		t.Fatal(err)
	}
	n.somebodyAddr = addr.String()
	// So that no packet to that address leaves this machine.
	mustOnNode(t, lab.booted.node(), "ip route replace "+metadata+" via "+n.somebodyAddr)
	t.Cleanup(func() {
		if _, err := docker(context.Background(), "exec", lab.booted.node(), "ip", "route", "delete", metadata); err != nil {
			t.Error(err)
		}
	})
	return n
}

// place is a TCP port that a sandbox has no business with.
type place struct {
	what string
	addr string
	port int
}

// places are all that the shared cluster must not reach.
func (n neighbourhood) places(t *testing.T) []place {
	t.Helper()
	second := n.second.Addresses().Node.String()
	all := []place{
		{"another sandbox's API server", second, kubernetes.APIServerPort},
		{"another sandbox's kubelet", second, 10250},
		{"another sandbox's pod in its node's network", second, 9100},
		{"the host", n.gateway, n.port},
		{"somebody else's container", n.somebodyAddr, somebodyPort},
		{"a cloud's metadata", metadata, somebodyPort},
	}
	// The host by its other addresses.
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() && p.Addr().String() != n.gateway {
			all = append(all, place{"the host at " + p.Addr().String(), p.Addr().String(), n.port})
		}
	}
	return all
}

// sixes are places by IPv6; none where the network has none.
func (n neighbourhood) sixes(t *testing.T) []place {
	t.Helper()
	six := func(container, format string) string {
		addr, err := docker(t.Context(), "inspect", "--format", "{{range .NetworkSettings.Networks}}{{"+format+"}}{{end}}", container)
		if err != nil {
			t.Fatal(err)
		}
		return addr
	}
	second := six(n.second.booted.node(), ".GlobalIPv6Address")
	if second == "" {
		t.Log("there is no IPv6 in the nodes' network, so nothing is tried by it")
		return nil
	}
	return []place{
		{"another sandbox's API server by IPv6", second, kubernetes.APIServerPort},
		{"another sandbox's kubelet by IPv6", second, 10250},
		{"the host by IPv6", six(n.second.booted.node(), ".IPv6Gateway"), n.port},
	}
}

// unfiltered does something while no filter is in force on the nodes.
func unfiltered(t *testing.T, nodes []string, do func()) {
	t.Helper()
	defer func() {
		for _, node := range nodes {
			mustOnNode(t, node, "/usr/local/sbin/netpol-lab-filter")
		}
	}()
	for _, node := range nodes {
		mustOnNode(t, node, "nft delete table inet netpol_lab")
	}
	do()
}

// tried is a command that tries all places at the same time, and tells of those that
// there was a connection to.
func tried(places []place) string {
	var script strings.Builder
	for i, p := range places {
		fmt.Fprintf(&script, "{ %s && echo reached-%d; } 2>/dev/null & ", connects(p.addr, p.port), i)
	}
	return "( " + script.String() + "wait )"
}

// told are the places that tried has told of.
func told(places []place, out string) []place {
	var reached []place
	for i, p := range places {
		if slices.Contains(strings.Fields(out), fmt.Sprintf("reached-%d", i)) {
			reached = append(reached, p)
		}
	}
	return reached
}

// reachedFrom are the places that the container has a TCP connection to.
func reachedFrom(t *testing.T, container string, places []place) []place {
	t.Helper()
	out, err := docker(t.Context(), "exec", container, "bash", "-c", tried(places))
	if err != nil {
		t.Fatal(err)
	}
	return told(places, out)
}

// reachedFromPod are the places that the lab's pod has a TCP connection to.
func reachedFromPod(t *testing.T, namespace, pod string, places []place) []place {
	t.Helper()
	var requests strings.Builder
	for i, p := range places {
		line, err := json.Marshal(probe.Request{ID: uint64(i + 1), Kind: probe.Connect, Address: net.JoinHostPort(p.addr, strconv.Itoa(p.port)), TimeoutMillis: 2000})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&requests, "%s\n", line)
	}
	out, err := dockerInput(t.Context(), strings.NewReader(requests.String()), "exec", "--interactive", lab.booted.node(),
		"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "exec", "--stdin", "--namespace", namespace, pod, "--", "/netpol-probe", "dial")
	if err != nil {
		t.Fatal(err)
	}
	var reached []place
	answers := 0
	for line := range strings.Lines(out) {
		var response probe.Response
		if err := json.Unmarshal([]byte(line), &response); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if response.ID == 0 {
			continue
		}
		answers++
		if response.Verdict == probe.Open {
			reached = append(reached, places[response.ID-1])
		}
	}
	if answers != len(places) {
		t.Fatalf("%d of %d places were tried: %s", answers, len(places), out)
	}
	return reached
}

func TestConfined_a_sandbox_reaches_its_outside_hosts_and_nobody_else(t *testing.T) {
	n := settle(t)
	nodes := []string{lab.booted.node(), n.second.booted.node()}
	id := sandbox.ID("confined")
	s := openTerminal(t, manage(t, id), id)
	s.await(`lab\$ `, time.Minute)
	places, sixes := n.places(t), n.sixes(t)
	from := map[string]func([]place) []place{
		"a lab pod":                   func(all []place) []place { return reachedFromPod(t, "production", "web", all) },
		"a pod in the node's network": func(all []place) []place { return reachedFromPod(t, "monitoring", "node-agent", all) },
		"the node":                    func(all []place) []place { return reachedFrom(t, lab.booted.node(), all) },
		"the terminal": func(all []place) []place {
			out, _ := s.run(tried(all))
			return told(all, out)
		},
	}
	// The terminal's own policy holds it back already; here it is the filter that has to.
	mustOnNode(t, lab.booted.node(), "kubectl --kubeconfig=/etc/kubernetes/admin.conf delete networkpolicy -n "+kubernetes.TerminalNamespace+" --all")
	dns := []place{{"the cluster's DNS", lab.Addresses().DNS.String(), 53}}
	eventually(t, 10*time.Second, "nothing but the filter holds the terminal back", func() bool { return len(from["the terminal"](dns)) > 0 })
	unfiltered(t, nodes, func() {
		for who, reached := range from {
			if found := reached(places); !slices.Equal(ordered(found), ordered(places)) {
				t.Errorf("without the filter %s reaches %v; want all of %v, or nothing is proven", who, found, places)
			}
		}
		if found := reachedFrom(t, lab.booted.node(), sixes); len(found) != len(sixes) {
			t.Errorf("without the filter the node reaches %v; want all of %v, or nothing is proven", found, sixes)
		}
	})
	var own []place
	for _, x := range topology.External {
		for _, port := range x.Ports {
			if port.Protocol == sandbox.TCP {
				own = append(own, place{x.Name, x.Address.String(), port.Port})
			}
		}
	}
	for who, reached := range from {
		if found := reached(slices.Concat(places, own)); !slices.Equal(ordered(found), ordered(own)) {
			t.Errorf("%s reaches %v, want %v", who, found, own)
		}
	}
	if found := reachedFrom(t, lab.booted.node(), sixes); len(found) > 0 {
		t.Errorf("the node reaches %v", found)
	}
	expect(t, lab)
	// An outside host that there is no route to is not looked for beyond the host.
	beyond := slices.DeleteFunc(slices.Clone(places), func(p place) bool { return !strings.HasPrefix(p.what, "the host at ") })
	var listed []string
	for _, p := range beyond {
		listed = append(listed, p.addr)
	}
	mustOnNode(t, lab.booted.node(), "cp /run/netpol-lab/outside /run/before; echo '"+strings.Join(listed, ", ")+"' >/run/netpol-lab/outside; /usr/local/sbin/netpol-lab-filter")
	if found := reachedFrom(t, lab.booted.node(), beyond); len(listed) == 0 || len(found) > 0 {
		t.Errorf("as if they were outside hosts the node reaches %v of %v", found, beyond)
	}
	mustOnNode(t, lab.booted.node(), "mv /run/before /run/netpol-lab/outside; /usr/local/sbin/netpol-lab-filter")

	// From outside nobody comes in, whatever routes there are.
	node, pod := n.second.Addresses().Node.String(), n.second.Addresses().Pods["production/api"].String()
	if _, err := docker(t.Context(), "exec", n.somebody, "ip", "route", "add", pod, "via", node); err != nil {
		t.Fatal(err)
	}
	inside := []place{
		{"a pod", pod, 8080},
		{"the API server", node, kubernetes.APIServerPort},
		{"the kubelet", node, 10250},
		{"a pod in the node's network", node, 9100},
	}
	if len(sixes) > 0 {
		inside = append(inside, sixes[:2]...)
	}
	unfiltered(t, nodes, func() {
		if found := reachedFrom(t, n.somebody, inside); len(found) != len(inside) {
			t.Errorf("without the filter somebody reaches %v; want all of %v, or nothing is proven", found, inside)
		}
	})
	if found := reachedFrom(t, n.somebody, inside); len(found) > 0 {
		t.Errorf("of another sandbox somebody reaches %v", found)
	}
	if err := errors.Join(lab.Health(t.Context()), n.second.Health(t.Context())); err != nil {
		t.Error(err)
	}
}

// ordered are the places in an order of their own.
func ordered(places []place) []place {
	return slices.SortedFunc(slices.Values(places), func(a, b place) int { return strings.Compare(a.what, b.what) })
}

func TestConfined_nobody_outside_is_asked_for_a_name(t *testing.T) {
	dns := lab.Addresses().DNS.String()
	began := time.Now()
	out := mustOnNode(t, lab.booted.node(), "busybox nslookup example.org. "+dns+" 2>&1 || true")
	if took := time.Since(began); !strings.Contains(out, "NXDOMAIN") || took > 2*time.Second {
		t.Errorf("a name outside the cluster: %s, after %s; want NXDOMAIN at once", out, took)
	}
	if out, err := onNode(t, lab.booted.node(), "busybox nslookup kubernetes.default.svc.cluster.local. "+dns+" 2>&1"); err != nil {
		t.Errorf("a name in the cluster: %s, %v", out, err)
	}
	// Docker's DNS would tell of all other containers, and ask for whatever else.
	for _, name := range []string{"example.org.", lab.booted.node() + "."} {
		if out, err := onNode(t, lab.booted.node(), "timeout 5 busybox nslookup "+name+" $(sed -n 's/^nameserver //p' /etc/resolv.conf) 2>&1"); err == nil {
			t.Errorf("Docker's DNS answers a question for %s: %s", name, out)
		}
	}
}

func TestConfined_there_is_no_Docker_socket(t *testing.T) {
	mounts, err := docker(t.Context(), "inspect", "--format", `{{range .Mounts}}{{.Source}} {{end}}`, lab.booted.node())
	if err != nil || strings.Contains(mounts, "docker.sock") {
		t.Errorf("the node has %s, %v", mounts, err)
	}
	if found := mustOnNode(t, lab.booted.node(), "find / /run /var -xdev -name 'docker*.sock'"); found != "" {
		t.Errorf("on the node there is %s", found)
	}
	id := sandbox.ID("socket")
	s := openTerminal(t, manage(t, id), id)
	s.await(`lab\$ `, time.Minute)
	if out, code := s.run("busybox find / -name 'docker*.sock' 2>/dev/null | grep ."); code == 0 {
		t.Errorf("in the terminal there is %s", out)
	}
}

// scores are the programs' scores by which the kernel chooses what it ends.
func scores(t *testing.T, program string) []int {
	t.Helper()
	var found []int
	for _, line := range strings.Fields(mustOnNode(t, lab.booted.node(), "for p in $(pidof "+program+"); do cat /proc/$p/oom_score_adj; done")) {
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, n)
	}
	if len(found) == 0 {
		t.Fatalf("no %s runs", program)
	}
	return found
}

func TestConfined_a_node_has_limits_and_what_asks_for_more_is_ended_there(t *testing.T) {
	limits, err := docker(t.Context(), "inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.CpuShares}} {{.HostConfig.CpuQuota}} {{.HostConfig.PidsLimit}}", lab.booted.node())
	if err != nil || limits != "2147483648 512 400000 4096" {
		t.Errorf("memory, shares, quota and processes are %s, %v", limits, err)
	}
	pods := slices.Min(append(scores(t, "netpol-probe"), scores(t, "coredns")...))
	for _, program := range []string{"etcd", "kube-apiserver", "kubelet", "containerd"} {
		if most := slices.Max(scores(t, program)); most >= pods {
			t.Errorf("%s has score %d, a pod %d: it may be ended first", program, most, pods)
		}
	}
	// Three times what is left, asked for by what is to be ended first.
	out, err := onNode(t, lab.booted.node(), "echo 1000 >/proc/self/oom_score_adj; exec busybox awk 'BEGIN { s = \"x\"; while (length(s) < 5000000000) s = s s; print length(s) }'")
	if err == nil {
		t.Errorf("there was memory for it: %s", out)
	}
	if err := lab.Health(t.Context()); err != nil {
		t.Error(err)
	}
	expect(t, lab)

	now, err := strconv.Atoi(mustOnNode(t, lab.booted.node(), "cat /sys/fs/cgroup/pids/pids.current 2>/dev/null || cat /sys/fs/cgroup/pids.current"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d processes and threads", now)
	t.Cleanup(func() {
		if err := shared.limit(context.Background(), lab.booted.name); err != nil {
			t.Error(err)
		}
	})
	if _, err := docker(t.Context(), "update", "--pids-limit", strconv.Itoa(now+100), lab.booted.node()); err != nil {
		t.Fatal(err)
	}
	if out, err := onNode(t, lab.booted.node(), "busybox sh -ec 'for i in $(seq 200); do sleep 5 & done'"); err == nil {
		t.Errorf("200 processes were begun where there was room for 100: %s", out)
	}
}

func TestConfined_a_fork_bomb_and_a_hog_in_the_terminal_end_there(t *testing.T) {
	id := sandbox.ID("bomb")
	m := manage(t, id)
	s := openTerminal(t, m, id)
	s.await(`lab\$ `, time.Minute)
	if out, code := s.run("busybox awk 'BEGIN { s = \"x\"; while (length(s) < 600000000) s = s s }'"); code == 0 {
		t.Errorf("600 MB of memory were there: %s", out)
	}
	s.typed("bomb() { bomb | bomb & }; bomb 2>/dev/null\n")
	processes := func() int {
		out := mustOnNode(t, lab.booted.node(), "for p in /proc/[0-9]*; do stat -c %u $p 2>/dev/null; done | grep -c '^65533$' || true")
		n, err := strconv.Atoi(out)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, 30*time.Second, "the bomb has all that it can get", func() bool { return processes() > 200 })
	// Meanwhile the sandbox is as it was.
	began := time.Now()
	if err := lab.Health(t.Context()); err != nil {
		t.Error(err)
	}
	expect(t, lab)
	t.Logf("every flow was seen open within %s beside it", time.Since(began).Round(time.Millisecond))
	if n := processes(); n > 256 {
		t.Errorf("the terminal has %d processes", n)
	}
	// The next shell ends all that the last one has left.
	s.typed("exit\n")
	for {
		if _, err := s.view.Next(t.Context()); err != nil {
			break
		}
	}
	again := openTerminal(t, m, id)
	again.await(`lab\$ `, time.Minute)
	if n := processes(); n > 10 {
		t.Errorf("in the next shell's pod there are %d processes", n)
	}
}
