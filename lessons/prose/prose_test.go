package prose

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestThe_grade_is_that_of_texts_whose_grade_is_known(t *testing.T) {
	for text, want := range map[string]string{
		"The cat sat on the mat.": "-1.4",
		"Kubernetes policies isolate every selected application alone.": "24.2",
	} {
		if grade, _ := reading(sentences(text)); fmt.Sprintf("%.1f", grade) != want {
			t.Errorf("%q: grade %.1f, want %s", text, grade, want)
		}
	}
}

func TestWhat_is_hard_to_read_is_found(t *testing.T) {
	long := strings.Repeat("a cat ", 15)
	for text, want := range map[string]string{
		"The cat sat on the mat. It was in the sun.": "",
		"": "",
		"Kubernetes policies isolate every selected application alone.": "grade 24.2 with 7.0 words a sentence",
		"It is so. Is it? It is! See: it is so. " + long + ". Yes. No.": "a sentence of 30 words",
		// Neither a list's items nor paragraphs are one sentence.
		"- " + long[:36] + "\n- " + long[:36] + "\n\n" + long[:36]:                "",
		"Say `" + strings.Repeat("x ", 40) + "` to it. It is one word. It is so.": "",
	} {
		problems := HardToRead(text)
		if want == "" && len(problems) > 0 || want != "" && !strings.Contains(strings.Join(problems, "\n"), want) {
			t.Errorf("%q: %q, want %q", text, problems, want)
		}
	}
}

func TestSlips_are_found(t *testing.T) {
	for text, want := range map[string]string{
		"We went to the the shop.":                       `"the" is there twice in a row`,
		"Is it so? So it is. Both `x` `x` and (`y`) go.": "",
		"It is Simply open.":                             `we do not use "Simply"`,
		"Whom does the rule admit?":                      `we do not use "admit"`,
		"See what becomes of it.":                        `we do not use "becomes of"`,
		"A pod, e.g. this one.":                          `we do not use "e.g."`,
		"It cant be.":                                    `we do not use "cant"`,
		"This (or that.":                                 "() do not match",
		"This (or\n\nthat).":                             "() do not match",
		"Write `app.":                                    "a ` is left over",
		"This is **bold.":                                "a ** is left over",
		`"and" into "or.`:                                `a " is left over`,
	} {
		problems := Slips(text)
		if want == "" && len(problems) > 0 || want != "" && !strings.Contains(strings.Join(problems, "\n"), want) {
			t.Errorf("%q: %q, want %q", text, problems, want)
		}
	}
}

func TestA_word_that_is_in_no_dictionary_is_found(t *testing.T) {
	text := "The labell selects a [namspace](#a-lnk) of Kubernetes, by `cde`. Its colour isn’t seen: a default-deny polcy, and a labell."
	if got, want := Misspelt(t, text), []string{"labell", "namspace", "polcy"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
