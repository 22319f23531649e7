package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxIdentity is the longest identity line.
	maxIdentity = 512
	// maxDatagram is the longest datagram that is read.
	maxDatagram = 4096
	// maxEcho is how much of a datagram comes back behind the identity line.
	maxEcho = 64
	// maxConns bounds the connections served at the same time on one port.
	maxConns = 1024
	// connTimeout is how long a connection is served.
	connTimeout = 5 * time.Second
)

// Listen is one port to serve.
type Listen struct {
	Port int
	// Network is "tcp" or "udp".
	Network string
}

// ParseListen reads a list of ports, "8080/TCP,8125/UDP". An empty list is
// allowed: it serves nothing.
func ParseListen(list string) ([]Listen, error) {
	var out []Listen
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		number, protocol, _ := strings.Cut(item, "/")
		port, err := strconv.Atoi(number)
		network := strings.ToLower(protocol)
		if err != nil || port < 1 || port > 65535 || (network != "tcp" && network != "udp") {
			return nil, fmt.Errorf("probe: %q is not a port to listen on: write it as 8080/TCP or 8125/UDP", item)
		}
		out = append(out, Listen{port, network})
	}
	return out, nil
}

// A Server answers on a pod's ports with the pod's name: over TCP with the line
// "netpol-probe NAME" to every connection, over UDP with that line to every
// datagram, followed by the datagram's own first 64 bytes.
type Server struct {
	// Name is who the server says it is, "namespace/pod".
	Name string
	Log  *slog.Logger
}

// Serve serves the ports until ctx ends. It fails at once where a port cannot
// be had.
func (s *Server) Serve(ctx context.Context, ports []Listen) error {
	if s.Name == "" || strings.ContainsAny(s.Name, "\r\n") || len(greeting)+len(s.Name)+1 > maxIdentity {
		return fmt.Errorf("probe: %q is not a name to answer with", s.Name)
	}
	var serve []func()
	var closers []func() error
	defer func() {
		for _, c := range closers {
			_ = c()
		}
	}()
	for _, l := range ports {
		address := ":" + strconv.Itoa(l.Port)
		if l.Network == "udp" {
			conn, err := net.ListenPacket("udp", address)
			if err != nil {
				return fmt.Errorf("probe: %w", err)
			}
			closers = append(closers, conn.Close)
			serve = append(serve, func() { s.servePacket(ctx, conn) })
			continue
		}
		lis, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		closers = append(closers, lis.Close)
		serve = append(serve, func() { s.serveStream(ctx, lis) })
	}
	var wg sync.WaitGroup
	for _, f := range serve {
		wg.Go(f)
	}
	s.Log.Info("serving", "name", s.Name, "ports", ports)
	<-ctx.Done()
	for _, c := range closers {
		_ = c()
	}
	closers = nil
	wg.Wait()
	return nil
}

// serveStream answers connections until the listener is closed.
func (s *Server) serveStream(ctx context.Context, lis net.Listener) {
	line := []byte(greeting + s.Name + "\n")
	slots := make(chan struct{}, maxConns)
	for {
		slots <- struct{}{}
		conn, err := lis.Accept()
		if err != nil {
			<-slots
			if !s.goOn(ctx, err) {
				return
			}
			continue
		}
		go func() {
			defer func() { <-slots }()
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(connTimeout))
			// Whoever has gone away needs no answer.
			_, _ = conn.Write(line)
		}()
	}
}

// servePacket answers datagrams until the socket is closed.
func (s *Server) servePacket(ctx context.Context, conn net.PacketConn) {
	in := make([]byte, maxDatagram)
	line := []byte(greeting + s.Name + "\n")
	for {
		n, from, err := conn.ReadFrom(in)
		if err != nil {
			if !s.goOn(ctx, err) {
				return
			}
			continue
		}
		// Whoever has gone away needs no answer.
		_, _ = conn.WriteTo(append(line[:len(line):len(line)], in[:min(n, maxEcho)]...), from)
	}
}

// goOn pauses after an error that may pass, such as that there are no more file
// descriptors. It reports whether to go on.
func (s *Server) goOn(ctx context.Context, err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	s.Log.Warn("cannot serve for a moment", "err", err)
	pause := time.NewTimer(100 * time.Millisecond)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-ctx.Done():
		return false
	}
}
