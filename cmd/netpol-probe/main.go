// Command netpol-probe runs in every pod of a lab and in the container that
// stands for the internet.
//
//	netpol-probe serve --name production/api --listen 8080/TCP --listen 9090/TCP
//	netpol-probe dial
//
// serve is the container's main process: it answers on the ports with its name.
// Without --name and --listen it takes NETPOL_PROBE_NAME and
// NETPOL_PROBE_LISTEN, such as "8080/TCP,8125/UDP"; without a port it waits. dial
// reads requests from its standard input and writes what it measured to its
// standard output; see the package sandbox/probe.
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
	"syscall"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const usage = `usage:
  netpol-probe serve [--name NAMESPACE/POD] [--listen PORT/PROTOCOL]...
  netpol-probe dial
`

// errUsage says that the command line makes no sense.
var errUsage = errors.New("the command line makes no sense")

func main() {
	// As a container's first process it gets no signal that it does not ask for.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
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
	ended := make(chan error, 1)
	go func() { ended <- probe.Dial(d, stdin, stdout) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil // A read of the standard input cannot be broken off; the process ends.
	}
}
