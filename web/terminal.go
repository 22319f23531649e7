package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// maxTyped is the longest message that a client may send to a terminal, in bytes.
const maxTyped = 8 << 10

// terminalEnd is the last message of a terminal: why there is no more of it.
type terminalEnd struct {
	// End is "ended" where the shell has ended, "elsewhere" where the terminal was
	// opened at another place, and "failed" where there is none. The shell is still there
	// after "elsewhere".
	End     string `json:"end"`
	Message string `json:"message"`
}

// terminal upgrades to a websocket that is the sandbox's terminal: what the shell writes
// are binary messages to the client, what is typed are binary messages of the client's,
// and a text message tells how large the client's terminal is.
func (s *server) terminal(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	switch {
	case err != nil:
		return err
	case s.simulated():
		return sandbox.ErrNoTerminal
	case snapshot.State != sandbox.Ready:
		return sandbox.ErrNotReady
	}
	conn, done, err := s.upgrade(w, r)
	if conn == nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithCancel(s.Closing)
	defer cancel()
	conn.SetReadLimit(maxTyped)
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(s.timings.silence)) }
	conn.SetPongHandler(alive)
	defer s.pinged(conn, cancel)()

	// The first message is the size, and the shell begins with it.
	size, err := readSize(conn, alive)
	if err != nil {
		return nil
	}
	view, err := s.Sandboxes.Terminal(ctx, snapshot.ID, size)
	if err != nil {
		s.endTerminal(r.Context(), conn, err, nil)
		return nil
	}
	defer view.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer cancel()
		typeInto(ctx, conn, view)
	}()
	for {
		output, err := view.Next(ctx)
		if err != nil {
			s.endTerminal(r.Context(), conn, err, gone)
			return nil
		}
		if conn.SetWriteDeadline(time.Now().Add(s.timings.write)) != nil || conn.WriteMessage(websocket.BinaryMessage, output) != nil {
			return nil
		}
	}
}

// readSize reads the client's first message.
func readSize(conn *websocket.Conn, alive func(string) error) (size sandbox.TerminalSize, err error) {
	if err = alive(""); err != nil {
		return size, err
	}
	return size, conn.ReadJSON(&size)
}

// typeInto passes on what the client sends until that ends, or until it makes no sense.
func typeInto(ctx context.Context, conn *websocket.Conn, view *sandbox.TerminalView) {
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.BinaryMessage {
			if view.Type(ctx, message) != nil {
				return
			}
			continue
		}
		var size sandbox.TerminalSize
		if json.Unmarshal(message, &size) != nil {
			return
		}
		view.Resize(size)
	}
}

// endTerminal tells the client why there is no more, and closes the connection. Nothing
// is told where it is the client that has gone, or the server that stops: then the client
// tries again, and finds the shell.
func (s *server) endTerminal(ctx context.Context, conn *websocket.Conn, err error, gone <-chan struct{}) {
	end := terminalEnd{End: "failed", Message: "The terminal could not be opened. Try again; whoever runs the lab finds the reason in its log."}
	var failure *sandbox.Failure
	switch {
	case s.Closing.Err() != nil:
		s.farewell(conn, websocket.CloseGoingAway, gone)
		return
	case errors.Is(err, context.Canceled):
		return
	case errors.Is(err, sandbox.ErrTerminalElsewhere):
		end = terminalEnd{"elsewhere", "The terminal was opened at another place, and goes on there."}
	case errors.Is(err, sandbox.ErrTerminalIdle):
		end = terminalEnd{"ended", "Nobody has typed anything for a long time, so the shell was ended."}
	case errors.Is(err, sandbox.ErrTerminalEnded):
		end = terminalEnd{"ended", "The shell has ended."}
	case errors.Is(err, sandbox.ErrNotReady), errors.Is(err, sandbox.ErrNotFound):
		end = terminalEnd{"failed", "The sandbox is not there any more, and the terminal has ended with it."}
	case errors.As(err, &failure):
		end.Message = failure.Message
		s.log(ctx).Warn("terminal not opened", "error", err)
	default:
		s.log(ctx).Error("terminal not opened", "error", err)
	}
	if conn.SetWriteDeadline(time.Now().Add(s.timings.write)) == nil && conn.WriteJSON(end) == nil {
		s.farewell(conn, websocket.CloseNormalClosure, gone)
	}
}
