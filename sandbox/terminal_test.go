package sandbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// terminal opens the sandbox's terminal.
func (l *lab) terminal(id sandbox.ID) *view {
	l.t.Helper()
	v, err := l.Terminal(l.t.Context(), id, sandbox.TerminalSize{Columns: 80, Rows: 24})
	if err != nil {
		l.t.Fatal(err)
	}
	return &view{l.t, v}
}

// view is a terminal as one looks at it.
type view struct {
	t *testing.T
	*sandbox.TerminalView
}

// text is what the terminal shows by the time that nothing moves any more.
func (v *view) text() string {
	v.t.Helper()
	var text strings.Builder
	for {
		ctx, cancel := context.WithTimeout(v.t.Context(), 3*time.Second)
		p, err := v.Next(ctx)
		cancel()
		text.Write(p)
		if errors.Is(err, context.DeadlineExceeded) {
			return text.String()
		}
		if err != nil {
			v.t.Fatalf("%v after %q", err, text.String())
		}
	}
}

// end is why there is no more to be seen.
func (v *view) end() error {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 3*time.Hour)
	defer cancel()
	for {
		if _, err := v.Next(ctx); err != nil {
			return err
		}
	}
}

func (v *view) typed(text string) {
	v.t.Helper()
	if err := v.Type(v.t.Context(), []byte(text)); err != nil {
		v.t.Fatal(err)
	}
}

// shows types the command, and returns what came of it.
func (v *view) shows(command string) string {
	v.t.Helper()
	v.typed(command + "\n")
	return strings.TrimSuffix(strings.TrimPrefix(v.text(), command+"\r\n"), "lab$ ")
}

func TestTerminal_who_comes_back_finds_the_shell_and_what_it_wrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		first := l.terminal(id)
		if got := first.text(); got != "lab$ " {
			t.Errorf("it begins with %q", got)
		}
		if got := first.shows("stty size"); got != "24 80\r\n" {
			t.Errorf("the size is %q", got)
		}
		first.Resize(sandbox.TerminalSize{Columns: 100_000, Rows: -1})
		if got := first.shows("stty size"); got != "1 500\r\n" {
			t.Errorf("a size out of bounds is %q", got)
		}
		first.Close()
		time.Sleep(9 * time.Minute)
		again := l.terminal(id)
		if got := again.text(); got != "lab$ stty size\r\n24 80\r\nlab$ stty size\r\n1 500\r\nlab$ " {
			t.Errorf("there is %q", got)
		}
		if err := first.Type(t.Context(), []byte("x")); !errors.Is(err, sandbox.ErrTerminalElsewhere) {
			t.Errorf("who has left may type: %v", err)
		}
	})
}

func TestTerminal_a_second_place_takes_it_from_the_first(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		first := l.terminal(id)
		first.text()
		second := l.terminal(id)
		if err := first.end(); !errors.Is(err, sandbox.ErrTerminalElsewhere) {
			t.Errorf("the first is told %v", err)
		}
		first.Close() // changes nothing for the second
		time.Sleep(11 * time.Minute)
		second.text()
		if got := second.shows("echo here"); got != "here\r\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestTerminal_a_shell_that_nobody_uses_is_ended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) { o.Idle = 24 * time.Hour })
		defer l.Close()
		id := l.ready("ann")
		v := l.terminal(id)
		began := time.Now()
		time.Sleep(30 * time.Minute)
		v.typed("echo here\n")
		if err := v.end(); !errors.Is(err, sandbox.ErrTerminalIdle) || time.Since(began) != 90*time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		again := l.terminal(id)
		if got := again.text(); got != "lab$ " {
			t.Errorf("the next shell begins with %q", got)
		}
		again.Close()
		time.Sleep(10*time.Minute + time.Second)
		if got := l.terminal(id).text(); got != "lab$ " {
			t.Errorf("a shell that was alone for too long has %q", got)
		}
	})
}

func TestTerminal_after_exit_there_is_a_new_shell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		v := l.terminal(id)
		v.typed("exit\n")
		if err := v.end(); !errors.Is(err, sandbox.ErrTerminalEnded) || errors.Is(err, sandbox.ErrTerminalIdle) {
			t.Errorf("told %v", err)
		}
		if err := v.Type(t.Context(), []byte("x")); !errors.Is(err, sandbox.ErrTerminalEnded) {
			t.Errorf("typed into what has ended: %v", err)
		}
		if got := l.terminal(id).text(); got != "lab$ " {
			t.Errorf("the next begins with %q", got)
		}
	})
}

func TestTerminal_ends_with_its_sandbox_and_with_the_server(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		stopped, lost, closed := l.ready("ann"), l.ready("bob"), l.ready("eve")
		views := map[string]*view{"stopped": l.terminal(stopped), "lost": l.terminal(lost), "closed": l.terminal(closed)}
		if err := l.Stop(stopped); err != nil {
			t.Fatal(err)
		}
		l.cluster(lost).LoseNode()
		for _, what := range []string{"stopped", "lost"} {
			if err := views[what].end(); !errors.Is(err, sandbox.ErrNotReady) {
				t.Errorf("%s: told %v", what, err)
			}
		}
		if _, err := l.Terminal(t.Context(), lost, sandbox.TerminalSize{}); !errors.Is(err, sandbox.ErrNotReady) {
			t.Errorf("opened in a sandbox that is gone: %v", err)
		}
		l.Close()
		if err := views["closed"].end(); !errors.Is(err, sandbox.ErrNotReady) {
			t.Errorf("closed: told %v", err)
		}
	})
}

func TestTerminal_there_is_none_before_the_sandbox_is_ready_and_none_where_the_provider_has_none(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, sandboxtest.Never())
		defer l.Close()
		if _, err := l.Terminal(t.Context(), l.create("ann"), sandbox.TerminalSize{}); !errors.Is(err, sandbox.ErrNotReady) {
			t.Errorf("before it is ready: %v", err)
		}
		if _, err := l.Terminal(t.Context(), "nobody", sandbox.TerminalSize{}); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("of no sandbox: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := &sandboxtest.Provider{}
		l := newLab(t, p, func(o *sandbox.Options) {
			o.Provider = sandboxtest.Wrapping{Provider: p, Wrap: func(c sandbox.Cluster) sandbox.Cluster { return struct{ sandbox.Cluster }{c} }}
		})
		defer l.Close()
		if _, err := l.Terminal(t.Context(), l.ready("ann"), sandbox.TerminalSize{}); !errors.Is(err, sandbox.ErrNoTerminal) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTerminal_a_flood_is_slowed_down_and_its_end_is_kept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		v := l.terminal(id)
		v.typed("yes\n")
		size := 0
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		for {
			p, err := v.Next(ctx)
			if err != nil {
				break
			}
			size += len(p)
		}
		cancel()
		if size < 4<<20 || size > 6<<20 {
			t.Errorf("ten seconds of yes are %d kB, want about 5,000", size>>10)
		}
		// Who does not read makes it wait.
		time.Sleep(time.Minute)
		ctx, cancel = context.WithTimeout(t.Context(), time.Nanosecond)
		size = 0
		for {
			p, err := v.Next(ctx)
			if err != nil {
				break
			}
			size += len(p)
		}
		cancel()
		if size > 192<<10 {
			t.Errorf("%d kB were written ahead of who reads", size>>10)
		}
		v.typed("\x03")
		if text := v.text(); !strings.HasSuffix(text, "^C\r\nlab$ ") {
			t.Errorf("after Control-C: %q", text[max(0, len(text)-100):])
		}
		if text := l.terminal(id).text(); len(text) != 256<<10 || !strings.HasSuffix(text, "^C\r\nlab$ ") {
			t.Errorf("%d kB are kept", len(text)>>10)
		}
	})
}

func TestTerminal_probe_tries_what_is_the_labs_and_nothing_else(t *testing.T) {
	lesson, err := sandbox.ParseTopology([]byte(probedYAML))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l := &lab{t: t, provider: &sandboxtest.Provider{}, records: &sandboxtest.Records{}, topology: lesson, log: &logBuffer{}}
		l.start()
		defer l.Close()
		id := l.ready("ann")
		v := l.terminal(id)
		v.text()
		addresses, err := l.Addresses(id)
		if err != nil {
			t.Fatal(err)
		}
		for command, want := range map[string]string{
			"probe --from shop/web shop/api 8080":                                    "open: shop/web to shop/api:8080/TCP in ",
			"probe shop/api 8080 --from=shop/web":                                    "open: shop/web to shop/api:8080/TCP in ",
			"probe -f shop/web -u shop/api 9090":                                     "open: shop/web to shop/api:9090/UDP in ",
			"probe --from shop/web shop-api 80":                                      "open: shop/web to shop-api.shop:80/TCP in ",
			"probe --from ops/shell shop-api.shop:80":                                "open: ops/shell to shop-api.shop:80/TCP in ",
			"probe --from ops/shell http://shop-api.shop/":                           "open: ops/shell to shop-api.shop:80/TCP in ",
			"probe --from ops/shell shop-api.shop.svc 80":                            "open: ops/shell to shop-api.shop:80/TCP in ",
			"probe --from ops/shell shop-api.shop.svc.cluster.local. 80":             "open: ops/shell to shop-api.shop:80/TCP in ",
			"probe --from shop/web internet 443":                                     "open: shop/web to internet:443/TCP in ",
			"probe --from shop/web kube-dns.kube-system 53":                          "open: shop/web to kube-system/kube-dns:53/TCP in ",
			"probe --from shop/web " + addresses.Pods["shop/api"].String() + " 8080": "open: shop/web to shop/api:8080/TCP in ",

			"probe":                                                       "probe tries one connection",
			"probe --help":                                                "probe tries one connection",
			"probe shop/api 8080":                                         "probe: say from which pod: probe --from shop/web shop/api 8080",
			"probe --from":                                                "probe: --from wants a pod: --from shop/web",
			"probe --from shop/other shop/api 8080":                       `probe: "shop/other" is no pod of the lab`,
			"probe --from shop/web shop/api":                              "probe: want a port",
			"probe --from shop/web shop/api 0":                            `probe: "0" is no port`,
			"probe --from shop/web shop/api http":                         `probe: "http" is no port`,
			"probe --from shop/web shop/api:80 80":                        `probe: "shop/api:80" names a port`,
			"probe --from shop/web a b c":                                 "probe: want a target and a port",
			"probe --from shop/web --loud shop/api 80":                    `probe: there is no option "--loud"`,
			"probe --from shop/web shop/web 8080":                         "probe: shop/web would talk to itself",
			"probe --from shop/web shop-api 8080":                         "probe: the Service shop-api.shop has no port 8080/TCP; it has 80/TCP",
			"probe --from ops/shell shop-api 80":                          `probe: "shop-api" is none of the lab's`,
			"probe --from shop/web example.com 80":                        `probe: "example.com" is none of the lab's`,
			"probe --from shop/web kubernetes.default 443":                `probe: "kubernetes.default" is none of the lab's`,
			"probe --from shop/web 127.0.0.1 22":                          "probe: 127.0.0.1 is no address of the lab's",
			"probe --from shop/web 169.254.169.254 80":                    "probe: 169.254.169.254 is no address of the lab's",
			"probe --from shop/web " + addresses.Node.String() + " 10250": "probe: " + addresses.Node.String() + " is no address of the lab's",
			"probe --from shop/web ops/agent 10250":                       "probe: ops/agent has the node's network",
			"probe --from shop/web kube-dns.kube-system 8080":             "probe: the cluster's DNS service serves 53 and 9153",
		} {
			if got := v.shows(command); !strings.HasPrefix(got, want) {
				t.Errorf("%s: got %q, want %q", command, got, want)
			}
		}
		if usage := v.shows("probe"); !strings.Contains(usage, "  shop-api.shop 80\r\n") || !strings.Contains(usage, "  internet 443\r\n") || !strings.Contains(usage, "PROBE_FROM=shop/web\r\n  probe shop/api 8080\r\n") {
			t.Errorf("the usage is\n%s", usage)
		}
		if _, err := l.Apply(t.Context(), id, []byte(strings.ReplaceAll(denyAll, "production", "shop"))); err != nil {
			t.Fatal(err)
		}
		for command, want := range map[string]string{
			"probe --from shop/web shop/api 8080": "blocked: shop/web to shop/api:8080/TCP; no answer within 1s\r\n",
			"probe --from shop/web shop-api 80":   "dns-failed: shop/web to shop-api.shop:80/TCP; ",
		} {
			if got := v.shows(command); !strings.HasPrefix(got, want) {
				t.Errorf("%s: got %q, want %q", command, got, want)
			}
		}
		// A loop is slowed down: a burst, and then ten a second.
		began := time.Now()
		v.typed(strings.Repeat("probe --from ops/shell ops/agent 9100\n", 130))
		for seen := ""; strings.Count(seen, "open: ops/shell") < 130; {
			p, err := v.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seen += string(p)
		}
		if took := time.Since(began); took < 9*time.Second || took > 20*time.Second {
			t.Errorf("130 probes took %s", took)
		}
	})
}

const probedYAML = `
name: small
namespaces:
- name: shop
  pods:
  - {name: web, labels: {app: web}, ports: [{port: 8080}]}
  - {name: api, labels: {app: api}, ports: [{port: 8080}, {port: 9090, protocol: UDP}]}
  services:
  - {name: shop-api, pod: api, ports: [{port: 80, targetPort: 8080}]}
- name: ops
  pods:
  - {name: agent, labels: {app: agent}, hostNetwork: true, ports: [{port: 9100}]}
  - {name: shell, labels: {app: shell}}
external:
- {name: internet, ports: [{port: 443}]}
`
