package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// server is the lab's server, which runs for the measurement alone.
type server struct {
	cmd *exec.Cmd
	// base is its address, and data its folder.
	base, data string
	// token is the operator's.
	token string
	said  *complaints
	// empty is how large it is before anybody has come.
	empty size
}

// start runs the server with a data folder of its own.
func start(ctx context.Context, args ...string) (s *server, err error) {
	s = &server{said: &complaints{done: make(chan struct{})}}
	if s.data, err = os.MkdirTemp("", "netpol-lab-load-"); err != nil {
		return nil, err
	}
	// All learners come from this machine. Each says an address of its own, as a proxy
	// would: they are no class behind one router, whose rates are limited together.
	s.cmd = exec.CommandContext(ctx, *binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", s.data, "--trusted-proxies", "127.0.0.1/32"}, args...)...)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = time.Minute
	out, err := s.cmd.StdoutPipe()
	var errs io.ReadCloser
	if err == nil {
		errs, err = s.cmd.StderrPipe()
	}
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.data))
	}
	go s.said.read(errs)
	address := regexp.MustCompile(`http://\S+`)
	var said []byte
	for chunk := make([]byte, 4096); ; {
		n, err := out.Read(chunk)
		said = append(said, chunk[:n]...)
		if found := address.Find(said); found != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }() // So that it can go on speaking.
			s.base = strings.TrimRight(string(found), "/")
			break
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s did not start: %s %s", *binary, said, s.said), s.end())
		}
	}
	token, err := os.ReadFile(filepath.Join(s.data, "operator-token"))
	if err != nil {
		return nil, errors.Join(err, s.end())
	}
	s.token = strings.TrimSpace(string(token))
	if s.empty, err = s.size(ctx); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// end ends the server, and removes its sandboxes and its folder.
func (s *server) end() error {
	_ = s.cmd.Cancel() // It may have ended.
	<-s.said.done
	_ = s.cmd.Wait() // What it says then is no matter of the measurement.
	// Also where the measurement was broken off.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, *binary, "clean", "--data", s.data).CombinedOutput(); err != nil {
		return fmt.Errorf("%s clean --data %s: %w: %s", *binary, s.data, err, out)
	}
	return os.RemoveAll(s.data)
}

// complaints are the warnings and errors in the server's log.
type complaints struct {
	done  chan struct{}
	mu    sync.Mutex
	count int
	first []string
}

func (c *complaints) read(from io.Reader) {
	defer close(c.done)
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line := lines.Text(); !strings.Contains(line, "level=INFO") {
			c.mu.Lock()
			if c.count++; len(c.first) < 5 {
				c.first = append(c.first, line)
			}
			c.mu.Unlock()
		}
	}
	_, _ = io.Copy(io.Discard, from) // Where a line is too long, the rest is not read.
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, the first of them:\n  %s", c.count, strings.Join(c.first, "\n  "))
}

// ask gets what the operator is told at the path.
func (s *server) ask(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %.200s", path, res.StatusCode, body)
	}
	return body, err
}

// overview is what the server has, with what clusters took of the machine at some moment.
type overview struct {
	sandbox.Overview
	Costs map[sandbox.ClusterID]sandbox.Cost
}

// overview asks for what there is now.
func (s *server) overview(ctx context.Context) (o overview, err error) {
	body, err := s.ask(ctx, "/operator")
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	return o, err
}

// size is how large the server is at a moment.
type size struct {
	at         time.Time
	goroutines int
	// resident is its memory, and live what its last garbage collection has left of it and
	// aimed from, in bytes.
	resident, live int64
	files          int
	// refused are the requests that were answered with an error.
	refused int
}

// size asks the server's metrics.
func (s *server) size(ctx context.Context) (size, error) {
	body, err := s.ask(ctx, "/metrics")
	out := size{at: time.Now()}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, "netpol_lab_http_requests_total{") && !refusal.MatchString(name) {
			continue
		}
		n, _ := strconv.ParseFloat(value, 64) // Comments are no numbers, and have other names.
		switch name, _, _ = strings.Cut(name, "{"); name {
		case "go_goroutines":
			out.goroutines = int(n)
		case "process_resident_memory_bytes":
			out.resident = int64(n)
		case "go_memstats_next_gc_bytes": // The heap may double until then: GOGC is 100.
			out.live = int64(n / 2)
		case "process_open_fds":
			out.files = int(n)
		case "netpol_lab_http_requests_total":
			out.refused += int(n)
		}
	}
	if err == nil && out.goroutines == 0 {
		err = errors.New("/metrics tells of no goroutines")
	}
	return out, err
}

var refusal = regexp.MustCompile(`status="[45]`)

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
