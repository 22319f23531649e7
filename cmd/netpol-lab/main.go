// Command netpol-lab serves the lab and builds what it needs. It is the only
// place where the parts are wired together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line. Every flag of the server can also be set by the
// environment.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Serve the lab."`
	Eval       evalCmd       `cmd:"" help:"Say what NetworkPolicies allow, and why."`
	Lint       lintCmd       `cmd:"" help:"Say what is probably not meant in NetworkPolicies."`
	Diff       diffCmd       `cmd:"" help:"Say what changes from one set of NetworkPolicies to another."`
	Lessons    lessonsCmd    `cmd:"" help:"Check lessons that you write."`
	Quizzes    quizzesCmd    `cmd:"" help:"Check quizzes that you write."`
	Image      imageCmd      `cmd:"" help:"Get the node image and the pod image: fetched, loaded or built. What is up to date costs nothing."`
	Doctor     doctorCmd     `cmd:"" help:"Say whether this machine can run sandboxes, how many, and what is missing."`
	Monitoring monitoringCmd `cmd:"" help:"Write a dashboard, alerts and how to scrape, for Prometheus and Grafana."`
	Clean      cleanCmd      `cmd:"" help:"Remove every sandbox of a data folder."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// streams are where commands read and write.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

func main() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // The first signal asks for an end; the second does not ask.
		<-signals
		stop()
		<-signals
		os.Exit(exitAtOnce)
	}()
	err := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	os.Exit(report(os.Stderr, err))
}

// exitAtOnce is the exit code of a program that a second signal has ended.
const exitAtOnce = 130

// report writes the error's message and returns the exit code: 1 for a failure, or
// where the answer of a command is no; 2 where the input or the command line is
// wrong.
func report(stderr io.Writer, err error) int {
	var input inputError
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return 1
	case errors.As(err, &input): // Each line begins with a place, which editors look for there.
		fmt.Fprintln(stderr, err)
		return 2
	}
	fmt.Fprintln(stderr, "netpol-lab:", err)
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// usageError is a mistake on the command line.
type usageError struct{ error }

// run carries out one command until it is done or ctx ends.
func run(ctx context.Context, args []string, std streams) error {
	var c cli
	exited := false
	parser, err := kong.New(&c,
		kong.Name("netpol-lab"),
		kong.Description("A lab that teaches Kubernetes NetworkPolicies by doing."),
		kong.Writers(std.stdout, std.stderr),
		kong.Exit(func(int) { exited = true }),
		kong.UsageOnError(),
		kong.Vars{"topology_help": topologyHelp},
	)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited {
		return nil // help was asked for and printed
	}
	if err != nil {
		return &usageError{err}
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed.Run(std)
}

func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, nil))
}

type versionCmd struct{}

func (versionCmd) Run(std streams) error {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	_, err := fmt.Fprintln(std.stdout, "netpol-lab", version)
	return err
}
