package prose

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ours are the words of our field that a dictionary of English does not have, one a
// line.
//
//go:embed words.txt
var ours string

// address is where a link of Markdown goes.
var address = regexp.MustCompile(`\]\([^)]*\)`)

// Misspelt are the words of the text that neither British English nor our field
// knows, each once. It asks the program hunspell with its dictionary en_GB. Where that
// is missing the test is left out, which make test names loudly and CI forbids;
// misspell, in make check, still finds the common mistakes.
func Misspelt(t *testing.T, text string) []string {
	t.Helper()
	if err := exec.Command("hunspell", "-l", "-d", "en_GB").Run(); err != nil {
		missing := fmt.Sprintf("hunspell with its dictionary en_GB: %v (on Debian: apt-get install hunspell hunspell-en-gb)", err)
		if os.Getenv("NETPOL_LAB_REQUIRE") == "all" {
			t.Fatal("NETPOL_LAB_REQUIRE=all: " + missing)
		}
		t.Skip(missing)
	}
	dictionary := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(dictionary, []byte(ours), 0o600); err != nil {
		t.Fatal(err)
	}
	// A personal dictionary has no words with a dash, so its parts are looked up.
	text = strings.NewReplacer("-", " ", "’", "'").Replace(address.ReplaceAllString(code.ReplaceAllString(text, ""), "]"))
	cmd := exec.Command("hunspell", "-l", "-d", "en_GB", "-i", "utf-8", "-p", dictionary)
	cmd.Stdin = strings.NewReader(text)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil || failure.Len() > 0 {
		t.Fatal(fmt.Errorf("hunspell: %w: %s", err, failure.String()))
	}
	unknown := strings.Fields(string(out))
	slices.Sort(unknown)
	return slices.Compact(unknown)
}
