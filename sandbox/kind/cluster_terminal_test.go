//go:build integration

package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// terminal is a sandbox's terminal as a test types into it.
type terminal struct {
	t    *testing.T
	view *sandbox.TerminalView
	seen strings.Builder
	read int
}

// runs numbers the commands, so that none is taken for one of an earlier look.
var runs int

// manage adopts the shared cluster, as the server does after a restart.
func manage(t *testing.T, id sandbox.ID) *sandbox.Manager {
	t.Helper()
	m, err := sandbox.NewManager(sandbox.Options{
		Provider: adopting{}, Records: recorded(t, id), Lab: func(context.Context, string, string) (*sandbox.Topology, error) { return topology, nil }, Log: testLog(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// openTerminal opens the sandbox's terminal as soon as the sandbox is ready.
func openTerminal(t *testing.T, m *sandbox.Manager, id sandbox.ID) *terminal {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		view, err := m.Terminal(t.Context(), id, sandbox.TerminalSize{Columns: 200, Rows: 50})
		if err == nil {
			t.Cleanup(view.Close)
			return &terminal{t: t, view: view}
		}
		if !errors.Is(err, sandbox.ErrNotReady) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// await reads on until the pattern is in what was not awaited before.
func (s *terminal) await(pattern string, limit time.Duration) []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	wanted := regexp.MustCompile(pattern)
	for {
		news := s.seen.String()[s.read:]
		if at := wanted.FindStringSubmatchIndex(news); at != nil {
			found := wanted.FindStringSubmatch(news)
			s.read += at[1]
			return found
		}
		p, err := s.view.Next(ctx)
		if err != nil {
			s.t.Fatalf("no %s: %v; there is\n%s", pattern, err, news)
		}
		s.seen.Write(p)
	}
}

func (s *terminal) typed(text string) {
	s.t.Helper()
	for len(text) > 0 {
		piece := text[:min(len(text), 1000)]
		text = text[len(piece):]
		if err := s.view.Type(s.t.Context(), []byte(piece)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// run types the command, and returns what it wrote and the code it ended with. The
// command's echo does not look like its end.
func (s *terminal) run(command string) (string, int) {
	s.t.Helper()
	runs++
	s.typed(fmt.Sprintf(" echo 'beg''in-%d'; { %s\n} 2>&1; echo \"e\"\"nd-%d-$?-\"\n", runs, command, runs))
	found := s.await(fmt.Sprintf(`(?s)begin-%d\r\n(.*)end-%d-(\d+)-`, runs, runs), time.Minute)
	code, err := strconv.Atoi(found[2])
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.ReplaceAll(found[1], "\r\n", "\n"), code
}

func TestTerminal_is_made_on_first_use_and_what_kubectl_does_there_is_a_change_of_the_lab(t *testing.T) {
	before, err := docker(t.Context(), "exec", lab.booted.node(), "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "namespace", "-o", "name")
	if err != nil || strings.Contains(before, kubernetes.TerminalNamespace) {
		t.Fatalf("a sandbox that nobody opened a terminal in has %s, %v", before, err)
	}
	id := sandbox.ID("terminal")
	m := manage(t, id)
	sub, err := m.Subscribe(id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	eventOf(t, sub, func(e sandbox.Event) bool { return e.Settled != nil || e.Snapshot != nil && e.Snapshot.Settled != nil })
	began := time.Now()
	s := openTerminal(t, m, id)
	s.await(`lab\$ `, time.Minute)
	t.Logf("the first terminal had its prompt after %s", time.Since(began).Round(time.Millisecond))

	if out, code := s.run("kubectl get pods,services,networkpolicies -n production"); code != 0 || !strings.Contains(out, "pod/api") || !strings.Contains(out, "service/api") {
		t.Errorf("kubectl get: %d, %s", code, out)
	}
	if out, code := s.run("kubectl get namespaces --show-labels"); code != 0 || !strings.Contains(out, "production") {
		t.Errorf("kubectl get namespaces: %d, %s", code, out)
	}
	if out, code := s.run("probe --from production/web production/api 8080"); code != 0 || !strings.Contains(out, "production/api answered") {
		t.Errorf("probe of an open flow: %d, %s", code, out)
	}
	s.typed("cat >deny.yaml <<'EOF'\n" + sandboxtest.DenyProduction + "EOF\n")
	if out, code := s.run("kubectl apply -f deny.yaml"); code != 0 || !strings.Contains(out, "created") {
		t.Fatalf("kubectl apply: %d, %s", code, out)
	}
	change := eventOf(t, sub, func(e sandbox.Event) bool { return e.Policies != nil }).Policies
	if change.Origin != sandbox.OriginCluster || len(change.Added) != 1 || change.Added[0].Name != "default-deny-all" {
		t.Errorf("the change is told as %+v", change)
	}
	if settled := eventOf(t, sub, func(e sandbox.Event) bool { return e.Settled != nil }).Settled; settled.Flips == 0 {
		t.Error("no flow turned")
	}
	if out, code := s.run("probe --from production/web production/api 8080"); code != 1 || !strings.HasPrefix(out, "blocked: ") {
		t.Errorf("probe of a blocked flow: %d, %s", code, out)
	}
	if out, code := s.run("PROBE_FROM=production/web probe api.production 80"); code != 1 || !strings.HasPrefix(out, "dns-failed: ") {
		t.Errorf("probe by a name that DNS may not be asked for: %d, %s", code, out)
	}
	if out, code := s.run(`kubectl create -f - <<'EOF'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: typo, namespace: production}
spec: {podSelektor: {}}
EOF`); code == 0 || !strings.Contains(out, "podSelektor") {
		t.Errorf("a field that does not exist: %d, %s", code, out)
	}
	if out, code := s.run("kubectl delete networkpolicy default-deny-all -n production"); code != 0 {
		t.Errorf("kubectl delete: %d, %s", code, out)
	}
	if change := eventOf(t, sub, func(e sandbox.Event) bool { return e.Policies != nil }).Policies; len(change.Removed) != 1 {
		t.Errorf("the removal is told as %+v", change)
	}
	expect(t, lab)
}

func TestTerminal_an_account_of_its_own_may_read_the_lab_and_handle_its_policies_and_nothing_else(t *testing.T) {
	id := sandbox.ID("attempts")
	s := openTerminal(t, manage(t, id), id)
	s.await(`lab\$ `, time.Minute)
	for _, command := range []string{
		"kubectl get secrets -n production",
		"kubectl get secrets -A",
		"kubectl get configmaps -n production",
		"kubectl get pods -A",
		"kubectl get pods -n kube-system",
		"kubectl get pods -n " + kubernetes.SystemNamespace,
		"kubectl get pods -n " + kubernetes.TerminalNamespace,
		"kubectl get serviceaccounts -n production",
		"kubectl get roles -n production",
		"kubectl get nodes",
		"kubectl get events -n production",
		"kubectl logs -n production web",
		"kubectl run mine --image=" + defaultPodImageInNode + " -n production",
		"kubectl run mine --image=" + defaultPodImageInNode + " -n " + kubernetes.TerminalNamespace,
		"kubectl create deployment mine --image=" + defaultPodImageInNode + " -n production",
		"kubectl delete pod web -n production",
		"kubectl label pod web -n production app=other --overwrite",
		"kubectl label namespace production environment=other --overwrite",
		"kubectl create namespace mine",
		"kubectl delete service api -n production",
		"kubectl exec -n production web -- /netpol-probe dial",
		"kubectl exec -n " + kubernetes.TerminalNamespace + " terminal -- id",
		"kubectl attach -n production web",
		"kubectl port-forward -n production pod/web 8080:8080",
		"kubectl debug -n production web --image=" + defaultPodImageInNode,
		"kubectl create token default -n production",
		"kubectl create token " + kubernetes.PoliciesAccount + " -n " + kubernetes.SystemNamespace,
		"kubectl create rolebinding mine -n production --clusterrole=cluster-admin --serviceaccount=" + kubernetes.TerminalNamespace + ":terminal",
		"kubectl create clusterrolebinding mine --clusterrole=cluster-admin --serviceaccount=" + kubernetes.TerminalNamespace + ":terminal",
		"kubectl get pods -n production --as=system:admin",
		"kubectl get pods -n production --as=x --as-group=system:masters",
		"kubectl get networkpolicies -n kube-system",
		"kubectl delete networkpolicy canary -n " + kubernetes.SystemNamespace,
		"kubectl delete networkpolicy api-server-alone -n " + kubernetes.TerminalNamespace,
		"kubectl create -n kube-system -f - <<'EOF'\n" + strings.ReplaceAll(sandboxtest.DenyProduction, "namespace: production", "namespace: kube-system") + "EOF",
		"kubectl create -f - <<'EOF'\napiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\nmetadata: {name: default.mine}\nspec: {}\nEOF",
		"kubectl get --raw /api/v1/nodes/" + lab.booted.node() + "/proxy/pods",
		"kubectl get --raw /api/v1/namespaces/production/pods/web:8080/proxy/",
		"kubectl get --raw /api/v1/namespaces/production/services/api:8080/proxy/",
		"kubectl get --raw /metrics",
		"kubectl get --raw /logs/",
	} {
		out, code := s.run(command)
		if code == 0 || !strings.Contains(strings.ToLower(out), "forbidden") {
			t.Errorf("%s: ended with %d, want it forbidden:\n%s", command, code, out)
		}
	}
	// By a token of the API's own making there is nothing more than what stands here.
	out, code := s.run("kubectl auth can-i --list --no-headers -n production | grep -v '^ ' | awk '{print $1}' | LC_ALL=C sort")
	want := `endpoints
endpointslices.discovery.k8s.io
namespaces
networkpolicies.networking.k8s.io
pods
selfsubjectaccessreviews.authorization.k8s.io
selfsubjectreviews.authentication.k8s.io
selfsubjectrulesreviews.authorization.k8s.io
services
`
	if code != 0 || out != want {
		t.Errorf("it may handle\n%s\nwant\n%s", out, want)
	}
}

// connects is a command that ends with 0 where there is a TCP connection.
func connects(addr string, port int) string {
	return fmt.Sprintf("timeout 3 bash -c 'exec 3<>/dev/tcp/%s/%d'", addr, port)
}

func TestTerminal_its_pod_reaches_the_API_server_and_nothing_else(t *testing.T) {
	id := sandbox.ID("network")
	s := openTerminal(t, manage(t, id), id)
	s.await(`lab\$ `, time.Minute)

	booted, second, err := create(t.Context(), shared, "second", topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(booted.Close(), shared.Delete(context.Background(), "second")); err != nil {
			t.Error(err)
		}
	}()
	addresses := lab.Addresses()
	node := addresses.Node.String()
	// The host, as a container sees it: a listener of the test's own.
	gateway, err := docker(t.Context(), "exec", lab.booted.node(), "sh", "-c", "ip -4 route show default | cut -d ' ' -f 3")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	// What stands at the address where clouds tell machines about themselves: in the
	// node, so that no packet leaves it.
	if _, err := docker(t.Context(), "exec", lab.booted.node(), "sh", "-ec",
		"ip address add "+metadata+"/32 dev lo; /bin/busybox httpd -p "+metadata+":80 -h /kind/terminal/etc"); err != nil {
		t.Fatal(err)
	}
	defer docker(context.Background(), "exec", lab.booted.node(), "ip", "address", "delete", metadata+"/32", "dev", "lo")

	outside := topology.External[0]
	type attempt struct {
		what string
		addr string
		port int
	}
	attempts := []attempt{
		{"the node's kubelet", node, 10250},
		{"the node's etcd", node, 2379},
		{"the cluster's DNS by TCP", addresses.DNS.String(), 53},
		{"an outside host", outside.Address.String(), outside.Ports[0].Port},
		{"another sandbox's API server", second.Addresses().Node.String(), kubernetes.APIServerPort},
		{"another sandbox's kubelet", second.Addresses().Node.String(), 10250},
		{"the host", gateway, listener.Addr().(*net.TCPAddr).Port},
		{"a cloud's metadata", metadata, 80},
	}
	for name, addr := range map[string]netip.Addr{"production/api": addresses.Pods["production/api"], "the Service production/api": addresses.Services["production/api"]} {
		attempts = append(attempts, attempt{name, addr.String(), 8080})
	}
	if out, code := s.run(connects(node, kubernetes.APIServerPort)); code != 0 {
		t.Fatalf("the API server is not reached: %s", out)
	}
	// From the node each is there to be reached, where nothing keeps it from the others.
	unfiltered(t, []string{lab.booted.node(), second.(*laid).booted.node()}, func() {
		for _, a := range attempts {
			if out, err := docker(t.Context(), "exec", lab.booted.node(), "bash", "-c", connects(a.addr, a.port)); err != nil {
				t.Errorf("%s: %s:%d cannot be reached from the node, so that proves nothing: %s %v", a.what, a.addr, a.port, out, err)
			}
		}
	})
	for _, a := range attempts {
		if out, code := s.run(connects(a.addr, a.port)); code == 0 {
			t.Errorf("%s: %s:%d is reached from the terminal: %s", a.what, a.addr, a.port, out)
		}
	}
	// Nor by UDP: nothing is resolved.
	if out, code := s.run("timeout 5 busybox nslookup kubernetes.default.svc.cluster.local " + addresses.DNS.String()); code == 0 {
		t.Errorf("the cluster's DNS answers the terminal: %s", out)
	}
	if out, code := s.run("timeout 3 busybox ping -c 1 " + addresses.Pods["production/api"].String()); code == 0 {
		t.Errorf("a pod answers the terminal's ping: %s", out)
	}
	// The command probe reaches nothing but the lab, either.
	for _, target := range []string{gateway + " 22", node + " 10250", node + " 6443", metadata + " 80", "monitoring/node-agent 10250", "kubernetes.default 443", "example.com 80", second.Addresses().Node.String() + " 6443"} {
		if out, code := s.run("probe --from production/web " + target); code != 2 {
			t.Errorf("probe of %s: ended with %d: %s", target, code, out)
		}
	}
	// And nobody reaches the terminal.
	s.run("busybox nc -l -p 8888 >/dev/null 2>&1 </dev/null & sleep 0.5")
	ip, code := s.run("busybox hostname -i")
	addr, err := netip.ParseAddr(strings.TrimSpace(ip))
	if code != 0 || err != nil {
		t.Fatalf("the terminal's address: %q, %v", ip, err)
	}
	if out, code := s.run("netstat -ltn | grep 8888 || busybox netstat -ltn"); code != 0 || !strings.Contains(out, "8888") {
		t.Fatalf("nothing listens in the terminal: %s", out)
	}
	if verdict := dialFrom(t, "production", "web", netip.AddrPortFrom(addr, 8888)); verdict != probe.Blocked {
		t.Errorf("from a lab pod the terminal is %s", verdict)
	}
}

// dialFrom has the pod's probe dial the address.
func dialFrom(t *testing.T, namespace, pod string, addr netip.AddrPort) probe.Verdict {
	t.Helper()
	request, err := json.Marshal(probe.Request{Kind: probe.DialTCP, Address: addr.String(), TimeoutMillis: 2000})
	if err != nil {
		t.Fatal(err)
	}
	out, err := dockerInput(t.Context(), strings.NewReader(string(request)+"\n"), "exec", "--interactive", lab.booted.node(),
		"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "exec", "--stdin", "--namespace", namespace, pod, "--", "/netpol-probe", "dial")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var response probe.Response
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &response); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return response.Verdict
}

func TestTerminal_its_pod_has_no_privileges_and_little_of_everything(t *testing.T) {
	id := sandbox.ID("bounds")
	s := openTerminal(t, manage(t, id), id)
	s.await(`lab\$ `, time.Minute)
	out, _ := s.run("cat /proc/self/status")
	for _, want := range []string{"Uid:\t65533", "Gid:\t65533", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, command := range []string{
		"touch /here", "touch /usr/bin/here", "touch /var/run/secrets/lab/token", "busybox mount -t tmpfs none /tmp",
		"busybox unshare -U true", "busybox mknod /tmp/disk b 8 0", "busybox chroot / true", "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
		"ls /kind", "ls /etc/kubernetes", "busybox nsenter -t 1 -m true", "kill -9 1 && ! sleep 1",
	} {
		if out, code := s.run(command); code == 0 {
			t.Errorf("%s: done: %s", command, out)
		}
	}
	if out, code := s.run("head -c 40000000 /dev/zero >/tmp/much"); code == 0 {
		t.Errorf("40 MB are kept in /tmp: %s", out)
	}
	s.run("rm -f /tmp/much")
	if out, code := s.run("head -c 20000000 /dev/zero >$HOME/much"); code == 0 {
		t.Errorf("20 MB are kept at home: %s", out)
	}
	s.run("rm -f $HOME/much")
	// More memory than there is for it costs what asks for it, not the shell.
	if out, code := s.run("busybox awk 'BEGIN { s = \"x\"; while (length(s) < 600000000) s = s s }'"); code == 0 {
		t.Errorf("600 MB of memory were there: %s", out)
	}
	// Nor do processes without end.
	s.run("busybox sh -c 'for i in $(seq 400); do sleep 60 & done' >/tmp/said 2>&1")
	// What follows starts no process, for there is no room for one.
	out, _ = s.run("set -- /proc/[0-9]*; echo $#")
	if n, err := strconv.Atoi(strings.TrimSpace(out)); err != nil || n < 200 || n > 260 {
		t.Errorf("400 processes were asked for, and there are %s", out)
	}
	out, code := s.run(`for p in /proc/[0-9]*; do p=${p#/proc/}; case $p in 1|$$) ;; *) kill -9 $p ;; esac; done; echo still here`)
	if code != 0 || !strings.Contains(out, "still here") {
		t.Errorf("the shell is gone: %d, %s", code, out)
	}
}

func TestTerminal_its_shell_does_what_shells_must(t *testing.T) {
	sandboxtest.TestShell(t, lab)
}

func TestTerminal_keeps_the_shell_for_who_comes_back_and_ends_with_it_all_that_it_ran(t *testing.T) {
	id := sandbox.ID("again")
	m := manage(t, id)
	s := openTerminal(t, m, id)
	s.await(`lab\$ `, time.Minute)
	s.run("kept=here; sleep 4242 &")
	s.view.Close()
	again := openTerminal(t, m, id)
	if out, _ := again.run("echo $kept"); out != "here\n" {
		t.Errorf("the shell is another: %q", out)
	}
	if !strings.Contains(again.seen.String(), "kept=here") {
		t.Error("what was on the screen before is not kept")
	}
	// A second place takes it from the first.
	third := openTerminal(t, m, id)
	for {
		_, err := again.view.Next(t.Context())
		if err != nil {
			if !errors.Is(err, sandbox.ErrTerminalElsewhere) {
				t.Errorf("the first place is told %v", err)
			}
			break
		}
	}
	// A flood is passed on no faster than it can be, and the shell still listens.
	third.typed("yes flood\n")
	third.await("flood", time.Minute)
	began, size := time.Now(), 0
	for time.Since(began) < 2*time.Second {
		p, err := third.view.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		size += len(p)
	}
	t.Logf("yes wrote %d kB a second", size/int(time.Since(began).Milliseconds()))
	if size > 3<<20 {
		t.Errorf("%d bytes in two seconds", size)
	}
	third.typed("\x03")
	third.await(`\^C[\s\S]*lab\$ `, time.Minute)
	third.typed("exit\n")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if _, err := third.view.Next(ctx); err != nil {
			if !errors.Is(err, sandbox.ErrTerminalEnded) {
				t.Errorf("after exit: %v", err)
			}
			break
		}
	}
	// The next one is a new shell, with the history of the last.
	fourth := openTerminal(t, m, id)
	fourth.await(`lab\$ `, time.Minute)
	if out, _ := fourth.run("ps -o args | grep -c '[s]leep 4242'; history | grep -c '[0-9]  yes flood$'"); out != "0\n1\n" {
		t.Errorf("sleeps, and lines of history: %q", out)
	}
}
