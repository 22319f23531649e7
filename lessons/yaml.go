package lessons

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/place"
)

// decodeStrict decodes the one document of a file into v; a field that v does not
// have, or a value of another type, is an error with its line. The node is the
// file's, for [lineOfField].
func decodeStrict(file string, src []byte, v any) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	decoder.KnownFields(true)
	err := decoder.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:1: the file is empty", file)
	}
	if err != nil {
		return nil, yamlErrors(file, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: want one document, without a line of --- in it", file)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(src, &root); err != nil {
		return nil, yamlErrors(file, err)
	}
	return &root, nil
}

var (
	yamlLine     = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+): (.*)$`)
	unknownField = regexp.MustCompile(`^field (.+) not found in type .*$`)
	wrongType    = regexp.MustCompile("^cannot unmarshal (.*) into .*$")
)

// yamlErrors puts the decoder's errors as "file:line: message".
func yamlErrors(file string, err error) error {
	messages := []string{err.Error()}
	var types *yaml.TypeError
	if errors.As(err, &types) {
		messages = types.Errors
	}
	var errs []error
	for _, m := range messages {
		at := file + ":1" // The decoder leaves the first line out.
		if parts := yamlLine.FindStringSubmatch(m); parts != nil {
			at, m = file+":"+parts[1], parts[2]
		}
		m = strings.TrimPrefix(m, "yaml: ")
		if parts := unknownField.FindStringSubmatch(m); parts != nil {
			m = parts[1] + ": is not a field here"
		} else if parts := wrongType.FindStringSubmatch(m); parts != nil {
			m = "is of the wrong type: " + strings.Replace(parts[1], "!!", "a ", 1)
		}
		errs = append(errs, fmt.Errorf("%s: %s", at, m))
	}
	return errors.Join(errs...)
}

// parsePolicies parses policies that stand in a file behind that many lines.
func (l *Lesson) parsePolicies(file string, behind int, src []byte) ([]policy.Policy, error) {
	policies, err := policy.Parse(src, policy.ParseOptions{Namespaces: l.Topology.NamespaceNames()})
	var invalid *policy.Error
	if !errors.As(err, &invalid) {
		return policies, err
	}
	var errs []error
	for _, p := range invalid.Problems {
		at := file
		if p.Line > 0 {
			at += ":" + strconv.Itoa(behind+p.Line)
		}
		if p.Field != "" {
			at += ": " + p.Field
		}
		errs = append(errs, fmt.Errorf("%s: %s", at, p.Message))
	}
	return nil, errors.Join(errs...)
}

// lineOfField is the line of a field such as "checks[2].want" or
// "namespaces[shop].pods", or of the nearest around it that is there. In brackets
// is an item's index or its name.
func lineOfField(root *yaml.Node, field string) int {
	return place.Find(root, place.Steps(field)...).Key.Line
}
