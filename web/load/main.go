// Command load measures how the lab's server does with a whole class: many learners who
// each have a simulated sandbox, are connected and type with the preview on, while
// somebody reads lessons. `make load` runs it against the server that make has built. It
// fails where pages or previews do; a goal that is missed is said.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

var (
	binary    = flag.String("server", "bin/netpol-lab", "the server's binary; it is started for the measurement")
	learners  = flag.Int("learners", 200, "how many learners are connected and type")
	keys      = flag.Float64("keys", 4, "how many keys each of them types in a second")
	policies  = flag.Int("policies", 3, "how many policies each of them has")
	duration  = flag.Duration("for", 30*time.Second, "how long is measured")
	every     = flag.Duration("page", 50*time.Millisecond, "how often a lesson is asked for")
	goal      = flag.Duration("goal", 100*time.Millisecond, "how long a lesson is to take at p99; it is said where it does not")
	pageToAsk = flag.String("lesson", "/lessons/network-policies", "the lesson that is asked for")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	server, base, end, err := start(ctx)
	if err != nil {
		return err
	}
	defer end()

	readers := make([]*learner, 3)
	for i := range readers {
		if readers[i], err = newLearner(base); err != nil {
			return err
		}
	}
	alone := read(ctx, readers, 3*time.Second)
	fmt.Printf("a lesson, nobody else there:   %s\n", alone)

	class, err := gather(ctx, base)
	if err != nil {
		return err
	}
	var typing sync.WaitGroup
	classCtx, dismiss := context.WithCancel(ctx)
	answers := make([]times, len(class))
	for i, l := range class {
		typing.Go(func() { answers[i] = l.types(classCtx, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	time.Sleep(2 * time.Second) // All have begun, and the pages are measured from here.
	before := look(server.Process.Pid)
	busy := read(ctx, readers, *duration)
	after := look(server.Process.Pid)
	dismiss()
	typing.Wait()
	var previews times
	for _, a := range answers {
		previews = append(previews, a...)
	}
	fmt.Printf("a lesson, %3d learners typing: %s\n", len(class), busy)
	fmt.Printf("a preview, asked by a key:     %s, %.0f a second\n", previews, float64(len(previews))/(*duration+2*time.Second).Seconds())
	fmt.Println(after.since(before))
	failed := 0
	for _, l := range append(readers, class...) {
		if l.lost != nil {
			return fmt.Errorf("a learner's connection was lost: %w", l.lost)
		}
		failed += l.failed
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

// start runs the server with a data folder of its own; end ends it.
func start(ctx context.Context) (cmd *exec.Cmd, base string, end func(), err error) {
	data, err := os.MkdirTemp("", "netpol-lab-load-")
	if err != nil {
		return nil, "", nil, err
	}
	cmd = exec.CommandContext(ctx, *binary, "serve", "--sandbox", "simulated", "--listen", "127.0.0.1:0", "--data", data)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, "", nil, errors.Join(err, os.RemoveAll(data))
	}
	end = func() {
		_ = cmd.Cancel() // It may have ended.
		_ = cmd.Wait()   // What it says then is no matter of the measurement.
		if err := os.RemoveAll(data); err != nil {
			log.Print(err)
		}
	}
	address := regexp.MustCompile(`http://\S+`)
	var said []byte
	for chunk := make([]byte, 4096); ; {
		n, err := out.Read(chunk)
		said = append(said, chunk[:n]...)
		if found := address.Find(said); found != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }() // So that it can go on speaking.
			return cmd, strings.TrimRight(string(found), "/"), end, nil
		}
		if err != nil {
			end()
			return nil, "", nil, fmt.Errorf("%s did not start: %s", *binary, said)
		}
	}
}

// usage is what the machine's processors have done up to a moment, in seconds, as Linux
// tells it; without that all are 0.
type usage struct {
	at                     time.Time
	server, own, all, idle float64
}

// perSecond is how many ticks Linux counts in a second of a processor's time.
const perSecond = 100

func look(server int) usage {
	field := func(fields []string, i int) float64 {
		if i >= len(fields) {
			return 0
		}
		n, _ := strconv.ParseFloat(fields[i], 64) // 0 where there is none
		return n / perSecond
	}
	read := func(path string) []string {
		b, _ := os.ReadFile(path) // nothing where there is no such file
		line, _, _ := strings.Cut(string(b), "\n")
		if i := strings.LastIndex(line, ")"); i >= 0 { // The program's name may have blanks.
			line = line[i+1:]
		}
		return strings.Fields(line)
	}
	of := func(process string) float64 {
		fields := read("/proc/" + process + "/stat")
		return field(fields, 11) + field(fields, 12) // of its own, and of the system for it
	}
	u := usage{at: time.Now(), server: of(strconv.Itoa(server)), own: of("self")}
	all := read("/proc/stat")
	for i := 1; i < len(all); i++ {
		u.all += field(all, i)
	}
	u.idle = field(all, 4) + field(all, 5)
	return u
}

// since says who had the processors, so that it is known what a figure is limited by.
func (u usage) since(before usage) string {
	if u.all == before.all {
		return "who had the processors is told by Linux only"
	}
	seconds := u.at.Sub(before.at).Seconds()
	server, own, idle := (u.server-before.server)/seconds, (u.own-before.own)/seconds, (u.idle-before.idle)/seconds
	return fmt.Sprintf("of %d processors:              the server had %.2f, this measurement %.2f, others %.2f; %.2f were idle",
		runtime.NumCPU(), server, own, max(0, (u.all-before.all)/seconds-server-own-idle), idle)
}

// times are how long something took, one for each time.
type times []time.Duration

func (t times) at(share float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func (t times) String() string {
	ms := func(share float64) float64 { return float64(t.at(share)) / float64(time.Millisecond) }
	return fmt.Sprintf("%6d times; p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, longest %.1f ms", len(t), ms(0.5), ms(0.95), ms(0.99), ms(1))
}

// patience is how long an answer may take before it has failed.
const patience = 30 * time.Second

// learner is one client with a cookie of its own.
type learner struct {
	*http.Client
	base, sandbox string
	conn          *websocket.Conn
	// line is the connection that previews are asked by. It does what a client has to
	// and no more, for what is to be measured is the server.
	line   net.Conn
	reader *bufio.Reader
	// lost is why the connection ended before the class did.
	lost error
	// failed is how many of the questions and pages that were measured failed.
	failed int
}

func newLearner(base string) (*learner, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	l := &learner{Client: &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}, base: base}
	return l, l.page() // Gets the cookie.
}

// page asks for the lesson as a browser does.
func (l *learner) page() error {
	r, err := http.NewRequest(http.MethodGet, l.base+*pageToAsk, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Encoding", "gzip") // And it is left so.
	return l.do(r, http.StatusOK, nil)
}

// do reads the answer, into v where that is not nil.
func (l *learner) do(r *http.Request, want int, v any) error {
	res, err := l.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != want:
		return fmt.Errorf("%s %s: status %d: %.200s", r.Method, r.URL.Path, res.StatusCode, body)
	case v != nil:
		return json.Unmarshal(body, v)
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
			log.Print(err)
			l.failed++
			continue
		}
		out = append(out, time.Since(begin))
	}
	return out
}

// gather makes the class: each learner has a ready sandbox, and watches it.
func gather(ctx context.Context, base string) ([]*learner, error) {
	class := make([]*learner, *learners)
	errs := make([]error, *learners)
	var wait sync.WaitGroup
	places := make(chan struct{}, 8)
	for i := range class {
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if class[i], errs[i] = newLearner(base); errs[i] == nil {
				errs[i] = class[i].sitDown(ctx)
			}
		})
	}
	wait.Wait()
	return class, errors.Join(errs...)
}

func (l *learner) sitDown(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+"/sandboxes", strings.NewReader(`{"lab": "network-policies"}`))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	var made struct{ ID string }
	if err := l.do(r, http.StatusAccepted, &made); err != nil {
		return err
	}
	l.sandbox = made.ID
	address, err := url.Parse(l.base)
	if err != nil {
		return err
	}
	dialer := websocket.Dialer{Jar: l.Jar, HandshakeTimeout: patience}
	l.conn, _, err = dialer.DialContext(ctx, fmt.Sprintf("ws://%s/sandboxes/%s/events", address.Host, l.sandbox), http.Header{"Origin": {l.base}})
	if err != nil {
		return err
	}
	for {
		_, message, err := l.conn.ReadMessage()
		if err != nil {
			return err
		}
		if bytes.Contains(message, []byte(`"state":"ready"`)) {
			return nil
		}
	}
}

// types edits one of the learner's policies, a key at a time, and asks after each what
// that would come to: one question at a time, as the page does. It returns how long the
// answers took.
func (l *learner) types(ctx context.Context, random *rand.Rand) times {
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		for {
			if _, _, err := l.conn.ReadMessage(); err != nil {
				if ctx.Err() == nil {
					l.lost = err
				}
				return
			}
		}
	}()
	defer func() {
		l.conn.Close()
		<-reading
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
				log.Print(err)
				l.failed++
			}
		} else {
			out = append(out, time.Since(begin))
		}
		// People are no clocks: from half as long to half as long again.
		wait := time.Duration(float64(pause)*(0.5+random.Float64())) - time.Since(begin)
		next.Reset(max(0, wait))
	}
}

func (l *learner) ask(ctx context.Context, d *draft) error {
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
