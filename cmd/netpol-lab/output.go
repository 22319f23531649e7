package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"sigs.k8s.io/yaml"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// errNo is the error of a command whose answer is no: the flow is blocked, there
// are findings, the policies differ. It is no failure and has nothing to say.
var errNo = errors.New("the answer is no")

// exitCodes is the end of the help of the commands that answer a question.
const exitCodes = `

Nothing is asked of Docker, of a cluster or of the network.

Exit codes: 0 %s; 1 %s; 2 bad input or usage, with the message on standard error.`

// finish writes out what is left, and gives the answer no as an error.
func finish(out *bufio.Writer, err error, no bool) error {
	if err := errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if no {
		return errNo
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// printWarnings is how a table's warnings are shown: beside it.
func printWarnings(w io.Writer, warnings []string) {
	for _, text := range warnings {
		fmt.Fprintln(w, "warning:", text)
	}
}

// located says which file a policy is in, which its positions are places of.
type located struct {
	policy.Ref
	File string `json:"file"`
}

// rest is what an object has beside its list.
type rest struct {
	Policies       []located `json:"policies,omitempty"`
	PoliciesBefore []located `json:"policiesBefore,omitempty"`
	PoliciesAfter  []located `json:"policiesAfter,omitempty"`
	Warnings       []string  `json:"warnings"`
}

// writeObject writes one object with a list and the rest, as JSON or YAML, item by
// item, for a large cluster has millions of flows.
func writeObject(w io.Writer, format, list string, items iter.Seq[any], r rest) error {
	if r.Warnings == nil {
		r.Warnings = []string{} // A list always.
	}
	if format == "yaml" {
		return writeYAML(w, list, items, r)
	}
	before, end := fmt.Sprintf("{\n  %q: [", list), ""
	for item := range items {
		js, err := toJSON(item, "    ")
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n    %s", before, js); err != nil {
			return err
		}
		before, end = ",", "\n  "
	}
	if end == "" {
		end = before
	}
	js, err := toJSON(r, "")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s],%s\n", end, bytes.TrimPrefix(js, []byte("{")))
	return err
}

// toJSON is a value as it stands in the object, its further lines indented by the
// prefix.
func toJSON(v any, prefix string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

func writeYAML(w io.Writer, list string, items iter.Seq[any], r rest) error {
	before := list + ":\n"
	for item := range items {
		text, err := yaml.Marshal([]any{item})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", before, text); err != nil {
			return err
		}
		before = ""
	}
	if before != "" {
		if _, err := fmt.Fprintf(w, "%s: []\n", list); err != nil {
			return err
		}
	}
	text, err := yaml.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}
