package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// BenchmarkOthers measures how long ten learners wait, who read a page and apply a
// policy in turns: alone, which is the baseline, and beside one who sends the longest
// input that is taken, again and again from 16 connections. Server, learners and
// attacker share this process, so that what the attacker spends is in the figures, too.
func BenchmarkOthers(b *testing.B) {
	b.Setenv("PATH", b.TempDir())
	s := serveLab(b, "--data", b.TempDir(), "--sandbox", "simulated")
	defer s.stop()
	var learners []*visitor
	for range 10 {
		learners = append(learners, newVisitor(b, s.base))
	}
	ports := "{port: 1}"
	const head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: production}\nspec:\n  podSelector: {}\n  ingress:\n  - ports: ["
	huge := head + strings.Repeat(ports+", ", (254<<10-len(head))/len(ports+", ")) + ports + "]\n"
	// Not refused for its length: what a wrong last line costs.
	wrong := head + strings.Repeat(ports+", ", 3000) + "\n  - ports: [{port: 1}]\n"

	for _, mode := range []struct{ name, body string }{{"alone", ""}, {"beside_254_KiB_of_ports", huge}, {"beside_what_is_no_YAML", wrong}} {
		b.Run(mode.name, func(b *testing.B) {
			attacker := newVisitor(b, s.base)
			stop := make(chan struct{})
			var attack sync.WaitGroup
			var mu sync.Mutex
			codes := map[int]int{}
			if mode.body != "" {
				for range 16 {
					attack.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							code := attacker.do(b, "PUT", attacker.policies(), mode.body)
							mu.Lock()
							codes[code]++
							mu.Unlock()
							if code == http.StatusTooManyRequests {
								time.Sleep(200 * time.Millisecond) // Else all from this address are refused.
							}
						}
					})
				}
			}
			var took []time.Duration
			var most runtime.MemStats
			for b.Loop() {
				var all sync.WaitGroup
				for _, v := range learners {
					all.Go(func() {
						for i := range 20 {
							begun := time.Now()
							if i%2 == 0 {
								v.do(b, "GET", "/lessons/network-policies", "")
							} else if code := v.do(b, "PUT", v.policies(), denyProduction); code != http.StatusOK {
								b.Errorf("a learner's change: %d", code)
							}
							mu.Lock()
							took = append(took, time.Since(begun))
							mu.Unlock()
							time.Sleep(100 * time.Millisecond) // how a learner would be at their fastest
						}
					})
				}
				all.Wait()
				runtime.ReadMemStats(&most)
			}
			close(stop)
			attack.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(most.HeapSys)/(1<<20), "heap-MiB")
			b.ReportMetric(0, "ns/op")
			b.Logf("%d requests; the attacker's answers: %v", len(took), codes)
		})
	}
}

// visitor is a browser with a sandbox.
type visitor struct {
	client *http.Client
	base   string
	id     sandbox.ID
}

func newVisitor(b *testing.B, base string) *visitor {
	b.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	v := &visitor{client: &http.Client{Jar: jar, Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}, base: base}
	s := &running{t: b, base: base, learner: v.client}
	var snap sandbox.Snapshot
	if code, body := s.ask("POST", "/sandboxes", "application/json", `{"lab":"network-policies"}`, &snap); code != http.StatusAccepted {
		b.Fatalf("start: %d %s", code, body)
	}
	s.until(snap.ID, productionOpen)
	v.id = snap.ID
	return v
}

func (v *visitor) policies() string { return fmt.Sprintf("/sandboxes/%s/policies", v.id) }

// do sends one request and reads the answer.
func (v *visitor) do(b *testing.B, method, path, body string) int {
	req, err := http.NewRequestWithContext(b.Context(), method, v.base+path, strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/yaml")
	resp, err := v.client.Do(req)
	if err != nil {
		b.Error(err)
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		b.Error(err)
	}
	return resp.StatusCode
}
