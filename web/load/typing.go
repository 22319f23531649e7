package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// typing measures learners who type with the preview on, while somebody reads lessons.
func typing(ctx context.Context, s *server) error {
	readers := make([]*learner, 3)
	for i := range readers {
		var err error
		if readers[i], err = newLearner(s.base, *learners+i); err != nil {
			return err
		}
	}
	alone := read(ctx, readers, 3*time.Second)
	fmt.Printf("a lesson, nobody else there:   %s\n", alone)

	class, _, err := gather(ctx, s, *learners, startAtOnce)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	classCtx, dismiss := context.WithCancel(ctx)
	answers := make([]times, len(class))
	for i, l := range class {
		all.Go(func() { answers[i] = (&typist{learner: l}).types(classCtx, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	time.Sleep(2 * time.Second) // All have begun, and the pages are measured from here.
	before := look(s.cmd.Process.Pid)
	busy := read(ctx, readers, *duration)
	after := look(s.cmd.Process.Pid)
	dismiss()
	all.Wait()
	var previews times
	for _, a := range answers {
		previews = append(previews, a...)
	}
	fmt.Printf("a lesson, %3d learners typing: %s\n", len(class), busy)
	fmt.Printf("a preview, asked by a key:     %s, %.0f a second\n", previews, float64(len(previews))/(*duration+2*time.Second).Seconds())
	fmt.Println(after.since(before))
	failed := 0
	for _, l := range append(readers, class...) {
		if err := l.lost(); err != nil {
			return fmt.Errorf("a learner's connection was lost: %w", err)
		}
		failed += l.failed
		l.leave()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if failed > 0 || len(busy) == 0 || len(previews) == 0 {
		return fmt.Errorf("of the pages and previews %d failed, %d and %d were answered", failed, len(busy), len(previews))
	}
	if p99 := busy.at(0.99); p99 > *goal {
		fmt.Printf("MISSED: a lesson took %v at p99, %v is the goal\n", p99.Round(time.Millisecond/10), *goal)
	}
	return nil
}

// read asks for the lesson again and again, and returns how long each took. The readers
// take turns, for one alone would ask for more than the server gives one.
func read(ctx context.Context, readers []*learner, during time.Duration) times {
	var out times
	tick := time.NewTicker(*every)
	defer tick.Stop()
	turn := 0
	for end := time.Now().Add(during); time.Now().Before(end) && ctx.Err() == nil; <-tick.C {
		l := readers[turn%len(readers)]
		turn++
		begin := time.Now()
		if err := l.page(); err != nil {
			l.fails(err)
			continue
		}
		out = append(out, time.Since(begin))
	}
	return out
}

// typist is a learner who types. What they ask has a line of its own, which does what a
// client has to and no more, for what is to be measured is the server.
type typist struct {
	*learner
	line   net.Conn
	reader *bufio.Reader
}

// types edits one of the learner's policies, a key at a time, and asks after each what
// that would come to: one question at a time, as the page does. It returns how long the
// answers took.
func (l *typist) types(ctx context.Context, random *rand.Rand) times {
	defer func() {
		if l.line != nil {
			l.line.Close()
		}
	}()

	draft := newDraft(random)
	var out times
	pause := time.Duration(float64(time.Second) / *keys)
	next := time.NewTimer(time.Duration(random.Int64N(int64(pause))))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return out
		case <-next.C:
		}
		draft.key()
		begin := time.Now()
		if err := l.ask(ctx, draft); err != nil {
			if ctx.Err() == nil {
				l.fails(err)
			}
		} else {
			out = append(out, time.Since(begin))
		}
		// People are no clocks: from half as long to half as long again.
		wait := time.Duration(float64(pause)*(0.5+random.Float64())) - time.Since(begin)
		next.Reset(max(0, wait))
	}
}

func (l *typist) ask(ctx context.Context, d *draft) error {
	body, err := json.Marshal(map[string]any{"files": d.files})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+"/labs/network-policies/analysis", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("X-Forwarded-For", l.address)
	for _, c := range l.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	if l.line == nil {
		if l.line, err = net.Dial("tcp", r.URL.Host); err != nil {
			return err
		}
		l.reader = bufio.NewReader(l.line)
	}
	err = l.line.SetDeadline(time.Now().Add(patience))
	if err == nil {
		err = r.Write(l.line)
	}
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(l.reader, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: status %d", r.Method, r.URL.Path, res.StatusCode)
	}
	return err
}

// draft is what a learner has written, and writes next.
type draft struct {
	files []file
	// rest is what is still to be typed behind the first file's text.
	rest, whole string
}

type file struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

func newDraft(random *rand.Rand) *draft {
	pods := []string{"web", "api", "db"}
	d := &draft{}
	for i := range *policies {
		pod := pods[(i+random.IntN(3))%3]
		text := fmt.Sprintf("# Written by one of %d.\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: policy-%d-%d\n  namespace: production\nspec:\n  podSelector:\n    matchLabels:\n      app: %s\n  policyTypes: [Ingress, Egress]\n  ingress:\n  - from:\n    - podSelector: {}\n    ports:\n    - port: 8080\n",
			*learners, i, random.IntN(1_000_000), pod)
		d.files = append(d.files, file{fmt.Sprint(i), text})
	}
	d.whole = d.files[0].Text + "  egress:\n  - to:\n    - namespaceSelector: {}\n      podSelector:\n        matchLabels:\n          k8s-app: kube-dns\n    ports:\n    - port: 53\n      protocol: UDP\n"
	d.rest = d.whole[len(d.files[0].Text):]
	return d
}

// key types one more character; at the end it begins anew. Half-written YAML is what
// there mostly is.
func (d *draft) key() {
	if d.rest == "" {
		at := strings.Index(d.whole, "spec:")
		d.files[0].Text, d.rest = d.whole[:at], d.whole[at:]
	}
	d.files[0].Text, d.rest = d.files[0].Text+d.rest[:1], d.rest[1:]
}
