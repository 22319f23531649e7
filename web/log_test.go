package web

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLog_every_line_of_a_request_names_it_and_its_sandbox(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	id := v.start()
	v.put(id, denyAll)
	v.put(id, "no: policy")
	v.send("GET", "/sandboxes/"+id+"/events", nil) // no websocket
	v.send("GET", "/nothing", nil)
	v.page("POST", "/operator/login", url.Values{"token": {"wrong"}})
	v.page("POST", "/sandboxes/"+id+"/stop", url.Values{})
	l.Close() // No line is still to come.
	about := 0
	for line := range strings.Lines(l.log.String()) {
		of := strings.Contains(line, " path=")
		if of && !regexp.MustCompile(` request=[0-9a-f]{12} `).MatchString(line) {
			t.Errorf("a line of a request does not name it: %s", line)
		}
		if of && strings.Contains(line, "/sandboxes/"+id) {
			if about++; !strings.Contains(line, " sandbox="+id+" ") {
				t.Errorf("a line about a sandbox does not name it: %s", line)
			}
		}
		if strings.Contains(line, "path=/sandboxes status=202") && !strings.Contains(line, " sandbox="+id+" ") {
			t.Errorf("the start does not name its sandbox: %s", line)
		}
	}
	if about < 5 {
		t.Errorf("%d lines were about the sandbox:\n%s", about, l.log)
	}
}

// counts are what the metrics were told.
type counts struct {
	mu      sync.Mutex
	answers []string
	open    []int
	read    int
}

func (c *counts) Answered(route, method string, status int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, fmt.Sprint(method, " ", route, " ", status))
}

func (c *counts) Sockets(open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, open)
}

func (c *counts) Read(time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read++
}

func TestMetrics_are_told_of_each_request_by_its_route(t *testing.T) {
	c := &counts{}
	l := newLab(t, setup{metrics: c})
	v := l.learner(t)
	id := v.create()
	v.send("GET", "/sandboxes/"+id, nil)
	v.send("GET", "/lessons/network-policies", nil)
	v.send("GET", "/lessons/none", nil)
	v.send("GET", "/static/css/site.css", nil)
	v.send("GET", "/no/such/page", nil)
	v.send("BREW", "/", nil)
	analysis := `{"files":[{"id":"a","text":"kind: NetworkPolicy"}]}`
	for range 2 { // The second time it is known.
		if a := v.send("POST", "/labs/network-policies/analysis", strings.NewReader(analysis), "Content-Type", "application/json"); a.status != 200 {
			t.Fatalf("analysis: %d %s", a.status, a.body)
		}
	}
	conn := v.watch(id, "")
	conn.Close()
	l.Close()
	want := []string{
		"GET / 200", "POST /sandboxes 202", "GET /sandboxes/{id} 200", "GET /lessons/{slug} 200", "GET /lessons/{slug} 404", "GET /static/* 200",
		"GET none 404", "other none 405", "POST /labs/{lab}/analysis 200", "POST /labs/{lab}/analysis 200", "GET /sandboxes/{id}/events 101",
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		answers, open, read := slices.Clone(c.answers), slices.Clone(c.open), c.read
		c.mu.Unlock()
		if slices.Equal(answers, want) && slices.Equal(open, []int{1, 0}) && read == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("told of\n%q, want\n%q; websockets %v; read %d", answers, want, open, read)
		}
	}
}
