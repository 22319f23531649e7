package web

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// bigLab has 500 flows and a draft of 50 policies, each a file.
func bigLab(t testing.TB) (*sandbox.Topology, []DraftFile) {
	t.Helper()
	var src strings.Builder
	src.WriteString("name: big\nnamespaces:\n")
	const namespaces, pods = 4, 4
	for i := range namespaces {
		fmt.Fprintf(&src, "- name: n%d\n  labels: {env: e%d}\n  pods:\n", i, i)
		for j := range pods {
			fmt.Fprintf(&src, "  - name: p%d\n    labels: {app: p%d}\n    ports: [{name: http, port: 8080}]\n", j, j)
		}
		src.WriteString("  services:\n")
		for j := range pods {
			fmt.Fprintf(&src, "  - {name: p%d, pod: p%d, ports: [{port: 80, targetPort: 8080}]}\n", j, j)
		}
	}
	top, err := sandbox.ParseTopology([]byte(src.String()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(top.Flows()); n < 500 {
		t.Fatalf("%d flows", n)
	}
	var files []DraftFile
	for n := range 50 {
		ns, pod := n%namespaces, n/namespaces%pods
		text := fmt.Sprintf(`# What p%[2]d of n%[1]d takes, and what it may ask.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: policy-%[3]d
  namespace: n%[1]d
spec:
  podSelector:
    matchLabels:
      app: p%[2]d
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: n%[4]d
      podSelector:
        matchLabels:
          app: p%[5]d
    - podSelector: {}
    ports:
    - protocol: TCP
      port: 8080
  egress:
  - to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          k8s-app: kube-dns
    ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
  - to:
    - namespaceSelector: {}
`, ns, pod, n, (ns+1)%namespaces, (pod+n)%pods)
		files = append(files, DraftFile{ID: fmt.Sprint(n), Text: text})
	}
	return top, files
}

// lessonLab is the first lesson's lab with a draft of three files.
func lessonLab(t testing.TB) (*sandbox.Topology, []DraftFile) {
	t.Helper()
	src, err := os.ReadFile("../lessons/content/01-network-policies/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	top, err := sandbox.ParseTopology(src)
	if err != nil {
		t.Fatal(err)
	}
	return top, draftFiles(denyProduction, webIntoAPI)
}

// BenchmarkAnalysis is what a key costs the server, beside what reading the same files
// costs it, which no answer could do without.
func BenchmarkAnalysis(b *testing.B) {
	for _, lab := range []struct {
		name string
		make func(testing.TB) (*sandbox.Topology, []DraftFile)
	}{{"lesson", lessonLab}, {"50_policies_500_flows", bigLab}} {
		top, files := lab.make(b)
		baseline, err := sandbox.NewBaseline(top, top.PlannedAddresses(), nil)
		if err != nil {
			b.Fatal(err)
		}
		// With each key one file is another one.
		typed := func(n int) []DraftFile {
			files[0].Text = strings.TrimRight(files[0].Text, "#\n") + "\n" + strings.Repeat("#", n%1000) + "\n"
			return files
		}
		p, n := newPreviews(), 0
		b.Run(lab.name, func(b *testing.B) {
			defer processorTime(b)()
			for b.Loop() {
				n++
				if a, err := p.analyse(context.Background(), top, baseline, AnalysisRequest{Files: typed(n)}); err != nil || a.Expected == nil {
					b.Fatal(err, a)
				}
			}
		})
		b.Run(lab.name+"/with_why", func(b *testing.B) {
			flow := top.Flows()[0].ID
			defer processorTime(b)()
			for b.Loop() {
				n++
				if a, err := p.analyse(context.Background(), top, baseline, AnalysisRequest{Files: typed(n), Flow: flow}); err != nil || a.Why == nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(lab.name+"/baseline_reading", func(b *testing.B) {
			defer processorTime(b)()
			for b.Loop() {
				for _, f := range files {
					if _, err := policy.Parse([]byte(f.Text), policy.ParseOptions{Namespaces: top.NamespaceNames()}); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkTyping is what a key costs in all, from the request to the answer, while a
// policy is written: half of the time it is no YAML, or no policy, yet. Beside it stands
// the lesson's page.
func BenchmarkTyping(b *testing.B) {
	often := limitPair{learner: rate{1 << 30, time.Minute}, address: rate{1 << 30, time.Minute}}
	l := newLab(b, setup{limits: limits{requests: often, starts: often, changes: often, previews: often, newcomers: often.address, files: often.address, strays: often.address, sockets: 10}})
	v := l.learner(b)
	whole := denyProduction + "  egress:\n  - to:\n    - namespaceSelector: {}\n      podSelector:\n        matchLabels:\n          k8s-app: kube-dns\n    ports:\n    - port: 53\n      protocol: UDP\n"
	others := draftFiles("", webIntoAPI, strings.ReplaceAll(webIntoAPI, "name: ", "name: another-"))
	first := strings.Index(whole, "spec:")
	b.Run("key", func(b *testing.B) {
		defer processorTime(b)()
		for n := 0; b.Loop(); n++ {
			others[0].Text = fmt.Sprintf("# %d\n%s", n, whole[:first+n%(len(whole)-first)])
			if a := v.draft(AnalysisRequest{Files: others}); a.status != http.StatusOK {
				b.Fatal(a.status, a.body)
			}
		}
	})
	b.Run("baseline_lesson", func(b *testing.B) {
		defer processorTime(b)()
		for b.Loop() {
			if a := v.page("GET", "/lessons/network-policies", nil); a.status != http.StatusOK {
				b.Fatal(a.status)
			}
		}
	})
}

// processorTime adds what the process has used of the processors for each operation,
// whatever else the machine had to do meanwhile.
func processorTime(b *testing.B) (end func()) {
	before := used(b)
	return func() { b.ReportMetric(float64((used(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
