package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// Question is what the command "probe" in a learner's terminal asks the server: it
// knows nothing itself but its arguments. One line of JSON each.
type Question struct {
	ID   uint64   `json:"id"`
	Args []string `json:"args"`
}

// Answer is what the command writes, and the code that it ends with. One line of JSON.
type Answer struct {
	ID   uint64 `json:"id"`
	Text string `json:"text"`
	Code int    `json:"code"`
}

// RelaySocket is where the command "probe" finds the relay in the terminal's pod.
const RelaySocket = "/run/lab/probe"

const (
	// longestQuestion is the longest line that is taken as a question, in bytes.
	longestQuestion = 4 << 10
	// questionsAtOnce is how many questions of one terminal are answered at the same
	// time; others wait.
	questionsAtOnce = 4
	// longestAnswer is the longest line that is taken as an answer, in bytes.
	longestAnswer = 64 << 10
)

// Relay passes the questions of the commands that connect to the Unix socket on to
// out, and the answers from in back. The first line that it writes is an empty
// question: it tells that it listens. It returns when in ends, and fails where in
// holds something else than answers.
func Relay(ctx context.Context, socket string, in io.Reader, out io.Writer) error {
	// One that an earlier relay has left serves nobody any more.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("relay: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	defer listener.Close()
	r := &relay{out: json.NewEncoder(out), waiting: map[uint64]net.Conn{}}
	if err := r.out.Encode(Question{}); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the listener is closed
			}
			go r.ask(conn)
		}
	}()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestAnswer)
	for lines.Scan() {
		var a Answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("relay: malformed answer %.100q: %w", lines.Bytes(), err)
		}
		r.answer(a.ID, append(lines.Bytes(), '\n'))
	}
	return lines.Err()
}

type relay struct {
	// writing is held while a question is written, which may wait for others to be
	// answered.
	writing sync.Mutex
	out     *json.Encoder

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]net.Conn
}

// ask passes on the connection's question; without one it is closed.
func (r *relay) ask(conn net.Conn) {
	var q Question
	if json.NewDecoder(io.LimitReader(conn, longestQuestion)).Decode(&q) != nil {
		conn.Close()
		return
	}
	r.mu.Lock()
	r.last++
	q.ID = r.last
	r.waiting[q.ID] = conn
	r.mu.Unlock()
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.out.Encode(q) != nil {
		conn.Close() // in ends, too, and with it the relay
	}
}

// answer gives the connection its answer; one that has gone misses it.
func (r *relay) answer(id uint64, line []byte) {
	r.mu.Lock()
	conn := r.waiting[id]
	delete(r.waiting, id)
	r.mu.Unlock()
	if conn != nil {
		_, _ = conn.Write(line)
		conn.Close()
	}
}

// Ask asks by the relay that listens on the Unix socket.
func Ask(ctx context.Context, socket string, args []string) (Answer, error) {
	var a Answer
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return a, fmt.Errorf("the lab does not listen at the moment: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(Question{Args: args}); err != nil {
		return a, err
	}
	if err := json.NewDecoder(io.LimitReader(conn, longestAnswer)).Decode(&a); err != nil {
		return a, fmt.Errorf("the lab has not answered: %w", err)
	}
	return a, nil
}

// Answers is the server's side of a [Relay] at the other end of the stream: it calls
// listening when the relay listens, and answer for each question, a few at a time,
// until the stream ends. What comes from a learner's terminal may be anything: what
// is no question ends it.
func Answers(ctx context.Context, stream io.ReadWriter, listening func(), answer func(ctx context.Context, args []string) Answer) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var mu sync.Mutex
	out := json.NewEncoder(stream)
	slots := make(chan struct{}, questionsAtOnce)
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, longestQuestion+64)
	for lines.Scan() {
		var q Question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return fmt.Errorf("malformed question %.100q: %w", lines.Bytes(), err)
		}
		if q.ID == 0 {
			listening()
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			a := answer(ctx, q.Args)
			a.ID = q.ID
			mu.Lock()
			defer mu.Unlock()
			_ = out.Encode(a) // A stream that has ended is found by the loop.
		})
	}
	return lines.Err()
}
