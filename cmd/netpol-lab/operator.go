package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web"
)

const (
	// operatorTokenFile is where the operator's token is kept in the data folder.
	operatorTokenFile = "operator-token"
	// shortestToken is how long a token of one's own has to be, in bytes: nobody is to
	// guess it in a lifetime.
	shortestToken = 20
)

// metered is a provider that can tell what its clusters take of the machine.
type metered interface {
	Costs(ctx context.Context) (map[sandbox.ClusterID]sandbox.Cost, error)
}

// watchFlags are for whoever watches the lab.
type watchFlags struct {
	MetricsListen     string `placeholder:"ADDRESS" env:"NETPOL_LAB_METRICS_LISTEN" help:"Address to serve /metrics on for Prometheus, as 127.0.0.1:9464, without a token: nobody else is to reach it. On the lab's own address /metrics is for whoever has the operator's token. 'netpol-lab monitoring DIR' writes a dashboard, alerts and how to scrape."`
	OperatorTokenFile string `type:"existingfile" placeholder:"FILE" env:"NETPOL_LAB_OPERATOR_TOKEN_FILE" help:"File with the token for /operator, the page of whoever runs the lab; without, one is made at the first start and kept in the data folder."`
}

// operatorToken is what whoever runs the lab shows to be let in.
type operatorToken struct {
	hash web.TokenHash
	// file is where it stands.
	file string
}

// operatorToken reads the operator's token from the file, where one is given, or else from
// the data folder. There one is made where there is none.
func (d *data) operatorToken(file string) (operatorToken, error) {
	t := operatorToken{file: file}
	if file == "" {
		t.file = d.path(operatorTokenFile)
	}
	text, err := os.ReadFile(t.file)
	if file == "" && errors.Is(err, fs.ErrNotExist) {
		made := strings.ToLower(rand.Text())
		text, err = []byte(made), d.replace(operatorTokenFile, func(f *os.File) error {
			_, err := fmt.Fprintln(f, made)
			return err
		})
	}
	if err != nil {
		if file == "" {
			err = dataError(d.dir, err)
		}
		return t, fmt.Errorf("operator's token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	switch {
	case len(token) < shortestToken:
		return t, fmt.Errorf("operator's token: %s has %d characters, and at least %d are needed, so that nobody guesses it", t.file, len(token), shortestToken)
	case strings.ContainsAny(token, " \t\r\n"):
		return t, fmt.Errorf("operator's token: %s has more than one word in it", t.file)
	}
	// What others have set up is theirs; but a token that everybody reads is none.
	if info, err := os.Stat(t.file); err == nil && file == "" && info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(t.file, 0o600); err != nil {
			return t, fmt.Errorf("operator's token: %w", err)
		}
	}
	t.hash = web.HashToken(token)
	return t, nil
}

// note tells whoever starts the server where their page is, and where the token: what is
// printed stands in more logs than anybody thinks of.
func (t operatorToken) note(url string) string {
	return fmt.Sprintf("The operator's page is at %soperator; its token is in %s\n", url, t.file)
}
