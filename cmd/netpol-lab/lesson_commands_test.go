package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shopAsPrinted is the shop of the lessons as kubectl prints it, with one policy.
func shopAsPrinted() string {
	var b strings.Builder
	fmt.Fprint(&b, "apiVersion: v1\nkind: List\nitems:\n")
	fmt.Fprint(&b, "- {apiVersion: v1, kind: Namespace, metadata: {name: production, labels: {kubernetes.io/metadata.name: production}}}\n")
	for i, pod := range []string{"web", "api"} {
		fmt.Fprintf(&b, "- {apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: production, labels: {app: %[1]s}}, spec: {nodeName: one, containers: [{name: %[1]s, ports: [{containerPort: 8080}]}]}, status: {phase: Running, podIPs: [{ip: 10.244.0.%d}]}}\n", pod, 10+i)
	}
	fmt.Fprint(&b, "- {apiVersion: v1, kind: Service, metadata: {name: api, namespace: production}, spec: {clusterIPs: [10.96.0.7], selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}}\n")
	fmt.Fprint(&b, "- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: production}, spec: {podSelector: {}}}\n")
	return b.String()
}

// The commands of this program that the lessons show are carried out, with a cluster as
// kubectl prints it: none may be refused, and each says something.
func TestLessons_the_programs_commands_in_their_texts_work(t *testing.T) {
	files, err := filepath.Glob("../../lessons/content/*/lesson.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^netpol-lab (.+)$`).FindAllStringSubmatch(string(src), -1) {
			commands = append(commands, m[1])
		}
	}
	if len(commands) < 3 {
		t.Fatalf("%d commands were found: %q", len(commands), commands)
	}
	t.Chdir(t.TempDir())
	allow := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: allow, namespace: production}\nspec: {podSelector: {}, ingress: [{}]}\n"
	for name, text := range map[string]string{"cluster.yaml": shopAsPrinted(), "before/policy.yaml": strings.Replace(allow, "ingress: [{}]", "ingress: []", 1), "after/policy.yaml": allow} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range commands {
		var out, errs bytes.Buffer
		args := strings.Fields(strings.ReplaceAll(command, "POD", "web"))
		if code := report(&errs, run(t.Context(), args, streams{strings.NewReader(""), &out, &errs})); code > 1 || out.Len() == 0 {
			t.Errorf("netpol-lab %s: code %d, output %q, errors %s", command, code, out.String(), errs.String())
		}
		t.Logf("netpol-lab %s\n%s%s", command, out.String(), errs.String())
	}
}
