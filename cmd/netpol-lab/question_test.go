package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// lab is the topology of the first lesson.
const lab = "../../lessons/content/01-network-policies/topology.yaml"

// ask runs one command line with the input on its standard input and returns what
// it writes, and its exit code.
func ask(t *testing.T, input string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	err := run(t.Context(), args, streams{strings.NewReader(input), &out, &errs})
	code = report(&errs, err)
	return out.String(), errs.String(), code
}

// golden compares an output with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// file writes a file that the test removes again.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestQuestions_outputs(t *testing.T) {
	for _, c := range []struct {
		name string
		code int
		args string
	}{
		{"eval-matrix", 0, "eval -f testdata/policies --topology LAB"},
		{"eval-matrix-without-policies", 0, "eval --topology LAB"},
		{"eval-blocked", 1, "eval -f testdata/policies --topology LAB --from development/shell --to production/api:8080"},
		{"eval-blocked-both", 1, "eval -f testdata/policies --topology LAB --from production/db --to production/api:8080"},
		{"eval-allowed", 0, "eval -f testdata/policies --topology LAB --from monitoring/prometheus --to production/api:9090"},
		{"eval-service", 1, "eval -f testdata/policies --topology LAB --from production/web --to svc/production/api:80"},
		{"eval-outside", 1, "eval -f testdata/policies --topology LAB --from production/web --to internet:443 -o yaml"},
		{"eval-from-outside", 1, "eval -f testdata/policies --topology LAB --from 203.0.113.7 --to production/web:8080"},
		{"eval-self", 0, "eval -f testdata/policies --topology LAB --from production/web --to production/web:8080"},
		{"eval-row", 0, "eval -f testdata/policies --topology LAB --from production/web"},
		{"eval-column", 0, "eval -f testdata/policies --topology LAB --to monitoring/prometheus:8125/UDP"},
		{"eval-json", 1, "eval -f testdata/policies --topology LAB --from production/web --to production/api:8080 -o json"},
		{"lint", 1, "lint -f testdata/policies --topology LAB"},
		{"lint-json", 1, "lint -f testdata/policies --topology LAB -o json"},
		{"diff", 1, "diff --topology LAB testdata/policies testdata/after"},
		{"diff-yaml", 1, "diff --topology LAB testdata/policies testdata/after -o yaml"},
		{"diff-none", 0, "diff --topology LAB testdata/policies testdata/policies"},
		{"diff-none-json", 0, "diff --topology LAB testdata/policies testdata/policies -o json"},
		{"diff-from-nothing", 1, "diff --topology LAB /dev/null testdata/policies/default-deny.yaml"},
		{"eval-cluster", 0, "eval --topology testdata/cluster.yaml"},
		{"lint-cluster", 0, "lint --topology testdata/cluster.yaml"},
		{"eval-cluster-ipv6", 1, "eval --topology testdata/cluster.yaml --from [2001:db8::9] --to [fd00:10:244:1::5]:8080"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := ask(t, "", strings.Fields(strings.ReplaceAll(c.args, "LAB", lab))...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			golden(t, c.name, out+errs)
		})
	}
}

// TestEval_json_and_yaml_are_the_same_object holds the names that scripts rely on.
func TestEval_json_and_yaml_are_the_same_object(t *testing.T) {
	js, _, code := ask(t, "", "eval", "-f", "testdata/policies", "--topology", lab, "-o", "json")
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	var object struct {
		Flows    []map[string]any `json:"flows"`
		Policies []located        `json:"policies"`
		Warnings *[]string        `json:"warnings"`
	}
	dec := json.NewDecoder(strings.NewReader(js))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&object); err != nil {
		t.Fatal(err)
	}
	// See the matrix.
	if len(object.Flows) != 140 || object.Warnings == nil || len(*object.Warnings) != 0 {
		t.Errorf("%d flows, warnings %v", len(object.Flows), object.Warnings)
	}
	if want := (located{policy.Ref{Namespace: "production", Name: "allow-web-to-api"}, "testdata/policies/allow.yaml"}); len(object.Policies) != 3 || object.Policies[0] != want {
		t.Errorf("policies %v", object.Policies)
	}
	for _, f := range object.Flows {
		for _, name := range []string{"from", "to", "port", "protocol", "allowed", "egress", "ingress", "sentence"} {
			if _, ok := f[name]; !ok {
				t.Fatalf("%v lacks %s", f, name)
			}
		}
		if f["allowed"] != (f["egress"].(map[string]any)["allowed"] == true && f["ingress"].(map[string]any)["allowed"] == true) {
			t.Errorf("%v is not what both its directions say", f)
		}
	}
	text, _, _ := ask(t, "", "eval", "-f", "testdata/policies", "--topology", lab, "-o", "yaml")
	var a, b any
	if err := json.Unmarshal([]byte(js), &a); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("JSON and YAML differ")
	}
}

func TestEval_the_matrix_counts_what_the_json_lists(t *testing.T) {
	js, _, _ := ask(t, "", "eval", "-f", "testdata/policies", "--topology", lab, "-o", "json")
	table, _, _ := ask(t, "", "eval", "-f", "testdata/policies", "--topology", lab)
	var object struct {
		Flows []evaluated `json:"flows"`
	}
	if err := json.Unmarshal([]byte(js), &object); err != nil {
		t.Fatal(err)
	}
	allowed := 0
	for _, f := range object.Flows {
		if f.Allowed {
			allowed++
		}
	}
	if want := fmt.Sprintf("\n%d of %d flows are allowed.", allowed, len(object.Flows)); allowed == 0 || !strings.Contains(table, want) {
		t.Errorf("want %q in\n%s", want, table)
	}
}

func TestEval_reads_standard_input(t *testing.T) {
	want, _, _ := ask(t, "", "eval", "-f", "testdata/after/all.yaml", "--topology", lab)
	policies, err := os.ReadFile("testdata/after/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topology, err := os.ReadFile(lab)
	if err != nil {
		t.Fatal(err)
	}
	if got, errs, _ := ask(t, string(policies), "eval", "-f", "-", "--topology", lab); got != want {
		t.Errorf("policies: %s\n%s", errs, got)
	}
	if got, errs, _ := ask(t, string(topology), "eval", "-f", "testdata/after/all.yaml", "--topology", "-"); got != want {
		t.Errorf("topology: %s\n%s", errs, got)
	}
	if got, errs, code := ask(t, string(policies), "diff", "--topology", lab, "testdata/after", "-"); code != 0 {
		t.Errorf("diff: %s\n%s", errs, got)
	}
}

func TestEval_a_clusters_own_policies_count_only_without_others(t *testing.T) {
	own, _, code := ask(t, "", "eval", "--topology", "testdata/cluster.yaml", "--from", "shop/cart", "--to", "shop/web:8080")
	if code != 1 || !strings.Contains(own, "testdata/cluster.yaml:") {
		t.Errorf("its own: %d\n%s", code, own)
	}
	other := file(t, "other.yaml", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {podSelector: {matchLabels: {app: none}}}\n")
	if out, errs, code := ask(t, "", "eval", "--topology", "testdata/cluster.yaml", "-f", other, "-n", "shop", "--from", "shop/cart", "--to", "shop/web:8080"); code != 0 {
		t.Errorf("with another: %d\n%s%s", code, out, errs)
	}
}

func TestQuestions_say_what_was_not_looked_at(t *testing.T) {
	path := file(t, "all.yaml", `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: production}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: l7, namespace: production}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: x, namespace: productoin}
spec: {podSelector: {}}
`)
	_, errs, code := ask(t, "", "eval", "-f", path, "--topology", lab)
	want := "warning: " + path + ":5:1: The CiliumNetworkPolicy production/l7 was not looked at, and may change the answer in a cluster.\n" +
		"warning: " + path + ": Only the NetworkPolicies were looked at, not Deployment (1).\n" +
		"warning: " + path + ":11:32: The policy productoin/x does nothing here: the topology has no namespace productoin.\n"
	if code != 0 || errs != want {
		t.Errorf("%d, got\n%swant\n%s", code, errs, want)
	}
}

func TestEval_a_service_without_a_selector_is_not_known(t *testing.T) {
	_, errs, code := ask(t, "", "eval", "--topology", "testdata/cluster.yaml", "--from", "shop/cart", "--to", "svc/default/kubernetes:443")
	if code != 1 || !strings.Contains(errs, "The Service default/kubernetes has no selector; where it leads is not known here.") {
		t.Errorf("%d %s", code, errs)
	}
}

const deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: production}\nspec: {podSelector: {}}\n"

func TestQuestions_bad_input(t *testing.T) {
	topology := func(rest string) string { return "name: lab\nnamespaces:\n- name: a\n" + rest }
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9))
	}
	for name, c := range map[string]struct {
		text string // Of the file @, and on standard input.
		args string
		want string // @ stands for the file.
	}{
		"a problem in a policy":        {deny + "---\n" + strings.Replace(deny, "podSelector", "podselector", 1), "eval -f @ --topology LAB", `@:9:8: spec.podselector: spec has no field "podselector"; did you mean "podSelector"?`},
		"an invalid policy":            {strings.Replace(deny, "{}}", "{}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/99}}]}]}", 1), "eval -f @ --topology LAB", `@:4:57: spec.egress[0].to[0].ipBlock.cidr:`},
		"on standard input":            {"kind: NetworkPolicy\n", "lint -f - --topology LAB", "<stdin>:1:1: apiVersion: the field is missing"},
		"a policy twice":               {deny, "eval -f @ -f @ --topology LAB", "@:3:18: metadata.name: the policy production/deny is in @, too"},
		"a policy without namespace":   {strings.Replace(deny, ", namespace: production", "", 1), "eval -f @ --topology LAB", "@:3:"},
		"no policy":                    {"kind: Deployment\n", "eval -f @ --topology LAB", "@: there is no NetworkPolicy in it"},
		"no policy to lint":            {"", "lint --topology LAB", "LAB: there is no NetworkPolicy in it; -f says where the policies are"},
		"aliases without end, policy":  {bomb + deny, "eval -f @ --topology LAB", "the lab takes no YAML aliases"},
		"aliases without end, lab":     {bomb + topology(""), "eval --topology @", "@:1:1: yaml: document contains excessive aliasing"},
		"aliases without end, cluster": {"kind: List\n" + bomb, "eval --topology @", "the lab takes no YAML aliases"},
		"no text":                      {"kind: \x00", "eval -f @ --topology LAB", "@: this is not text (UTF-8)"},
		"no UTF-8":                     {"kind: \xff", "eval --topology @", "@: this is not text (UTF-8)"},
		"no YAML":                      {topology("  pods: [\n"), "eval --topology @", "@:4: did not find expected node content"},
		"an unknown field":             {topology("  colour: red\n"), "eval --topology @", `@:4:3: unknown field "colour"`},
		"a pod twice":                  {topology("  pods:\n  - name: x\n  - name: x\n"), "eval --topology @", "@:6:5: namespaces[a].pods[x]: listed twice"},
		"a port out of range":          {topology("  pods:\n  - name: x\n    ports: [{port: 65536}]\n"), "eval --topology @", "@:6:12: namespaces[a].pods[x].ports: 65536 is not a port: want 1 to 65535"},
		"an empty topology":            {"", "eval --topology @", "@: "},
		"a cluster's bad address":      {"kind: Pod\nmetadata: {name: a, namespace: x}\nstatus: {podIP: 10.0.0.256}\n", "eval --topology @", `@:3:17: status.podIP: pod x/a: "10.0.0.256" is no IP address`},
		"a cluster's pod twice":        {strings.Repeat("kind: Pod\nmetadata: {name: a, namespace: x}\n---\n", 2), "eval --topology @", "@:5:18: metadata.name: pod x/a: it is here twice; the first is on line 1"},
		"an unknown pod":               {"", "eval --topology LAB --from production/wep", "--from production/wep: there is no pod production/wep; did you mean production/web?"},
		"an unknown namespace":         {"", "eval --topology LAB --to prodution/web:80", "--to prodution/web:80: there is no pod prodution/web; did you mean production/web?"},
		"an unknown host":              {"", "eval --topology LAB --to internett:443", "--to internett:443: there is no host outside internett; did you mean internet?"},
		"a missing port":               {"", "eval --topology LAB --to production/api", "--to production/api: the port is missing: write production/api:PORT; its ports are 8080/TCP, 9090/TCP"},
		"a port that is none":          {"", "eval --topology LAB --to production/api:0", "--to production/api:0: 0 is no port: write a number from 1 to 65535"},
		"standard input twice":         {"", "eval -f - --topology -", "netpol-lab: standard input is either the topology or policies, not both"},
		"standard input twice, diff":   {"", "diff - - --topology LAB", "netpol-lab: standard input can be only one of BEFORE, AFTER and the topology"},
		"no topology":                  {"", "eval -f testdata/policies", "netpol-lab: missing flags: --topology=FILE"},
		"an unknown format":            {"", "eval --topology LAB -o xml", `netpol-lab: --output must be one of "table","json","yaml" but got "xml"`},
		"a file that is not there":     {"", "eval -f testdata/nowhere --topology LAB", "testdata/nowhere: no such file or directory"},
		"a topology that is not there": {"", "eval --topology testdata/nowhere", "testdata/nowhere: no such file or directory"},
		"a folder as the topology":     {"", "eval --topology testdata", "testdata: a topology is one file, and this is a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			put := strings.NewReplacer("@", file(t, "input.yaml", c.text), "LAB", lab)
			out, errs, code := ask(t, c.text, strings.Fields(put.Replace(c.args))...)
			if want := put.Replace(c.want); code != 2 || out != "" || !strings.Contains(errs, want) {
				t.Errorf("exit code %d, output %q, error\n%s\nwant\n%s", code, out, errs, want)
			}
		})
	}
}

func TestQuestions_a_long_input_is_refused(t *testing.T) {
	path := file(t, "long.yaml", "")
	if err := os.Truncate(path, 50<<20); err != nil {
		t.Fatal(err)
	}
	want := path + ": this is longer than the 16 MiB that are read of a file\n"
	for _, args := range [][]string{{"-f", path, "--topology", lab}, {"--topology", path}} {
		if _, errs, code := ask(t, "", append([]string{"eval"}, args...)...); code != 2 || errs != want {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	var errs bytes.Buffer
	err := run(t.Context(), []string{"eval", "--topology", "-"}, streams{endless{}, &errs, &errs})
	if code := report(&errs, err); code != 2 || errs.String() != "<stdin>: this is longer than the 16 MiB that are read of a file\n" {
		t.Errorf("endless: %d %s", code, errs.String())
	}
}

// endless is an input without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

func TestQuestions_a_folder_is_its_manifests(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eval := func() (string, int) {
		t.Helper()
		_, errs, code := ask(t, "", "eval", "-f", dir, "--topology", lab, "--from", "development/shell", "--to", "production/api:8080")
		return errs, code
	}
	write("README.md", "no: [manifest")
	write(".hidden.yaml", "no: [manifest")
	if err := os.Mkdir(filepath.Join(dir, "more.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if errs, code := eval(); code != 2 || errs != dir+": there is no .yaml, .yml or .json file in this folder (subfolders are not looked into)\n" {
		t.Errorf("without manifests: %d %s", code, errs)
	}
	write("b.yml", deny)
	if errs, code := eval(); code != 1 || errs != "" {
		t.Errorf("with one: %d %s", code, errs)
	}
	// Every file's problems are told, in the order of their names.
	write("c.json", `{"kind": "NetworkPolicy"}`)
	write("a.yaml", "kind: NetworkPolicy\n")
	errs, code := eval()
	if a, c := strings.Index(errs, filepath.Join(dir, "a.yaml")+":1:1: "), strings.Index(errs, filepath.Join(dir, "c.json")+":1:1: "); code != 2 || a < 0 || c < a {
		t.Errorf("with bad ones: %d %s", code, errs)
	}
}

func TestQuestions_an_unreadable_file_is_named(t *testing.T) {
	path := file(t, "secret.yaml", deny)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	want := path + ": permission denied\n"
	if os.Geteuid() == 0 { // To whom every file is readable but this.
		path = "/proc/self/mem"
		want = path + ": input/output error\n"
	}
	for _, args := range [][]string{{"-f", path, "--topology", lab}, {"--topology", path}} {
		if _, errs, code := ask(t, "", append([]string{"eval"}, args...)...); code != 2 || errs != want {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}

// TestQuestions_help_tells_the_exit_codes holds what scripts rely on.
func TestQuestions_help_tells_the_exit_codes(t *testing.T) {
	for _, name := range []string{"eval", "lint", "diff"} {
		out, _, code := ask(t, "", name, "--help")
		golden(t, "help-"+name, out)
		if code != 0 || !strings.Contains(out, "Exit codes: 0 ") {
			t.Errorf("%s: %d\n%s", name, code, out)
		}
	}
}
