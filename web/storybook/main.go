// Command storybook serves every view and every state of the lab's pages, those too that
// can rarely be seen: an index, and each story as the real page under a name of its own.
// What is in a page is made up, and comes by the interfaces that the real thing has: the
// handlers, the views, the scripts and the events' protocol are those of the lab.
// `make storybook` runs it, and web/e2e/storybook.test.mjs draws all of it.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/static"
	"github.com/netpol-lab/netpol-lab/web/store"
)

var listen = flag.String("listen", "127.0.0.1:8090", "address to serve on; each story has a name under localhost there")

func main() {
	log.SetFlags(0)
	log.SetPrefix("storybook: ")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "storybook-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kept, err := store.Open(ctx, filepath.Join(dir, "learners.db"))
	if err != nil {
		return err
	}
	defer kept.Close()
	book, err := newBook(ctx, kept)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("%w (-listen chooses another address)", err)
	}
	server := &http.Server{Handler: book, ReadHeaderTimeout: 10 * time.Second}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	fmt.Fprintf(stdout, "The storybook is at http://localhost:%s/ (Ctrl-C stops it)\n", port)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// script acts in a story's page what a learner would do there.
//
//go:embed act.js
var script []byte

// index is the list of stories.
//
//go:embed index.html
var pages embed.FS

var index = template.Must(template.ParseFS(pages, "index.html"))

// book is all stories, each under a name of its own: what a browser keeps of one is not
// another's.
type book struct {
	stories []story
	pages   map[string]http.Handler
	files   *static.Files
}

// content is what all stories show.
type content struct {
	lessons []*lessons.Lesson
	quizzes []*quizzes.Quiz
	files   *static.Files
	kept    *store.Store
	closing context.Context
	log     *slog.Logger
}

func newBook(ctx context.Context, kept *store.Store) (*book, error) {
	files, err := static.Load(static.Content())
	if err != nil {
		return nil, err
	}
	if files.URL("dist/lab.js") == "" {
		return nil, errors.New("the scripts are not built: run npm run build in web/frontend")
	}
	all, err := lessons.Load(lessons.Content())
	if err != nil {
		return nil, err
	}
	topologies := map[string]*sandbox.Topology{}
	for _, l := range all {
		topologies[l.Slug] = l.Topology
	}
	asked, err := quizzes.Load(quizzes.Content(), topologies)
	if err != nil {
		return nil, err
	}
	c := content{lessons: all, quizzes: asked, files: files, kept: kept, closing: ctx, log: slog.New(slog.DiscardHandler)}
	b := &book{pages: map[string]http.Handler{}, files: files}
	for _, s := range stories(c) {
		page, err := newPage(c, s)
		if err != nil {
			return nil, fmt.Errorf("story %s: %w", s.Name, err)
		}
		if b.pages[s.Name] != nil {
			return nil, fmt.Errorf("two stories are called %s", s.Name)
		}
		b.stories, b.pages[s.Name] = append(b.stories, s), page
	}
	return b, nil
}

// told is a story as the index tells it.
type told struct {
	Name  string `json:"name"`
	Group string `json:"group"`
	Title string `json:"title"`
	URL   string `json:"url"`
	// Provokes are the errors that belong on the page's console: what a request for that
	// path is answered with.
	Provokes []string `json:"provokes"`
}

func (b *book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, port, _ := net.SplitHostPort(r.Host)
	if name, ok := strings.CutSuffix(host, ".localhost"); ok {
		if page := b.pages[name]; page != nil {
			page.ServeHTTP(w, r)
			return
		}
		http.Error(w, "There is no such story.", http.StatusNotFound)
		return
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		http.Error(w, "The storybook goes by the name localhost.", http.StatusMisdirectedRequest)
		return
	}
	list := make([]told, len(b.stories))
	for i, s := range b.stories {
		list[i] = told{s.Name, s.Group, s.Title, "http://" + s.Name + ".localhost:" + port + s.url(), append([]string{}, s.Provokes...)}
	}
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := index.Execute(w, struct {
			Styles  string
			Stories []told
		}{b.files.URL(static.Styles), list}); err != nil {
			log.Print(err)
		}
	case "/stories.json":
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(list); err != nil {
			log.Print(err)
		}
	default:
		if !b.files.Serve(w, r) {
			http.NotFound(w, r)
		}
	}
}
