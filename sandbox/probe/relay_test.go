package probe

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pipes is one side of a stream.
type pipes struct {
	io.Reader
	io.Writer
}

// relayed starts a relay and the server's side of it, and returns its socket once it
// listens.
func relayed(t *testing.T, answer func(ctx context.Context, args []string) Answer) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	questions, out := io.Pipe()
	in, answers := io.Pipe()
	ended := make(chan error, 2)
	listening := make(chan struct{})
	go func() { ended <- Relay(t.Context(), socket, in, out); out.Close() }()
	go func() {
		ended <- Answers(t.Context(), pipes{questions, answers}, func() { close(listening) }, answer)
	}()
	t.Cleanup(func() {
		answers.Close()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	select {
	case <-listening:
	case <-time.After(10 * time.Second):
		t.Fatal("the relay does not listen")
	}
	return socket
}

func TestAsk_is_answered_by_the_server_at_the_relays_other_end(t *testing.T) {
	socket := relayed(t, func(_ context.Context, args []string) Answer {
		return Answer{Text: "asked for " + strings.Join(args, "|") + "\n", Code: len(args)}
	})
	for _, args := range [][]string{nil, {"api"}, {"--from", "production/web", "a line\nof two"}} {
		got, err := Ask(t.Context(), socket, args)
		if err != nil {
			t.Fatal(err)
		}
		if want := "asked for " + strings.Join(args, "|") + "\n"; got.Text != want || got.Code != len(args) {
			t.Errorf("%q: got %+v", args, got)
		}
	}
}

func TestAsk_each_of_many_at_once_gets_its_own_answer(t *testing.T) {
	var now, most atomic.Int32
	socket := relayed(t, func(_ context.Context, args []string) Answer {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		time.Sleep(time.Millisecond) // so that others come in between
		return Answer{Text: args[0]}
	})
	got := make(chan string)
	for i := range 50 {
		go func() {
			want := strings.Repeat("x", i)
			a, err := Ask(t.Context(), socket, []string{want})
			switch {
			case err != nil:
				got <- err.Error()
			case a.Text != want:
				got <- a.Text + " in the place of " + want
			default:
				got <- ""
			}
		}()
	}
	for range 50 {
		if wrong := <-got; wrong != "" {
			t.Error(wrong)
		}
	}
	if most.Load() > questionsAtOnce {
		t.Errorf("%d questions were answered at once, more than %d", most.Load(), questionsAtOnce)
	}
}

// Anybody in the terminal may write to the socket.
func TestRelay_goes_on_after_what_is_no_question(t *testing.T) {
	socket := relayed(t, func(_ context.Context, args []string) Answer { return Answer{Text: "still here"} })
	for _, sent := range []string{"nonsense\n", strings.Repeat("x", 2*longestQuestion) + "\n", ""} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, sent) // It may be closed before all of it is written.
		conn.Close()
	}
	got, err := Ask(t.Context(), socket, nil)
	if err != nil || got.Text != "still here" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnswers_end_at_what_is_no_question(t *testing.T) {
	for name, said := range map[string]string{
		"no JSON":       "nonsense\n",
		"an endless ID": `{"id": 99999999999999999999, "args": []}` + "\n",
		"no end":        strings.Repeat("x", 1<<20),
	} {
		err := Answers(t.Context(), pipes{strings.NewReader(said), io.Discard}, func() {}, func(context.Context, []string) Answer {
			t.Errorf("%s: taken as a question", name)
			return Answer{}
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAsk_without_a_relay_says_that_nobody_listens(t *testing.T) {
	_, err := Ask(t.Context(), filepath.Join(t.TempDir(), "none"), nil)
	if err == nil || !strings.Contains(err.Error(), "does not listen") {
		t.Errorf("got %v", err)
	}
}
