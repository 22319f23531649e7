package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// timings are the websocket's; EVENTS.md tells them.
type timings struct {
	// ping is the time between two pings.
	ping time.Duration
	// silence is how long a client may go without answering one.
	silence time.Duration
	// write is how long a client may take over one message.
	write time.Duration
	// farewell is how long a client may take to answer a closing message.
	farewell time.Duration
}

var defaultTimings = timings{ping: 20 * time.Second, silence: 45 * time.Second, write: 10 * time.Second, farewell: 2 * time.Second}

// maxClientMessage is the longest message that a client may send, in bytes.
const maxClientMessage = 512

// events upgrades to a websocket and sends the sandbox's events.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	after := int64(0)
	if v := r.URL.Query().Get("after"); v != "" {
		var err error
		if after, err = strconv.ParseInt(v, 10, 64); err != nil || after < 0 {
			return refuse(http.StatusBadRequest, "after=%s is not an event's number: want a whole number from 0.", v)
		}
	}
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	conn, done, err := s.upgrade(w, r)
	if conn == nil {
		return err
	}
	defer done()
	subscription, err := s.Sandboxes.Subscribe(snapshot.ID, after)
	if err != nil { // it has gone since it was looked up
		s.farewell(conn, websocket.CloseNormalClosure, nil)
		return nil
	}
	defer subscription.Close()
	s.stream(conn, subscription)
	return nil
}

// upgrade makes the request a websocket of the learner's, which done closes. There is
// no connection where the request is refused with the error, or was answered.
func (s *server) upgrade(w http.ResponseWriter, r *http.Request) (conn *websocket.Conn, done func(), err error) {
	// Asked for before the upgrade: a browser's script is not told why that fails, and
	// can find it out by the same request without one.
	leave, err := s.sockets.open(ownerOf(r.Context()))
	if err != nil {
		w.Header().Set("Retry-After", "30")
		return nil, nil, err
	}
	defer func() {
		if conn == nil {
			leave()
		}
	}()
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		return nil, nil, refuse(http.StatusUpgradeRequired, "This is sent over a websocket: connect with ws:// in the place of http://.")
	}
	// The buffers are the ones that the HTTP server has for the connection anyway: a
	// pool's would come on top of them.
	upgrader := websocket.Upgrader{
		// The default check of the origin stays: a browser's page of another
		// site is refused.
		Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
			message := "The websocket could not be opened: " + reason.Error() + "."
			if status == http.StatusForbidden {
				message = "This request came from another site's page, so it was refused. Use the lab's own pages."
			}
			s.fail(w, r, &statusError{status: status, message: message, err: reason})
		},
	}
	if conn, err = upgrader.Upgrade(w, r, nil); err != nil {
		return nil, nil, nil // the upgrader has answered
	}
	under := conn.NetConn()
	if bound, ok := under.(*boundConn); ok {
		under = bound.Conn
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		if err := tcp.SetWriteBuffer(socketBuffer); err != nil {
			s.log(r.Context()).Warn("websocket's buffer not bounded", "error", err)
		}
	}
	return conn, func() { conn.Close(); leave() }, nil
}

// pinged pings the client until the returned function is called; gone is called where
// that fails.
func (s *server) pinged(conn *websocket.Conn, gone func()) (stop func()) {
	var ping *time.Timer // pings may be written beside the messages
	started := make(chan struct{})
	ping = time.AfterFunc(s.timings.ping, func() {
		<-started
		if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.timings.write)) != nil {
			gone()
			return
		}
		ping.Reset(s.timings.ping)
	})
	close(started)
	return func() { ping.Stop() }
}

// stream sends events until the sandbox or the server stops, or the client is
// gone or too slow.
func (s *server) stream(conn *websocket.Conn, subscription *sandbox.Subscription) {
	ctx, cancel := context.WithCancel(s.Closing)
	defer cancel()

	gone := make(chan struct{})
	go func() { // reads for the sake of the pongs and of the client's close
		defer close(gone)
		defer cancel()
		conn.SetReadLimit(maxClientMessage)
		alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(s.timings.silence)) }
		conn.SetPongHandler(alive)
		for err := alive(""); err == nil; _, _, err = conn.ReadMessage() {
		}
	}()
	defer s.pinged(conn, cancel)()

	for {
		message, err := subscription.NextMessage(ctx)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			s.farewell(conn, websocket.CloseNormalClosure, gone)
			return
		case s.Closing.Err() != nil:
			s.farewell(conn, websocket.CloseGoingAway, gone)
			return
		default:
			return
		}
		if conn.SetWriteDeadline(time.Now().Add(s.timings.write)) != nil || conn.WriteMessage(websocket.TextMessage, message) != nil {
			return
		}
	}
}

// farewell closes the connection with the code, and gives the client time to
// answer, so that what was sent before arrives.
func (s *server) farewell(conn *websocket.Conn, code int, gone <-chan struct{}) {
	deadline := time.Now().Add(s.timings.farewell)
	if conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), deadline) != nil || gone == nil {
		return
	}
	select {
	case <-gone:
	case <-time.After(s.timings.farewell):
	}
}
