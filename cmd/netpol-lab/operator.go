package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/netpol-lab/netpol-lab/web"
)

const (
	// operatorTokenFile is where the operator's token is kept in the data folder.
	operatorTokenFile = "operator-token"
	// shortestToken is how long a token of one's own has to be, in bytes: nobody is to
	// guess it in a lifetime.
	shortestToken = 20
)

// watchFlags are for whoever watches the lab.
type watchFlags struct {
	MetricsListen     string `placeholder:"ADDRESS" env:"NETPOL_LAB_METRICS_LISTEN" help:"Address to serve /metrics on for Prometheus, as 127.0.0.1:9090, without a token: nobody else is to reach it. On the lab's own address /metrics is for whoever has the operator's token. 'netpol-lab monitoring DIR' writes a dashboard, alerts and how to scrape."`
	OperatorTokenFile string `type:"existingfile" placeholder:"FILE" env:"NETPOL_LAB_OPERATOR_TOKEN_FILE" help:"File with the token for /operator, the page of whoever runs the lab; without, one is made at the first start and kept in the data folder."`
}

// operatorToken is what whoever runs the lab shows to be let in.
type operatorToken struct {
	hash web.TokenHash
	// file is where it stands.
	file string
	// made is the token where it was made just now; empty where it was there.
	made string
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
		t.made = strings.ToLower(rand.Text())
		text, err = []byte(t.made), d.writeToken(t.made)
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

// writeToken writes the token, the whole of it or nothing, for this user alone.
func (d *data) writeToken(token string) error {
	tmp, err := os.CreateTemp(d.dir, operatorTokenFile+".*.tmp") // with mode 0600
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(tmp, token)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), d.path(operatorTokenFile))
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // What is left is removed at the next start.
	}
	return err
}

// note tells whoever starts the server where their page is. The token itself is told once.
func (t operatorToken) note(url string) string {
	if t.made != "" {
		return fmt.Sprintf("The operator's page is at %soperator; its token is %s (kept in %s)\n", url, t.made, t.file)
	}
	return fmt.Sprintf("The operator's page is at %soperator; its token is in %s\n", url, t.file)
}
