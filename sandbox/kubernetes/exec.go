package kubernetes

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/rest"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// executor runs commands in pods, by an account that may.
//
// client-go has one, too. It gives a stream up when it hears nothing for a minute, as
// it does of a cluster that is paused.
type executor struct {
	client  *api // for the addresses
	account *account
	dialer  *websocket.Dialer
}

func newExecutor(admin *rest.Config, client *api, account *account, limit time.Duration) (*executor, error) {
	config, err := rest.TLSConfigFor(rest.AnonymousClientConfig(admin))
	if err != nil {
		return nil, err
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.NextProtos = []string{"http/1.1"} // the one that can become a websocket
	return &executor{client: client, account: account, dialer: &websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, Subprotocols: []string{remotecommand.StreamProtocolV5Name},
		HandshakeTimeout: limit, ReadBufferSize: execBuffer, WriteBufferSize: execBuffer,
	}}, nil
}

const (
	// execBuffer is how much of a stream is sent in one message at most.
	execBuffer = 32 << 10
	// execLimit is how long the API server may take to begin, before patience.
	execLimit = 10 * time.Second
	// maxRefusal is how much is read of what the API server says when it refuses, or when a
	// command has ended.
	maxRefusal = 16 << 10
)

// exec runs a command in a pod. With a terminal, sizes tells how large it is. The
// command ends with ctx, and when the stream is closed.
func (e *executor) exec(ctx context.Context, namespace, pod string, opts *corev1.PodExecOptions, sizes <-chan sandbox.TerminalSize) (*execStream, error) {
	token, err := e.account.bearer(ctx)
	if err != nil {
		return nil, err
	}
	url := strings.Replace(e.client.execURL(namespace, pod, opts), "http", "ws", 1)
	conn, response, err := e.dialer.DialContext(ctx, url, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		if response != nil {
			said, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal)) // what there is of it
			err = fmt.Errorf("%w: %s: %s", err, response.Status, said)
		}
		return nil, fmt.Errorf("exec in pod %s/%s: %w", namespace, pod, err)
	}
	out, received := io.Pipe()
	s := &execStream{conn: conn, out: out, done: make(chan struct{})}
	s.forget = context.AfterFunc(ctx, func() { conn.Close() })
	go s.receive(received)
	if sizes != nil {
		go s.resize(sizes)
	}
	return s, nil
}

// execStream is a command's standard input and output.
type execStream struct {
	conn   *websocket.Conn
	out    *io.PipeReader
	forget func() bool
	done   chan struct{} // closed when nothing more is received

	mu sync.Mutex // held while something is sent
}

// receive passes on what the command writes until it has ended.
func (s *execStream) receive(out *io.PipeWriter) {
	defer close(s.done)
	var said tail
	err := s.demultiplex(out, &said)
	if text := said.String(); text != "" && err != io.EOF {
		err = fmt.Errorf("%w: %s", err, text)
	}
	_ = out.CloseWithError(err) // Closing a pipe cannot fail.
}

// demultiplex ends with io.EOF where the command has ended well.
func (s *execStream) demultiplex(out, said io.Writer) error {
	var ended error
	for {
		kind, message, err := s.conn.NextReader()
		if err != nil {
			if ended != nil {
				return ended
			}
			return err
		}
		if kind != websocket.BinaryMessage {
			return fmt.Errorf("an unexpected message of type %d", kind)
		}
		var channel [1]byte
		if _, err := io.ReadFull(message, channel[:]); err != nil {
			return fmt.Errorf("a message without a channel: %w", err)
		}
		switch channel[0] {
		case remotecommand.StreamStdOut:
			_, err = io.Copy(out, message)
		case remotecommand.StreamStdErr:
			_, err = io.Copy(said, message)
		case remotecommand.StreamErr:
			var status metav1.Status
			if err = json.NewDecoder(io.LimitReader(message, maxRefusal)).Decode(&status); err == nil {
				ended = io.EOF
				if status.Status != metav1.StatusSuccess {
					ended = errors.New(status.Message)
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

func (s *execStream) Read(p []byte) (int, error) { return s.out.Read(p) }

// Write sends p to the command's standard input.
func (s *execStream) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		piece := p[sent:min(len(p), sent+execBuffer)]
		if err := s.send(remotecommand.StreamStdIn, piece); err != nil {
			return sent, err
		}
		sent += len(piece)
	}
	return sent, nil
}

func (s *execStream) send(channel byte, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.conn.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte{channel}); err != nil {
		return err
	}
	if _, err := w.Write(p); err != nil {
		return err
	}
	return w.Close()
}

// resize tells the command's terminal every size.
func (s *execStream) resize(sizes <-chan sandbox.TerminalSize) {
	for {
		select {
		case size := <-sizes:
			told, err := json.Marshal(struct{ Width, Height int }{size.Columns, size.Rows})
			if err == nil {
				err = s.send(remotecommand.StreamResize, told)
			}
			if err != nil {
				return // The reader of the stream finds out.
			}
		case <-s.done:
			return
		}
	}
}

// Close ends the stream, and with it what is being read or written. The command finds
// its input ended.
func (s *execStream) Close() error {
	s.forget()
	_ = s.conn.Close() // It may be closed already, and is being thrown away.
	_ = s.out.Close()
	<-s.done
	return nil
}

// tail keeps the end of what is written to it, for an error's text.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	const limit = 1 << 10
	t.buf = append(t.buf, p...)
	t.buf = t.buf[max(0, len(t.buf)-limit):]
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.buf)) }
