// Package prose finds what is wrong with a text as a text: sentences that are hard to
// read, and slips. The tests of lessons and quizzes hold their content to it; no
// program needs it.
package prose

import (
	"fmt"
	"regexp"
	"strings"
)

// The limits of a text that somebody can read who learns the matter in a foreign
// language.
const (
	maxGrade            = 7
	maxWordsPerSentence = 13
	maxSentence         = 28
)

var (
	word      = regexp.MustCompile(`[A-Za-z][A-Za-z'-]*`)
	code      = regexp.MustCompile("`[^`\n]*`")
	listItem  = regexp.MustCompile(`(?m)^ *(-|[0-9]+\.) `)
	end       = regexp.MustCompile(`[.!?:]["*)]*\s|\n\s*\n`)
	vowels    = regexp.MustCompile(`[aeiouy]+`)
	forbidden = regexp.MustCompile(`(?i)\b(simply|obviously|trivial|admit(s|ted|ting)?\b|becomes? of|whitelist\w*|blacklist\w*|check back|todo|fixme|lorem|click here|e\.g\.|i\.e\.|etc\.|dont\b|doesnt\b|cant\b|its'|namespce\w*|kuber\w*netis)`)
)

// HardToRead says where the text is too hard: its grade and the length of its
// sentences on average, and each sentence that is too long. A text of a few sentences
// has no average worth the name; join what belongs together, with empty lines between.
func HardToRead(text string) (problems []string) {
	all := sentences(text)
	if grade, words := reading(all); grade > maxGrade || words > maxWordsPerSentence {
		problems = append(problems, fmt.Sprintf("grade %.1f with %.1f words a sentence: want at most %d and %d", grade, words, maxGrade, maxWordsPerSentence))
	}
	for _, s := range all {
		if len(s) > maxSentence {
			problems = append(problems, fmt.Sprintf("a sentence of %d words, want at most %d: %s", len(s), maxSentence, strings.Join(s, " ")))
		}
	}
	return problems
}

// Slips says where the text has a word twice in a row, a word that we do not use, or a
// bracket or mark that nothing closes.
func Slips(text string) (problems []string) {
	for _, s := range sentences(text) {
		for i := 1; i < len(s); i++ {
			if strings.EqualFold(s[i-1], s[i]) && s[i] != "code" {
				problems = append(problems, fmt.Sprintf("%q is there twice in a row", s[i]))
			}
		}
	}
	for _, w := range forbidden.FindAllString(text, -1) {
		problems = append(problems, fmt.Sprintf("we do not use %q", w))
	}
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		for _, pair := range []string{"()", "[]", "{}"} {
			if strings.Count(paragraph, pair[:1]) != strings.Count(paragraph, pair[1:]) {
				problems = append(problems, fmt.Sprintf("%s do not match in %q", pair, paragraph))
			}
		}
		for _, mark := range []string{"`", "**", `"`} {
			if strings.Count(paragraph, mark)%2 != 0 {
				problems = append(problems, fmt.Sprintf("a %s is left over in %q", mark, paragraph))
			}
		}
	}
	return problems
}

// sentences cuts prose into its sentences, each a list of words. What stands in
// backquotes counts as one short word.
func sentences(text string) (out [][]string) {
	text = code.ReplaceAllString(text, "code")
	text = listItem.ReplaceAllString(text, "\n\n")
	for _, part := range end.Split(text+"\n", -1) {
		if words := word.FindAllString(part, -1); len(words) > 0 {
			out = append(out, words)
		}
	}
	return out
}

// reading is the Flesch-Kincaid grade level, which is school years, and the length of
// a sentence on average.
func reading(all [][]string) (grade, wordsPerSentence float64) {
	if len(all) == 0 {
		return 0, 0
	}
	words, parts := 0, 0
	for _, s := range all {
		words += len(s)
		for _, w := range s {
			parts += syllables(w)
		}
	}
	wordsPerSentence = float64(words) / float64(len(all))
	return 0.39*wordsPerSentence + 11.8*float64(parts)/float64(words) - 15.59, wordsPerSentence
}

// syllables counts groups of vowels, without a final silent e: near enough for a
// grade over many words.
func syllables(w string) int {
	w = strings.ToLower(w)
	n := len(vowels.FindAllString(w, -1))
	if strings.HasSuffix(w, "e") && !strings.HasSuffix(w, "le") && n > 1 {
		n--
	}
	return max(n, 1)
}
