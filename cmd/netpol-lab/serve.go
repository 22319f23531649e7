package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/static"
	"github.com/netpol-lab/netpol-lab/web"
	"github.com/netpol-lab/netpol-lab/web/store"
)

type serveCmd struct {
	Sandbox        string         `enum:"auto,kind,simulated" default:"auto" env:"NETPOL_LAB_SANDBOX" help:"What sandboxes are made of: auto (kind where Docker and the node image are ready, else simulated), kind (refuse to start where they are not) or simulated (needs nothing; every page says so)."`
	Listen         string         `default:"127.0.0.1:8080" env:"NETPOL_LAB_LISTEN" help:"Address to serve on."`
	Host           []string       `env:"NETPOL_LAB_HOST" help:"Name that the lab goes by besides localhost and, where others can reach it, the machine's own names and addresses: behind a proxy, for example. Requests for any other name are refused."`
	TrustedProxies []netip.Prefix `placeholder:"CIDR" env:"NETPOL_LAB_TRUSTED_PROXIES" help:"Addresses of proxies, as 192.0.2.0/24 or 192.0.2.1/32: the client's address, and whether it speaks TLS, come from their X-Forwarded-For and X-Forwarded-Proto, and from nobody else's. Such a proxy passes the Host on; --host names it."`
	Open           bool           `env:"NETPOL_LAB_OPEN" help:"Open the lab in the browser."`
	MaxSandboxes   int            `default:"0" env:"NETPOL_LAB_MAX_SANDBOXES" help:"How many sandboxes may run at once; 0 means as many as fit on the machine (netpol-lab doctor says what limits them), and 5000 simulated ones. More than the memory has room for there are never."`
	PoolReserve    int            `default:"-1" env:"NETPOL_LAB_POOL_RESERVE" help:"How many clusters are kept booted and paused for whoever starts next, so that they need not wait; -1 means 1 where there may be at least 3 sandboxes. None is kept for simulated sandboxes."`
	PoolMax        int            `default:"-1" env:"NETPOL_LAB_POOL_MAX" help:"How many clusters there may be in all when one is booted for the reserve; -1 means as many as --max-sandboxes, 0 that none is kept in reserve."`
	PauseAfter     time.Duration  `default:"5m" env:"NETPOL_LAB_PAUSE_AFTER" help:"How long a sandbox may be left alone, with no page open, before it is paused: it keeps everything and costs no CPU, and wakes in about half a second. 0 pauses none."`
	Supervised     bool           `env:"NETPOL_LAB_SUPERVISED" help:"Somebody looks after the class: no sandbox is stopped for its age, for being left alone, or to make room for those who wait."`
	ForgetAfter    int            `default:"90" env:"NETPOL_LAB_FORGET_AFTER" help:"Days after which the record of a learner is deleted who never gave a name and has not come back; 0 keeps them all."`
	Lessons        string         `type:"existingdir" placeholder:"DIR" env:"NETPOL_LAB_LESSONS" help:"Folder of lessons to teach beside the lab's own; 'lessons check --beside' says what is wrong with it."`
	Quizzes        string         `type:"existingdir" placeholder:"DIR" env:"NETPOL_LAB_QUIZZES" help:"Folder of quizzes to ask beside the lab's own, about its lessons or those of --lessons; 'quizzes check --beside' says what is wrong with it."`
	watchFlags
	dataFlags
	kindFlags
	patience patience
	operator operatorToken
}

func (c *serveCmd) Run(ctx context.Context, std streams) error {
	log := newLog(std.stderr)
	teaches, err := ownContent()
	if err != nil {
		return err
	}
	if err := teaches.add(c.Lessons, c.Quizzes); err != nil {
		return err
	}
	data, err := c.dataFlags.open()
	if err != nil {
		return err
	}
	defer data.close()

	made, instead, err := c.choose(ctx, c.Sandbox, data, log)
	if err != nil {
		return err
	}
	files, err := static.Load(static.Content())
	if err != nil {
		return err
	}
	progress, err := store.Open(ctx, data.path("learners.db"))
	if err != nil {
		return err
	}
	defer func() {
		if err := progress.Close(); err != nil {
			log.Error("learners' file not closed", "error", err)
		}
	}()
	if err := made.open(ctx, progress, log); err != nil {
		return err
	}
	labs := web.NewLabs(teaches.lessons, progress)
	opts := made.Options
	opts.Log, opts.Lab, opts.Named, opts.Supervised = log, labs.Topology, progress.Named, c.Supervised
	if err := c.size(&opts, made.most, teaches.lessons, log); err != nil {
		return err
	}
	if c.operator, err = data.operatorToken(c.OperatorTokenFile); err != nil {
		return err
	}
	metrics := newMetrics()
	opts.Metrics = metrics
	manager, err := sandbox.NewManager(opts)
	if err != nil {
		return err
	}
	defer manager.Close()
	metrics.oversee(manager)
	operator := &web.Operator{Token: c.operator.hash, Sandboxes: manager, Names: progress.Names, Metrics: metrics.handler(log)}
	if m, ok := made.Provider.(metered); ok {
		operator.Costs = &web.Meter{Ask: m.Costs, Closing: ctx, Failed: func(err error) {
			log.Warn("what the clusters take is not known", "error", err)
		}}
	}
	if c.MetricsListen != "" {
		stop, err := serveMetrics(c.MetricsListen, operator.Metrics, log)
		if err != nil {
			return err
		}
		defer stop()
	}
	if c.ForgetAfter > 0 {
		stop := inBackground(ctx, func(ctx context.Context) {
			forgetStrangers(ctx, progress, time.Duration(c.ForgetAfter)*24*time.Hour, log)
		})
		defer stop()
	}
	machine := thisMachine()
	handler, err := web.New(web.Deps{
		Sandboxes: manager, Progress: progress, Labs: labs, Lessons: teaches.lessons, Quizzes: teaches.quizzes, Static: files, Log: log, Closing: ctx,
		Health: data.health.Err, ForgetDays: c.ForgetAfter, Hosts: machine.hosts(c.Listen, c.Host), TrustedProxies: c.TrustedProxies,
		Operator: operator, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	note := ""
	switch {
	case instead != nil:
		note = fmt.Sprintf("Its sandboxes are simulated, for real ones cannot be made here: %v.\n'make run SANDBOX=kind' sets up what is missing.\n", instead)
	case manager.Provider() == sandbox.Simulated:
		note = "Its sandboxes are simulated, as you have asked.\n"
	}
	c.patience = patience{requests: 3 * time.Second, end: 10 * time.Second}
	return c.serve(ctx, handler, machine, note, std.stdout, log)
}

// size sets how many sandboxes there may be, and what is kept in reserve. most is how many
// the memory has room for, 0 where nobody knows.
func (c *serveCmd) size(opts *sandbox.Options, most int, teaches []*lessons.Lesson, log *slog.Logger) error {
	switch {
	case c.MaxSandboxes < 0:
		return fmt.Errorf("--max-sandboxes %d: want 0, for as many as fit, or more", c.MaxSandboxes)
	case c.PoolReserve < -1:
		return fmt.Errorf("--pool-reserve %d: want 0 or more, or -1 to have the lab decide", c.PoolReserve)
	case c.PoolMax < -1:
		return fmt.Errorf("--pool-max %d: want 0 or more, or -1 for as many as --max-sandboxes", c.PoolMax)
	case c.PauseAfter < 0:
		return fmt.Errorf("--pause-after %s: want 0, to pause none, or a time", c.PauseAfter)
	}
	if c.MaxSandboxes > 0 {
		asked, fit := c.MaxSandboxes, opts.MaxSandboxes
		if most > 0 && asked > most {
			log.Warn("--max-sandboxes is cut to what the memory has room for", "--max-sandboxes", asked, "max", most)
			asked = most
		}
		if most > 0 && asked > fit {
			log.Warn("there may be more sandboxes than fit on this machine; netpol-lab doctor says what limits them", "max", asked, "fit", fit)
		}
		opts.MaxSandboxes = asked
	}
	if opts.Provider.Name() == sandbox.Simulated {
		return nil // They are made at once, and cost nothing.
	}
	if opts.PauseAfter = c.PauseAfter; c.PauseAfter == 0 {
		opts.PauseAfter = -1
	}
	switch {
	case c.PoolReserve >= 0:
		opts.PoolReserve = c.PoolReserve
	case opts.MaxSandboxes >= 3: // Else a cluster for whoever comes would take what somebody needs.
		opts.PoolReserve = 1
	}
	if c.PoolMax > 0 {
		opts.PoolMax = c.PoolMax
	}
	if c.PoolMax == 0 {
		opts.PoolReserve = 0
	}
	if opts.PoolReserve > opts.MaxSandboxes {
		log.Warn("the reserve is larger than what there may be in all; it is cut", "reserve", opts.PoolReserve, "max", opts.MaxSandboxes)
		opts.PoolReserve = opts.MaxSandboxes
	}
	opts.Likeliest = teaches[0].Topology
	return nil
}

// inBackground runs f until it is stopped, or ctx ends; stop waits for its end.
func inBackground(ctx context.Context, f func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// serve answers requests until ctx ends, then lets those in hand finish.
func (c *serveCmd) serve(ctx context.Context, handler http.Handler, machine machine, note string, stdout io.Writer, log *slog.Logger) error {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("%w (--listen chooses another address)", err)
	}
	listener = web.BoundConnections(listener, c.TrustedProxies)
	base, breakOff := context.WithCancel(context.WithoutCancel(ctx))
	defer breakOff()
	server := &http.Server{
		BaseContext:       func(net.Listener) context.Context { return base },
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // websockets set deadlines of their own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	url, others := machine.urls(listener.Addr())
	if len(others) > 0 {
		note += "Others reach it at " + strings.Join(others, " or ") + "\n"
	}
	if c.operator.file != "" {
		note += c.operator.note(url)
	}
	fmt.Fprintf(stdout, "The lab is at %s (Ctrl-C stops it)\n%s", url, note)
	if c.Open {
		openBrowser(url, log)
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping; sandboxes that are ready go on running and are there again after the next start (netpol-lab clean removes them)")
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.patience.end)
	defer cancel()
	defer time.AfterFunc(c.patience.requests, breakOff).Stop()
	err = server.Shutdown(graceful)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("requests in hand did not end, and are broken off")
		return server.Close()
	}
	return err
}

// patience is how long the server's end waits.
type patience struct {
	// requests is how long those in hand may go on, and end how long they may then
	// take, from the beginning, to break off what they do: a check waits for a
	// sandbox to settle.
	requests, end time.Duration
}

// openBrowser is a courtesy: on a machine without a desktop nothing happens.
func openBrowser(url string, log *slog.Logger) {
	name := "xdg-open"
	if runtime.GOOS == "darwin" {
		name = "open"
	} else if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	opener := exec.Command(name, url)
	if err := opener.Start(); err != nil {
		log.Info("no browser opened", "error", err)
		return
	}
	go opener.Wait() // only so that no zombie is left
}
