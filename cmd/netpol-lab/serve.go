package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/static"
	"github.com/netpol-lab/netpol-lab/web"
)

type serveCmd struct {
	Sandbox      string   `enum:"auto,kind,simulated" default:"auto" env:"NETPOL_LAB_SANDBOX" help:"What sandboxes are made of: auto (kind, and where that is not ready the pages say what is missing), kind (refuse to start where it is not ready) or simulated."`
	Listen       string   `default:"127.0.0.1:8080" env:"NETPOL_LAB_LISTEN" help:"Address to serve on."`
	Host         []string `env:"NETPOL_LAB_HOST" help:"Name that the lab goes by besides localhost, where it listens on the loopback interface (behind a proxy, for example). On other addresses every name will do unless names are given."`
	Open         bool     `env:"NETPOL_LAB_OPEN" help:"Open the lab in the browser."`
	MaxSandboxes int      `default:"0" env:"NETPOL_LAB_MAX_SANDBOXES" help:"How many sandboxes may run at once; 0 means as many as the machine's memory has room for."`
	dataFlags
	kindFlags
}

func (c *serveCmd) Run(ctx context.Context, std streams) error {
	if c.Sandbox == "simulated" {
		return errors.New("--sandbox simulated: this version has no simulator yet; use kind, which needs Docker and the node image (make node-image)")
	}
	log := newLog(std.stderr)
	data, err := openData(c.Data)
	if err != nil {
		return err
	}
	defer data.close()

	provider, err := c.provider(data.instance, log)
	if err != nil {
		return err
	}
	if err := provider.Check(ctx); err != nil {
		if c.Sandbox == "kind" {
			return fmt.Errorf("sandboxes cannot be made here: %w", err)
		}
		log.Warn("sandboxes cannot be made here; the pages say so", "missing", err)
	}
	allLessons, err := lessons.Load(lessons.Content())
	if err != nil {
		return err
	}
	labs := map[string]*sandbox.Topology{}
	for _, l := range allLessons {
		labs[l.Topology.Name] = l.Topology
	}
	allQuizzes, err := quizzes.Load(quizzes.Content(), labs)
	if err != nil {
		return err
	}
	files, err := static.Load()
	if err != nil {
		return err
	}
	records, err := sandbox.OpenRecords(data.path("sandboxes"))
	if err != nil {
		return err
	}
	if c.MaxSandboxes == 0 {
		c.MaxSandboxes = sandboxesThatFit()
	}
	manager, err := sandbox.NewManager(sandbox.Options{
		Provider: provider, Records: records, Labs: labs, MaxSandboxes: c.MaxSandboxes, Log: log,
	})
	if err != nil {
		return err
	}
	defer manager.Close()
	handler, err := web.New(web.Deps{
		Sandboxes: manager, Lessons: allLessons, Quizzes: allQuizzes, Static: files, Log: log, Hosts: hosts(c.Listen, c.Host), Closing: ctx,
	})
	if err != nil {
		return err
	}
	return c.serve(ctx, handler, std.stdout, log)
}

// serve answers requests until ctx ends, then lets those in hand finish.
func (c *serveCmd) serve(ctx context.Context, handler http.Handler, stdout io.Writer, log *slog.Logger) error {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("%w (--listen chooses another address)", err)
	}
	server := &http.Server{
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
	url := "http://" + listener.Addr().String() + "/"
	fmt.Fprintf(stdout, "The lab is at %s (Ctrl-C stops it)\n", url)
	if c.Open {
		openBrowser(url, log)
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping; sandboxes that are ready go on running and are there again after the next start (netpol-lab clean removes them)")
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(graceful); err != nil {
		return errors.Join(fmt.Errorf("stopping: %w", err), server.Close())
	}
	return nil
}

// hosts are the names for which requests are answered; nil means every name.
func hosts(listen string, names []string) []string {
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return append([]string{"localhost", "127.0.0.1", "::1", host}, names...)
	}
	return names
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
