package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// monitoring are the files for those who watch the lab with Prometheus and Grafana. They
// are in the program, for who runs it may have nothing else.
//
//go:embed monitoring
var monitoring embed.FS

type monitoringCmd struct {
	Dir string `arg:"" type:"path" help:"Folder to write the files to; it is made where it is missing. A file of the same name that says something else is left alone, and said."`
}

// Help is the end of what --help prints.
func (monitoringCmd) Help() string {
	return `Three files are written:

  prometheus.yml   how Prometheus asks the lab
  alerts.yml       alerts, as rules for Prometheus; each says where to look
  dashboard.json   a dashboard for Grafana: Dashboards, New, Import`
}

func (c *monitoringCmd) Run(std streams) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	files, err := fs.ReadDir(monitoring, "monitoring")
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := fs.ReadFile(monitoring, "monitoring/"+f.Name())
		if err != nil {
			return err
		}
		path := filepath.Join(c.Dir, f.Name())
		switch old, err := os.ReadFile(path); {
		case err == nil && string(old) == string(text):
			continue
		case err == nil:
			return fmt.Errorf("%s is there already and says something else; move it away, or choose another folder", path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(std.stdout, path)
	}
	return nil
}
