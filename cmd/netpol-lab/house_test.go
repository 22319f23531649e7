package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/netpol-lab/netpol-lab/"

// TestImports_go_one_way keeps the direction in which the packages may know each
// other: cmd, web, lessons and quizzes beside each other, sandbox, and below that
// policy and probe.
func TestImports_go_one_way(t *testing.T) {
	forbidden := map[string][]string{
		"sandbox/policy":       {"cmd", "web", "lessons", "quizzes", "static", "sandbox/probe", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage", "sandbox$", "sandbox/policy/lint", "sandbox/policy/build"},
		"sandbox/policy/build": {"cmd", "web", "lessons", "quizzes", "static", "sandbox/probe", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage", "sandbox$", "sandbox/policy/lint"},
		"sandbox/policy/lint":  {"cmd", "web", "lessons", "quizzes", "static", "sandbox/probe", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage", "sandbox$"},
		"sandbox/probe":        {"cmd", "web", "lessons", "quizzes", "static", "sandbox/policy", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage", "sandbox$"},
		"sandbox":              {"cmd", "web", "lessons", "quizzes", "static", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage"},
		"sandbox/kind":         {"cmd", "web", "lessons", "quizzes", "static", "sandbox/simulated"},
		"sandbox/kubernetes":   {"cmd", "web", "lessons", "quizzes", "static", "sandbox/simulated", "sandbox/kind", "sandbox/nodeimage"},
		"sandbox/simulated":    {"cmd", "web", "lessons", "quizzes", "static", "sandbox/kind", "sandbox/kubernetes", "sandbox/nodeimage"},
		"sandbox/nodeimage":    {"cmd", "web", "lessons", "quizzes", "static"},
		"sandbox/picture":      {"cmd", "web", "lessons", "quizzes", "static", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage"},
		"sandbox/capacity":     {"cmd", "web", "lessons", "quizzes", "static", "sandbox"},
		"lessons":              {"cmd", "web", "quizzes", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage"},
		"quizzes":              {"cmd", "web", "lessons$", "lessons/prose", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage"},
		"lessons/markdown":     {"cmd", "web", "lessons", "quizzes", "static", "sandbox"},
		"lessons/prose":        {"cmd", "web", "lessons", "quizzes", "static", "sandbox"},
		"static":               {"cmd", "web", "lessons", "quizzes", "sandbox"},
		"web":                  {"cmd", "sandbox/kind", "sandbox/kubernetes", "sandbox/simulated", "sandbox/nodeimage"},
		"cmd/netpol-lab":       {"lessons/prose"}, // for tests alone
		"cmd/netpol-probe":     {"web", "lessons", "quizzes", "static", "sandbox/policy", "sandbox/kind", "sandbox/kubernetes", "sandbox$"},
	}
	for pkg, bad := range forbidden {
		for _, dep := range deps(t, pkg) {
			own, ok := strings.CutPrefix(dep, module)
			if !ok || own == pkg {
				continue
			}
			for _, b := range bad {
				if exact, only := strings.CutSuffix(b, "$"); only && own == exact || !only && (own == b || strings.HasPrefix(own, b+"/")) {
					t.Errorf("%s depends on %s", pkg, own)
				}
			}
		}
	}
}

// TestImports_kind_and_client_go_have_one_importer keeps the technologies behind
// their interfaces, and Kubernetes out of the binary in the pods.
func TestImports_kind_and_client_go_have_one_importer(t *testing.T) {
	// What lays a topology in a cluster does not know what the cluster runs on.
	for _, dep := range deps(t, "sandbox/kubernetes") {
		if strings.HasPrefix(dep, "sigs.k8s.io/kind") {
			t.Errorf("sandbox/kubernetes depends on %s", dep)
		}
	}
	for _, pkg := range []string{"sandbox", "sandbox/policy", "sandbox/policy/lint", "sandbox/policy/build", "sandbox/simulated", "web", "lessons", "quizzes", "sandbox/nodeimage"} {
		for _, dep := range deps(t, pkg) {
			if strings.HasPrefix(dep, "k8s.io/client-go") || strings.HasPrefix(dep, "sigs.k8s.io/kind") {
				t.Errorf("%s depends on %s", pkg, dep)
			}
		}
	}
	// The clients of every kind there is take minutes to compile, on a learner's machine
	// too.
	if slices.Contains(deps(t, "cmd/netpol-lab"), "k8s.io/client-go/kubernetes") {
		t.Error("cmd/netpol-lab depends on k8s.io/client-go/kubernetes; sandbox/kubernetes has a client of its own")
	}
	for _, dep := range deps(t, "cmd/netpol-probe") {
		if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") && !strings.HasPrefix(dep, module) {
			t.Errorf("cmd/netpol-probe depends on %s; it is to need the standard library alone", dep)
		}
	}
}

func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", module+pkg).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

// TestGenerate_is_one_command keeps what a newcomer runs and what the check compares
// with from writing different files: the generator puts the paths that it is given into
// the code.
func TestGenerate_is_one_command(t *testing.T) {
	b, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "templ generate"); n != 1 {
		t.Errorf("the Makefile runs the generator in %d places, want 1, in generate", n)
	}
	_, check, _ := strings.Cut(string(b), "\ncheck:")
	check, _, _ = strings.Cut(check, "\n\n")
	if !strings.Contains(check, "$(MAKE) --no-print-directory generate") {
		t.Error("make check does not generate as make generate does")
	}
}

// TestGenerated_files_are_marked keeps what nobody writes by hand out of the way of
// whoever reads a change.
func TestGenerated_files_are_marked(t *testing.T) {
	list := exec.Command("git", "grep", "-lE", "^// Code generated .*DO NOT EDIT", "--", "*.go", "*.ts")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		// The sources may come without git, as an archive does; where everything is
		// required they do not.
		if os.Getenv("NETPOL_LAB_REQUIRE") == "all" {
			t.Fatalf("git grep: %v", err)
		}
		t.Skipf("not a clone of the repository: git grep: %v", err)
	}
	for _, file := range strings.Fields(string(out)) {
		if strings.HasSuffix(file, "main.go") || strings.HasSuffix(file, "_test.go") {
			continue // a generator, which has the line for what it writes
		}
		attr := exec.Command("git", "check-attr", "linguist-generated", "--", file)
		attr.Dir = "../.."
		if out, err := attr.Output(); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), ": set") {
			t.Errorf("%s is generated, and .gitattributes does not say so (%v)", file, err)
		}
	}
}

var (
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(\w+ \*testing\.T\)`)
	ruleInWords  = regexp.MustCompile(`^Test[A-Z][A-Za-z0-9]*(_[A-Za-z0-9]+)+$`)
)

// TestNames_of_tests_are_the_rules_that_they_prove keeps one habit: a subject, and the
// rule about it in words.
func TestNames_of_tests_are_the_rules_that_they_prove(t *testing.T) {
	looked := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		src, err := os.ReadFile(path)
		for _, m := range testFunction.FindAllStringSubmatch(string(src), -1) {
			if looked++; !ruleInWords.MatchString(m[1]) {
				t.Errorf("%s: %s should be named as TestSubject_the_rule_in_words", path, m[1])
			}
		}
		return err
	})
	if err != nil || looked < 100 {
		t.Fatalf("%d tests were looked at: %v", looked, err)
	}
}

var (
	lineOfLog = regexp.MustCompile(`\b(?:in\.m|m|a|o|s)\.(?:opts\.)?[Ll]og\.(?:Debug|Info|Warn|Error|Log)(?:Context)?\(`)
	// ofAll begin lines about no sandbox in particular.
	ofAll = regexp.MustCompile(`"(?:sandboxes of an earlier run|what is nobody's|what clusters have left|no sandboxes can be made|sandboxes can be made again)|o\.log\.`)
)

// TestLogs_name_what_they_are_about keeps the log one that can be searched: what is told
// in package sandbox names the sandbox, or the cluster where that is nobody's, and in
// package web every line goes through the one that names the request. An observer's log
// has the sandbox's name in it.
func TestLogs_name_what_they_are_about(t *testing.T) {
	looked := 0
	for _, dir := range []string{"../../sandbox", "../../web"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(src), "\n") {
				if !lineOfLog.MatchString(line) {
					continue
				}
				looked++
				switch {
				case dir == "../../web":
					t.Errorf("%s:%d does not name the request: use server.log", file, n+1)
				case !ofAll.MatchString(line) && !strings.Contains(line, `"sandbox", `) && !strings.Contains(line, `"cluster", `):
					t.Errorf("%s:%d names neither the sandbox nor the cluster", file, n+1)
				}
			}
		}
	}
	if looked < 20 {
		t.Errorf("%d lines of the log were looked at", looked)
	}
}
