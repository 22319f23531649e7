package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/place"
)

// maxInput is the longest file that is read, in bytes.
const maxInput = 16 << 20

// stdinName is what standard input is called on the command line.
const stdinName = "-"

// policyFlags say where the policies are.
type policyFlags struct {
	Filename  []string `name:"filename" short:"f" sep:"none" placeholder:"PATH" help:"File of NetworkPolicies, folder of such files (.yaml, .yml, .json; not its subfolders), or - for standard input. May be repeated."`
	Namespace string   `short:"n" help:"Namespace of the policies that name none."`
}

// topologyHelp is the help of every --topology.
const topologyHelp = "What the policies act on: the lab's topology file, what kubectl get ns,pods,svc,nodes -A -o yaml printed, or - for standard input."

// inputError is something wrong with what was given, as lines each of which says
// where: "file:line:column: what".
type inputError []string

func (e inputError) Error() string { return strings.Join(e, "\n") }

// scenario is what a question is about.
type scenario struct {
	network  policy.Network
	policies policySet
	warnings []string
}

// policySet is a set of policies with the files that they are in.
type policySet struct {
	policies []policy.Policy
	files    map[policy.Ref]string
}

// where is a place in a policy as "file:line:column".
func (s *policySet) where(ref policy.Ref, pos policy.Position) string {
	return filePlace(s.files[ref], pos)
}

// located lists the policies with their files.
func (s *policySet) located() []located {
	out := make([]located, len(s.policies))
	for i, p := range s.policies {
		ref := p.Ref()
		out[i] = located{ref, s.files[ref]}
	}
	return out
}

func filePlace(file string, pos policy.Position) string {
	if pos.Line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d:%d", file, pos.Line, pos.Column)
}

// load reads the topology, and the policies from the files or, where none are
// given, those that the topology brings along.
func load(std streams, topology string, flags policyFlags) (*scenario, error) {
	if topology == stdinName && slices.Contains(flags.Filename, stdinName) {
		return nil, &usageError{errors.New("standard input is either the topology or policies, not both")}
	}
	s := &scenario{}
	if topology != "" {
		if err := s.readTopology(std, topology, len(flags.Filename) == 0); err != nil {
			return nil, err
		}
	}
	if len(flags.Filename) > 0 {
		set, warnings, err := readPolicies(std, flags.Filename, flags.Namespace)
		if err != nil {
			return nil, err
		}
		s.policies = set
		s.warnings = append(s.warnings, warnings...)
	}
	if topology != "" {
		s.warnings = append(s.warnings, withoutNamespace(&s.network, &s.policies)...)
	}
	return s, nil
}

// withoutNamespace warns of policies that are for no namespace of the network.
func withoutNamespace(n *policy.Network, set *policySet) []string {
	var out []string
	for _, p := range set.policies {
		if !slices.ContainsFunc(n.Namespaces, func(ns policy.Namespace) bool { return ns.Name == p.Namespace }) &&
			!slices.ContainsFunc(n.Pods, func(pod policy.Pod) bool { return pod.Namespace == p.Namespace }) {
			ref := p.Ref()
			out = append(out, fmt.Sprintf("%s: The policy %s does nothing here: the topology has no namespace %s.", set.where(ref, p.Position("metadata.namespace")), ref, p.Namespace))
		}
	}
	return out
}

func (s *scenario) readTopology(std streams, name string, withPolicies bool) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return inputError{name + ": a topology is one file, and this is a folder"}
	}
	src, shown, err := readFile(std, name)
	if err != nil {
		return err
	}
	if !isClusterObjects(src) {
		t, err := sandbox.ParseTopology(src)
		if err != nil {
			return topologyProblems(shown, src, err)
		}
		s.network = t.Network(t.PlannedAddresses())
		return nil
	}
	network, warnings, err := policy.ReadNetwork(src)
	if err != nil {
		return problemsIn(shown, err)
	}
	s.network = network
	for _, w := range warnings {
		s.warnings = append(s.warnings, shown+": "+w)
	}
	only, others := policy.OnlyPolicies(src)
	for _, o := range others {
		if o.IsPolicy() {
			s.warnings = append(s.warnings, otherPolicy(shown, o))
		}
	}
	if !withPolicies || len(only) == 0 {
		return nil
	}
	set := policySet{files: map[policy.Ref]string{}}
	if problems := set.parse(shown, only, ""); len(problems) > 0 {
		return problems
	}
	s.policies = set
	return nil
}

// topologyProblems names the place in the file of every problem of a topology.
func topologyProblems(file string, src []byte, err error) inputError {
	var root yaml.Node
	if yaml.Unmarshal(src, &root) != nil {
		root = yaml.Node{} // Then err says the line.
	}
	var out inputError
	for line := range strings.Lines(err.Error()) {
		line = decoderWords.ReplaceAllString(strings.TrimSpace(line), "")
		at := policy.Position{}
		if m := yamlLine.FindStringSubmatch(line); m != nil {
			out = append(out, fmt.Sprintf("%s:%s: %s", file, m[1], line[len(m[0]):]))
			continue
		}
		if m := unknownField.FindStringSubmatch(line); m != nil {
			if key := place.Key(&root, m[1]); key != nil {
				at = policy.Position{Line: key.Line, Column: key.Column}
			}
		} else if n := nodeAt(&root, line); n.Line > 0 {
			at = policy.Position{Line: n.Line, Column: n.Column}
		}
		out = append(out, filePlace(file, at)+": "+line)
	}
	return out
}

var (
	decoderWords = regexp.MustCompile(`^(topology: )?(error (unmarshaling JSON|converting YAML to JSON): )?(while decoding JSON: )?(json: )?`)
	yamlLine     = regexp.MustCompile(`^yaml: line (\d+): `)
	unknownField = regexp.MustCompile(`^unknown field "(.*)"$`)
	pathStep     = regexp.MustCompile(`^\.?([a-zA-Z]+)(?:\[([^]]*)\])?`)
)

// nodeAt follows the path that a topology's problem begins with, in which the
// entries of lists go by their names: "namespaces[a].pods[b].ports: ...". It goes
// as far as there is something.
func nodeAt(root *yaml.Node, path string) *yaml.Node {
	var steps []any
	for {
		m := pathStep.FindStringSubmatch(path)
		if m == nil {
			return place.Find(root, steps...).Node
		}
		steps = append(steps, m[1])
		if path = path[len(m[0]):]; m[2] != "" && strings.HasSuffix(path, "listed twice") {
			steps = append(steps, place.Last(m[2])) // The problem is with the last.
		} else if m[2] != "" {
			steps = append(steps, m[2])
		}
	}
}

// isClusterObjects tells what kubectl prints from the lab's own topology: objects
// of Kubernetes have a kind or an apiVersion, and a topology has not.
func isClusterObjects(src []byte) bool {
	if trimmed := bytes.TrimSpace(src); bytes.HasPrefix(trimmed, []byte("{")) {
		var object map[string]json.RawMessage
		if json.Unmarshal(trimmed, &object) == nil {
			return object["kind"] != nil || object["apiVersion"] != nil
		}
	}
	return objectField.Match(src)
}

var objectField = regexp.MustCompile(`(?m)^\{?\s{0,4}"?(kind|apiVersion)"?\s*:`)

// readPolicies reads every file. All problems of all files are returned at once.
func readPolicies(std streams, names []string, namespace string) (policySet, []string, error) {
	set := policySet{files: map[policy.Ref]string{}}
	var warnings []string
	var problems inputError
	if len(names) == 1 && names[0] == os.DevNull {
		return set, nil, nil // How to say "no policies".
	}
	for _, name := range names {
		files, err := filesIn(name)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		for _, file := range files {
			src, shown, err := readFile(std, file)
			if err != nil {
				problems = append(problems, err.Error())
				continue
			}
			only, others := policy.OnlyPolicies(src)
			warnings = append(warnings, leftOut(shown, others)...)
			if only != nil {
				problems = append(problems, set.parse(shown, only, namespace)...)
			}
		}
	}
	if len(problems) == 0 && len(set.policies) == 0 {
		problems = append(problems, strings.Join(names, ", ")+": there is no NetworkPolicy in it")
	}
	if len(problems) > 0 {
		return policySet{}, nil, problems
	}
	return set, warnings, nil
}

// parse adds the policies of one file to the set.
func (s *policySet) parse(file string, src []byte, namespace string) inputError {
	policies, err := policy.Parse(src, policy.ParseOptions{DefaultNamespace: namespace, MaxBytes: maxInput, MaxNodes: policy.MaxClusterNodes})
	if err != nil {
		return problemsIn(file, err)
	}
	var problems inputError
	for _, p := range policies {
		ref := p.Ref()
		if other, ok := s.files[ref]; ok {
			problems = append(problems, fmt.Sprintf("%s: metadata.name: the policy %s is in %s, too", filePlace(file, p.Position("metadata.name")), ref, other))
			continue
		}
		s.files[ref] = file
		s.policies = append(s.policies, p)
	}
	return problems
}

// problemsIn names the file in every problem.
func problemsIn(file string, err error) inputError {
	var all *policy.Error
	if !errors.As(err, &all) {
		return inputError{file + ": " + err.Error()}
	}
	var out inputError
	for _, p := range all.Problems {
		line := filePlace(file, p.Position) + ": "
		if p.Field != "" {
			line += p.Field + ": "
		}
		out = append(out, line+p.Message)
	}
	return out
}

// leftOut says what of a file was not looked at.
func leftOut(file string, others []policy.Other) []string {
	var out []string
	kinds := map[string]int{}
	for _, o := range others {
		if o.IsPolicy() {
			out = append(out, otherPolicy(file, o))
		} else {
			kinds[o.Kind]++
		}
	}
	var list []string
	for kind, n := range kinds {
		list = append(list, fmt.Sprintf("%s (%d)", kind, n))
	}
	if slices.Sort(list); len(list) > 0 {
		out = append(out, fmt.Sprintf("%s: Only the NetworkPolicies were looked at, not %s.", file, strings.Join(list, ", ")))
	}
	return out
}

func otherPolicy(file string, o policy.Other) string {
	return fmt.Sprintf("%s: The %s %s was not looked at, and may change the answer in a cluster.", filePlace(file, o.Position), o.Kind, o.Name)
}

// filesIn are the files that a name on the command line stands for.
func filesIn(name string) ([]string, error) {
	if name == stdinName {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fileError(name, err)
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name) // sorted by name
	if err != nil {
		return nil, fileError(name, err)
	}
	var out []string
	for _, e := range entries {
		switch ext := filepath.Ext(e.Name()); {
		case strings.HasPrefix(e.Name(), "."), ext != ".yaml" && ext != ".yml" && ext != ".json":
			continue
		}
		path := filepath.Join(name, e.Name())
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			out = append(out, path)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: there is no .yaml, .yml or .json file in this folder (subfolders are not looked into)", name)
	}
	return out, nil
}

// readFile reads a file, or standard input, that is text and not too long. shown is
// what messages call it.
func readFile(std streams, name string) (src []byte, shown string, err error) {
	from, shown := std.stdin, "<stdin>"
	if name != stdinName {
		f, err := os.Open(name)
		if err != nil {
			return nil, name, inputError{fileError(name, err).Error()}
		}
		defer f.Close()
		from, shown = f, name
	}
	src, err = io.ReadAll(io.LimitReader(from, maxInput+1))
	switch {
	case err != nil:
		return nil, shown, inputError{fileError(shown, err).Error()}
	case len(src) > maxInput:
		return nil, shown, inputError{fmt.Sprintf("%s: this is longer than the %d MiB that are read of a file", shown, maxInput>>20)}
	case bytes.IndexByte(src, 0) >= 0 || !utf8.Valid(src):
		return nil, shown, inputError{shown + ": this is not text (UTF-8)"}
	}
	return src, shown, nil
}

// fileError is the error with the file's name once, at its beginning.
func fileError(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}
