// Command netpol-probe runs in every pod of a lab and in the container that
// stands for the internet.
//
//	netpol-probe serve --name production/api --listen 8080/TCP --listen 9090/TCP
//	netpol-probe dial
//	netpol-probe hold
//	netpol-probe relay SOCKET
//	probe [ARGUMENT]...
//
// serve is the container's main process: it answers on the ports with its name.
// Without --name and --listen it takes NETPOL_PROBE_NAME and
// NETPOL_PROBE_LISTEN, such as "8080/TCP,8125/UDP"; without a port it waits. dial
// reads requests from its standard input and writes what it measured to its
// standard output; see the package sandbox/probe.
//
// The others are for the learner's terminal. hold is its container's main process,
// which waits for the end. relay passes what the command "probe" asks on to the
// server by its standard output, and the answers back. PROBE_FROM names the pod to
// probe from where the arguments of "probe" do not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const usage = `usage:
  netpol-probe serve [--name NAMESPACE/POD] [--listen PORT/PROTOCOL]...
  netpol-probe dial
  netpol-probe hold
  netpol-probe relay SOCKET
`

// errUsage says that the command line makes no sense.
var errUsage = errors.New("the command line makes no sense")

func main() {
	// As a container's first process it gets no signal that it does not ask for.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if filepath.Base(os.Args[0]) == "probe" {
		args := os.Args[1:]
		if from := os.Getenv("PROBE_FROM"); from != "" {
			args = append([]string{"--from", from}, args...)
		}
		os.Exit(ask(ctx, probe.RelaySocket, args, os.Stdout, os.Stderr))
	}
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	if errors.Is(err, errUsage) {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "netpol-probe:", err)
		os.Exit(1)
	}
}

// run runs the command. serve ends when ctx does; dial ends with stdin too.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == "serve":
		return serve(ctx, args[1:], getenv, stderr)
	case len(args) == 1 && args[0] == "dial":
		return dial(ctx, stdin, stdout)
	case len(args) == 1 && args[0] == "hold":
		hold(ctx)
		return nil
	case len(args) == 2 && args[0] == "relay":
		return until(ctx, func() error { return probe.Relay(ctx, args[1], stdin, stdout) })
	}
	return errUsage
}

func serve(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	listen := getenv("NETPOL_PROBE_LISTEN")
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("name", getenv("NETPOL_PROBE_NAME"), "")
	given := false
	flags.Func("listen", "", func(s string) error {
		if !given {
			listen, given = "", true // Flags replace the environment.
		}
		listen += "," + s
		return nil
	})
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errUsage
	}
	ports, err := probe.ParseListen(listen)
	if err != nil {
		return err
	}
	server := probe.Server{Name: *name, Log: slog.New(slog.NewTextHandler(stderr, nil))}
	return server.Serve(ctx, ports)
}

func dial(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	d, err := probe.NewDialer()
	if err != nil {
		return err
	}
	return until(ctx, func() error { return probe.Dial(d, stdin, stdout) })
}

// until does what is over when the standard input is, or ctx.
func until(ctx context.Context, do func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil // A read of the standard input cannot be broken off; the process ends.
	}
}

// hold waits until ctx ends. Processes whose parents have ended become the first
// process's children, and stay until it has taken notice.
func hold(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
		for {
			id, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if id <= 0 && !errors.Is(err, syscall.EINTR) {
				break
			}
		}
	}
}

// ask has the server answer, and returns the code to end with.
func ask(ctx context.Context, socket string, args []string, stdout, stderr io.Writer) int {
	answer, err := probe.Ask(ctx, socket, args)
	if err != nil {
		fmt.Fprintln(stderr, "probe:", err)
		return 3
	}
	if _, err := io.WriteString(stdout, answer.Text); err != nil {
		return 3
	}
	return answer.Code
}
