package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder writes files into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A lesson of somebody else, which shares a topology of the lab's, and a quiz about it.
const (
	theirLesson = "---\ntitle: Our shop\nslug: our-shop\nsummary: What is special with us.\nminutes: 5\ntopology: network-policies\n---\n\n" +
		"## What we do\n\nSee [the first lesson](/lessons/network-policies#do-not-forget-dns).\n"
	theirQuiz = `title: Our quiz
slug: our-quiz
lesson: our-shop
questions:
  - id: who
    kind: single
    prompt: Who is it?
    choices:
      - {id: us, text: It is us., explanation: Yes., correct: true}
      - {id: them, text: It is them., explanation: No.}
`
)

func checkFolder(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = report(&errs, run(t.Context(), args, streams{strings.NewReader(""), &out, &errs}))
	return out.String(), errs.String(), code
}

func TestServe_teaches_lessons_and_quizzes_of_other_folders_beside_its_own(t *testing.T) {
	lessonsDir, quizzesDir := folder(t, map[string]string{"01-our-shop/lesson.md": theirLesson}), folder(t, map[string]string{"01-our-quiz.yaml": theirQuiz})
	s := serveLab(t, "--sandbox", "simulated", "--data", t.TempDir(), "--lessons", lessonsDir, "--quizzes", quizzesDir)
	defer s.stop()
	for path, want := range map[string]string{
		"/":                 `href="/lessons/our-shop"`,
		"/lessons/our-shop": `data-lab="network-policies"`,
		"/quizzes/our-quiz": "Who is it?",
		"/lessons/tenants":  `data-lab="tenants"`,
		"/me":               "Our shop",
	} {
		answer, err := s.learner.Get(s.base + path)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(answer.Body); err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || !strings.Contains(body.String(), want) {
			t.Errorf("GET %s: status %d, want in it %s", path, answer.StatusCode, want)
		}
	}
}

func TestServe_a_folder_with_something_wrong_is_refused_with_file_and_line(t *testing.T) {
	own := folder(t, map[string]string{"01-mine/lesson.md": strings.Replace(theirLesson, "slug: our-shop", "slug: tenants", 1)})
	html := folder(t, map[string]string{"01-our-shop/lesson.md": theirLesson + "\n<script>alert(1)</script>\n"})
	script := folder(t, map[string]string{"01-our-shop/lesson.md": theirLesson + "\nPress [here](javascript:alert(1)).\n"})
	clash := folder(t, map[string]string{"01-our-quiz.yaml": strings.NewReplacer("slug: our-quiz", "slug: network-policies", "lesson: our-shop", "lesson: tenants").Replace(theirQuiz)})
	unknown := folder(t, map[string]string{"01-our-quiz.yaml": theirQuiz})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a slug of the lab's":      {[]string{"--lessons", own}, filepath.Join(own, "01-mine", "lesson.md") + `: slug: "tenants" is taken by the lab itself`},
		"HTML":                     {[]string{"--lessons", html}, filepath.Join(html, "01-our-shop", "lesson.md") + ":13: HTML is not allowed in a lesson"},
		"a link to a script":       {[]string{"--lessons", script}, filepath.Join(script, "01-our-shop", "lesson.md") + ":"},
		"a quiz of the lab's name": {[]string{"--quizzes", clash}, filepath.Join(clash, "01-our-quiz.yaml") + `: slug: "network-policies" is taken by the lab itself`},
		"a quiz of no lesson":      {[]string{"--quizzes", unknown}, filepath.Join(unknown, "01-our-quiz.yaml") + `:3: lesson: there is no lesson "our-shop"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs, code := checkFolder(t, append([]string{"serve", "--sandbox", "simulated", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, c.args...)...)
			if code != 2 || !strings.HasPrefix(errs, c.want) {
				t.Errorf("code %d, errors %q\nwant 2 and %s", code, errs, c.want)
			}
		})
	}
}

func TestLessonsCheck_beside_the_labs_own(t *testing.T) {
	dir := folder(t, map[string]string{"01-our-shop/lesson.md": theirLesson})
	if _, errs, code := checkFolder(t, "lessons", "check", dir); code != 1 || !strings.Contains(errs, `topology: there is no lesson "network-policies"`) {
		t.Errorf("alone: code %d, errors %q", code, errs)
	}
	out, errs, code := checkFolder(t, "lessons", "check", "--beside", dir)
	if code != 0 || errs != "" || !strings.Contains(out, "our-shop ") || strings.Contains(out, "tenants") || !strings.Contains(out, "1 lesson, 0 exercises") {
		t.Errorf("beside: code %d, errors %q, output\n%s", code, errs, out)
	}
}

func TestQuizzesCheck_lists_what_the_binarys_quizzes_have(t *testing.T) {
	out, errs, code := checkFolder(t, "quizzes", "check", "../../quizzes/content")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "QUIZ ") || !strings.Contains(out, "\nnetwork-policies ") || !strings.HasSuffix(out, " questions.\n") {
		t.Errorf("code %d, errors %q, output\n%s", code, errs, out)
	}
}

func TestQuizzesCheck_says_each_problem_with_its_place(t *testing.T) {
	lessonsDir := folder(t, map[string]string{"01-our-shop/lesson.md": theirLesson})
	dir := folder(t, map[string]string{"01-our-quiz.yaml": theirQuiz})
	if _, errs, code := checkFolder(t, "quizzes", "check", dir); code != 1 || !strings.Contains(errs, `there is no lesson "our-shop"`) {
		t.Errorf("without its lesson: code %d, errors %q", code, errs)
	}
	out, errs, code := checkFolder(t, "quizzes", "check", "--beside", "--lessons", lessonsDir, dir)
	if code != 0 || errs != "" || !strings.Contains(out, "our-quiz  our-shop  1") || !strings.Contains(out, "1 quiz, 1 question.") {
		t.Errorf("code %d, errors %q, output\n%s", code, errs, out)
	}
	broken := folder(t, map[string]string{"01-our-quiz.yaml": strings.Replace(theirQuiz, ", correct: true", "", 1)})
	if _, errs, code := checkFolder(t, "quizzes", "check", "--lessons", lessonsDir, broken); code != 1 || !strings.HasPrefix(errs, filepath.Join(broken, "01-our-quiz.yaml")+":") || strings.Contains(errs, "quizzes: ") {
		t.Errorf("code %d, errors %q", code, errs)
	}
	if _, errs, code := checkFolder(t, "quizzes", "check", "--beside", "../../quizzes/content"); code != 1 || !strings.Contains(errs, "is taken by the lab itself") {
		t.Errorf("beside itself: code %d, errors %q", code, errs)
	}
	if _, _, code := checkFolder(t, "quizzes", "check", filepath.Join(dir, "nowhere")); code != 2 {
		t.Errorf("no folder: code %d", code)
	}
}

func TestContent_a_link_out_of_the_folder_is_not_followed(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../lessons/content")); err != nil {
		t.Fatal(err)
	}
	if err := new(content).add(dir, ""); err != nil {
		t.Fatalf("without a link: %v", err)
	}
	// What the link leads to is in order, so that only the link can be what is wrong.
	link, elsewhere := filepath.Join(dir, "01-network-policies", "topology.yaml"), filepath.Join(t.TempDir(), "topology.yaml")
	if err := os.Rename(link, elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	if err := new(content).add(dir, ""); err == nil {
		t.Error("a file elsewhere was read through a link in the folder")
	}
}
