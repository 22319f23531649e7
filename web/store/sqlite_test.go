package store

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"
)

func openFile(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite_satisfies_the_suite(t *testing.T) {
	suite(t, func(t *testing.T) (*Store, func() *Store) {
		path := filepath.Join(t.TempDir(), "lab.db")
		s := openFile(t, path)
		return s, func() *Store {
			must(t, s.Close())
			return openFile(t, path)
		}
	})
}

// The tests that need a second process run this program once more, with the
// name of what it is to do, and the file, in the environment.
const childEnv, childFile = "NETPOL_LAB_STORE_CHILD", "NETPOL_LAB_STORE_FILE"

var children = map[string]func(path string) error{
	"write until killed": writeUntilKilled,
	"fill the disk":      fillDisk,
	"open as nobody":     openAsNobody,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](os.Getenv(childFile)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+name, childFile+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// The writers of the kill test carry out the same list of changes without end:
// change n of an owner is a visit, predictions, a check or an attempt, each with
// the number of its round. So the number of changes tells the whole state.
var writers = []string{"owner-0", "owner-1", "owner-2"}

func writeChange(ctx context.Context, s *Store, owner string, n int) error {
	round := strconv.Itoa(n / 4)
	switch n % 4 {
	case 0:
		return s.VisitSection(ctx, owner, "policies", round, noon)
	case 1:
		return s.SavePredictions(ctx, owner, "policies", "deny", fmt.Sprint("moment ", round), map[string]string{"a": round, "b": round, "c": round}, noon)
	case 2:
		return s.RecordCheck(ctx, owner, "policies", "deny", CheckResult{Open: n / 4, Detail: json.RawMessage(round), At: noon})
	default:
		_, err := s.RecordAttempt(ctx, owner, attempt(round, 1, 0))
		return err
	}
}

// changes is how many changes of the owner are there; an error where something
// else is there than after just that many.
func changes(ctx context.Context, s *Store, owner string) (int, error) {
	var n int
	err := s.read.QueryRowContext(ctx, `SELECT seq FROM learners WHERE owner = $1`, owner).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	r, err := s.Export(ctx, owner)
	if err != nil {
		return 0, err
	}
	var e Exercise
	if len(r.Exercises) > 0 {
		e = r.Exercises[0]
	}
	of := func(kind int) int { return (n + 3 - kind) / 4 }
	got := []any{len(r.Sections), e.Tries, len(r.Attempts)}
	want := []any{of(0), of(2), of(3)}
	if of(1) > 0 {
		last := strconv.Itoa(of(1) - 1)
		got, want = append(got, e.Predictions), append(want, map[string]string{"a": last, "b": last, "c": last})
	}
	if of(2) > 0 && e.Latest != nil {
		got, want = append(got, e.Latest.Open, string(e.Latest.Detail)), append(want, of(2)-1, strconv.Itoa(of(2)-1))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return n, fmt.Errorf("%s after %d changes has %v, want %v", owner, n, got, want)
	}
	return n, nil
}

// writeUntilKilled goes on where the file stands, and says of each change that
// it is committed.
func writeUntilKilled(path string) error {
	ctx := context.Background()
	s, err := Open(ctx, path)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for _, owner := range writers {
		n, err := changes(ctx, s, owner)
		if err != nil {
			return err
		}
		go func() {
			for ; ; n++ {
				if err := writeChange(ctx, s, owner, n); err != nil {
					failed <- err
				}
				// One short write to a pipe is never half there.
				if _, err := os.Stdout.WriteString(owner + " " + strconv.Itoa(n+1) + "\n"); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// TestKilled_at_any_moment_loses_nothing_that_was_committed kills the process
// with the signal that it cannot see, which also takes its lock away.
func TestKilled_at_any_moment_loses_nothing_that_was_committed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	committed := map[string]int{}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for round := range 10 {
		cmd := child(t, "write until killed", path)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for range 1 + random.IntN(25) {
			if !lines.Scan() {
				t.Fatalf("round %d: the writer ended by itself: %v", round, cmd.Wait())
			}
			read(t, lines.Text(), committed)
		}
		// Somewhere within a few commits.
		time.AfterFunc(time.Duration(random.IntN(5000))*time.Microsecond, func() { cmd.Process.Kill() })
		for lines.Scan() {
			read(t, lines.Text(), committed)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("round %d: the writer ended with %v, want SIGKILL", round, err)
		}

		s := openFile(t, path)
		for _, owner := range writers {
			n, err := changes(t.Context(), s, owner)
			must(t, err)
			// One more can be there: it was committed, and not yet said.
			if n != committed[owner] && n != committed[owner]+1 {
				t.Errorf("round %d: %s has %d changes, and %d were committed", round, owner, n, committed[owner])
			}
			committed[owner] = n
		}
		var whole string
		must(t, s.read.QueryRow("PRAGMA integrity_check").Scan(&whole))
		equal(t, "integrity", whole, "ok")
		must(t, s.Close())
	}
	for _, owner := range writers {
		if committed[owner] < 8 {
			t.Errorf("%s has committed only %d changes", owner, committed[owner])
		}
	}
}

func read(t *testing.T, line string, committed map[string]int) {
	t.Helper()
	owner, number, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	must(t, err)
	committed[owner] = n
}

// TestCut_between_any_two_writes_is_as_after_the_last_commit takes every file
// that a crash can leave: the log ends after any of its pages, or within one.
// The migrations are in that log too.
func TestCut_between_any_two_writes_is_as_after_the_last_commit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lab.db")
	s := openFile(t, path)
	const ops, header, frame = 9, 32, 24 + 4096
	var ends []int // of the log, after that many changes
	for n := range ops + 1 {
		info, err := os.Stat(path + "-wal")
		must(t, err)
		ends = append(ends, int(info.Size()))
		if n < ops {
			must(t, writeChange(t.Context(), s, ann, n))
		}
	}
	database, err := os.ReadFile(path)
	must(t, err)
	log, err := os.ReadFile(path + "-wal")
	must(t, err)

	cuts, seen := 0, map[int]int{}
	for whole := 0; header+whole*frame <= len(log); whole++ {
		for _, more := range []int{0, 1 + whole*131%(frame-1)} {
			cut := header + whole*frame + more
			if cut > len(log) {
				continue
			}
			want := 0
			for n, end := range ends {
				if end <= cut {
					want = n
				}
			}
			// Cuts within the migrations are many, and each runs the others anew.
			if cut < ends[0] && whole%4 != 0 {
				continue
			}
			crashed := filepath.Join(dir, fmt.Sprintf("cut-%d.db", cut))
			must(t, os.WriteFile(crashed, database, 0o600))
			must(t, os.WriteFile(crashed+"-wal", log[:cut], 0o600))
			after := openFile(t, crashed)
			n, err := changes(t.Context(), after, ann)
			if err != nil || n != want {
				t.Errorf("cut at %d of %d: %d changes, want %d; %v", cut, len(log), n, want, err)
			}
			must(t, writeChange(t.Context(), after, ann, n))
			must(t, after.Close())
			cuts++
			seen[n]++
		}
	}
	if len(seen) != ops+1 {
		t.Errorf("the cuts gave %v, want every number of changes from 0 to %d", seen, ops)
	}
	t.Logf("%d cuts, by number of changes left: %v", cuts, seen)
}

func TestTwo_servers_on_one_file_are_told_which_and_what_to_do(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	cmd := child(t, "write until killed", path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	killed := sync.OnceFunc(func() { cmd.Process.Kill(); io.Copy(io.Discard, out); cmd.Wait() })
	defer killed()
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the other server wrote nothing")
	}
	other := filepath.Join(t.TempDir(), "link.db")
	must(t, os.Symlink(path, other))
	for _, name := range []string{path, other} {
		s, err := Open(t.Context(), name)
		if err == nil {
			s.Close()
		}
		want := "store: open: file " + path + ": another netpol-lab is using it; stop that one, or choose another folder with --data"
		if !errors.Is(err, ErrInUse) || err.Error() != want {
			t.Errorf("open %s: error %v, want %s", name, err, want)
		}
	}
	killed()
	must(t, openFile(t, path).Close())
}

// migrated is a database of that version, with what a learner could do then.
func migrated(t *testing.T, path string, version int64) {
	t.Helper()
	db, err := connect(path, 1, "journal_mode(WAL)")
	must(t, err)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations)
	must(t, err)
	_, err = provider.UpTo(t.Context(), version)
	must(t, err)
	for _, row := range []struct {
		since     int64
		statement string
	}{
		{1, `INSERT INTO learners (owner, name, seq, created_at) VALUES ('owner-of-ann', 'Ann', 8, 1000)`},
		{1, `INSERT INTO sections (owner, lesson, section, visited_seq, visited_at) VALUES ('owner-of-ann', 'policies', 'intro', 7, 2000)`},
		{2, `INSERT INTO exercises (owner, lesson, exercise, changed_seq, tries, hints) VALUES ('owner-of-ann', 'policies', 'deny', 6, 2, 1)`},
		{4, `UPDATE learners SET seen_at = 4000`},
		{2, `INSERT INTO exercises (owner, lesson, exercise, changed_seq, tries, hints, predictions, predicted_at, latest_passed, latest_open, latest_blocked, latest_at, pass_try, pass_hints, pass_open, pass_blocked, pass_at)
			VALUES ('owner-of-ann', 'policies', 'shown', 5, 1, 4, '{"a":"open"}', 1100, TRUE, 1, 2, 1500, 1, 4, 1, 2, 1400)`},
		{5, `UPDATE exercises SET solution_at = 1400, pass_solution = TRUE WHERE exercise = 'shown'`},
		{3, `INSERT INTO attempts (owner, id, seq, quiz, version, right_answers, questions, answers, at) VALUES ('owner-of-ann', 'token', 8, 'basics', 'v1', 2, 3, '{"q":["a","b"]}', 3000)`},
	} {
		if row.since <= version {
			_, err := db.Exec(row.statement)
			must(t, err)
		}
	}
}

// newest is the version of a database that this program makes.
func newest(t *testing.T) int {
	t.Helper()
	files, err := fs.Glob(migrations, "*.sql")
	must(t, err)
	return len(files)
}

func TestUpgrade_from_every_version_keeps_what_was_there(t *testing.T) {
	for version := int64(1); version <= int64(newest(t)); version++ {
		path := filepath.Join(t.TempDir(), "lab.db")
		migrated(t, path, version)
		s := openFile(t, path)
		want := Record{
			Format: 1, Name: "Ann", CreatedAt: time.UnixMilli(1000).UTC(), SeenAt: time.UnixMilli(2000).UTC(),
			Sections:  []Section{{Lesson: "policies", Section: "intro", VisitedAt: time.UnixMilli(2000).UTC()}},
			Exercises: []Exercise{}, Attempts: []Attempt{},
		}
		if version >= 2 {
			result := CheckResult{Passed: true, Open: 1, Blocked: 2, At: time.UnixMilli(1500).UTC()}
			first := result
			first.At = time.UnixMilli(1400).UTC()
			want.Exercises = []Exercise{{Lesson: "policies", Exercise: "deny", Tries: 2, Hints: 1}, {
				Lesson: "policies", Exercise: "shown", Tries: 1, Hints: 4, SolutionAt: first.At,
				Predictions: map[string]string{"a": "open"}, PredictedAt: time.UnixMilli(1100).UTC(),
				Latest: &result, FirstPass: &Pass{CheckResult: first, Try: 1, Hints: 4, WithSolution: true},
			}}
		}
		if version >= 3 {
			want.Attempts = []Attempt{{ID: "token", Quiz: "basics", Version: "v1", Right: 2, Total: 3, Answers: map[string][]string{"q": {"a", "b"}}, At: time.UnixMilli(3000).UTC()}}
		}
		switch {
		case version >= 4:
			want.SeenAt = time.UnixMilli(4000).UTC()
		case version == 3: // the attempt
			want.SeenAt = time.UnixMilli(3000).UTC()
		}
		got, err := s.Export(t.Context(), ann)
		must(t, err)
		equal(t, fmt.Sprintf("record from version %d", version), got, want)
		must(t, s.Forget(t.Context(), ann))
		fill(t, s, ann)
		equal(t, fmt.Sprintf("a new record in version %d", version), record(t, s, ann), filledOf(ann))
	}
}

// withNext are the migrations of a later version.
func withNext(t *testing.T, statement string) fs.FS {
	t.Helper()
	next := fstest.MapFS{"0099_next.sql": {Data: []byte("-- +goose Up\nCREATE TABLE half (a TEXT);\n" + statement)}}
	files, err := fs.Glob(migrations, "*.sql")
	must(t, err)
	for _, name := range files {
		b, err := fs.ReadFile(migrations, name)
		must(t, err)
		next[name] = &fstest.MapFile{Data: b}
	}
	return next
}

func TestA_file_of_a_newer_version_is_refused_and_left_alone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	next := withNext(t, "")
	s, err := open(t.Context(), path, next)
	must(t, err)
	fill(t, s, ann)
	must(t, s.Close())

	_, err = Open(t.Context(), path)
	want := "store: open: file " + path + ": it was written by a newer version of netpol-lab: its version is 99, and this one knows those up to " + fmt.Sprint(newest(t)) + "; use the newer netpol-lab, or choose another folder with --data"
	if !errors.Is(err, ErrNewer) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	s, err = open(t.Context(), path, next)
	must(t, err)
	equal(t, "record", record(t, s, ann), filledOf(ann))
	must(t, s.Close())
}

func TestAn_upgrade_that_fails_leaves_the_old_version(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	s := openFile(t, path)
	fill(t, s, ann)
	must(t, s.Close())
	if _, err := open(t.Context(), path, withNext(t, "INSERT INTO missing VALUES (1);")); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("error %v, want one that names the file", err)
	}
	s = openFile(t, path)
	equal(t, "record", record(t, s, ann), filledOf(ann))
	var half int
	must(t, s.read.QueryRow(`SELECT COUNT(*) FROM sqlite_master WHERE name = 'half'`).Scan(&half))
	equal(t, "tables of the failed step", half, 0)
}

func TestOpen_makes_the_folder_and_a_private_file_whatever_its_name(t *testing.T) {
	for _, name := range []string{"lab.db", "what? a #1 100%.db", "a&b=c;d.db", "läb.db"} {
		path := filepath.Join(t.TempDir(), "new", "folder", name)
		s := openFile(t, path)
		fill(t, s, ann)
		for file, want := range map[string]fs.FileMode{"": 0o600, "-wal": 0o600, "-shm": 0o600, ".lock": 0o600} {
			info, err := os.Stat(path + file)
			must(t, err)
			equal(t, "mode of "+name+file, info.Mode().Perm(), want)
		}
		info, err := os.Stat(filepath.Dir(path))
		must(t, err)
		equal(t, "mode of the folder", info.Mode().Perm(), 0o700)
		must(t, s.Close())
		equal(t, "record in "+name, record(t, openFile(t, path), ann), filledOf(ann))
	}
}

func TestEvery_commit_is_on_the_disk_and_keys_are_enforced(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "lab.db"))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "secure_delete": "1", "busy_timeout": "5000"} {
		var got string
		must(t, s.write.QueryRow("PRAGMA "+pragma).Scan(&got))
		equal(t, pragma, got, want)
	}
	if _, err := s.read.Exec(`DELETE FROM learners`); err == nil {
		t.Error("a reader may write")
	}
}

func TestForgotten_bytes_are_not_in_the_files(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	s := openFile(t, path)
	must(t, s.SetName(t.Context(), ann, "Rumpelstiltskin", noon))
	must(t, s.RecordCheck(t.Context(), ann, "policies", "deny", CheckResult{Detail: json.RawMessage(`"Rumpelstiltskin` + strings.Repeat("x", 20_000) + `"`), At: noon}))
	has := func() (found bool) {
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + suffix)
			must(t, err)
			found = found || bytes.Contains(b, []byte("Rumpelstiltskin"))
		}
		return found
	}
	if !has() {
		t.Fatal("the name is not where this test looks for it")
	}
	must(t, s.Forget(t.Context(), ann))
	if has() {
		t.Error("the name is still there")
	}
}

func TestWhat_is_not_a_database_is_told_and_left_alone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	text := bytes.Repeat([]byte("These are notes, and no database. "), 100)
	must(t, os.WriteFile(path, text, 0o600))
	_, err := Open(t.Context(), path)
	wantUnavailable(t, err, path, "it is damaged, or not a database of netpol-lab; put a backup in its place, or move it away")
	b, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(b, text) {
		t.Error("the file was changed")
	}

	dir := t.TempDir()
	_, err = Open(t.Context(), dir)
	wantUnavailable(t, err, dir, "make sure that it is a file in a folder")
	under := filepath.Join(path, "lab.db")
	_, err = Open(t.Context(), under)
	wantUnavailable(t, err, under, "make sure that it is a file in a folder")
}

func wantUnavailable(t *testing.T, err error, path, advice string) {
	t.Helper()
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "file "+path+": it cannot be used: "+advice) {
		t.Errorf("error %v, want that %s cannot be used: %s", err, path, advice)
	}
}

func TestAnother_program_that_holds_the_lock_is_told(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	s := openFile(t, path)
	must(t, s.VisitSection(t.Context(), ann, "policies", "intro", noon))
	other, err := connect(path, 1)
	must(t, err)
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = s.write.Exec("PRAGMA busy_timeout = 20")
	must(t, err)
	wantUnavailable(t, s.VisitSection(t.Context(), ann, "policies", "deny", noon), path, "another program has locked it for too long")
	must(t, tx.Rollback())
	must(t, s.VisitSection(t.Context(), ann, "policies", "deny", noon))
	equal(t, "sections", len(progress(t, s, ann).Sections), 2)
}

func TestFull_database_keeps_all_or_nothing_of_a_change(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	s := openFile(t, path)
	_, err := s.write.Exec("PRAGMA max_page_count = 60")
	must(t, err)
	wantUnavailable(t, writeBig(s, func(int) error { return nil }), path, "the disk is full; free some space there")
	before := progress(t, s, ann).Quizzes[0].Attempts
	_, err = s.write.Exec("PRAGMA max_page_count = 1000000")
	must(t, err)
	n, err := s.RecordAttempt(t.Context(), ann, attempt("after", 1, 0))
	must(t, err)
	equal(t, "attempts", progress(t, s, ann).Quizzes[0].Attempts, before+1)
	equal(t, "the last", n.ID, "after")
}

// writeBig writes attempts of 10 kB until one fails, and tells of each.
func writeBig(s *Store, committed func(n int) error) error {
	for n := 1; ; n++ {
		a := attempt(strconv.Itoa(n), 1, 0)
		a.Answers = map[string][]string{"q": {strings.Repeat("x", 10_000)}}
		if _, err := s.RecordAttempt(context.Background(), ann, a); err != nil {
			return err
		}
		if err := committed(n); err != nil {
			return err
		}
	}
}

// fillDisk has a limit on the size of its files, so that the operating system
// refuses to write on.
func fillDisk(path string) error {
	s, err := Open(context.Background(), path)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 500_000, Max: limit.Max}); err != nil {
		return err
	}
	err = writeBig(s, func(n int) error { _, err := fmt.Println("committed", n); return err })
	fmt.Println(errors.Is(err, ErrUnavailable), err)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if _, err := s.RecordAttempt(context.Background(), ann, attempt("after", 1, 0)); err != nil {
		return err
	}
	fmt.Println("and on")
	return s.Close()
}

func TestFull_disk_keeps_all_or_nothing_of_a_change_and_goes_on_when_there_is_space(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	out, err := child(t, "fill the disk", path).Output()
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	committed := len(lines) - 2
	if committed < 1 || lines[committed-1] != fmt.Sprint("committed ", committed) || lines[committed+1] != "and on" ||
		!strings.HasPrefix(lines[committed], "true store: record attempt: file "+path+": it cannot be used: the disk ") ||
		!strings.Contains(lines[committed], "disk is full") {
		t.Fatalf("the writer said:\n%s", out)
	}
	equal(t, "attempts", progress(t, openFile(t, path), ann).Quizzes[0].Attempts, committed+1)
}

// openAsNobody gives up root's right to write everywhere.
func openAsNobody(path string) error {
	const nobody = 65534
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	s, err := Open(context.Background(), path)
	if err == nil {
		return errors.Join(errors.New("it could be opened"), s.Close())
	}
	_, err = fmt.Println(errors.Is(err, ErrUnavailable), err)
	return err
}

func TestRead_only_file_and_folder_are_told(t *testing.T) {
	root, err := os.MkdirTemp("", "store")
	must(t, err)
	defer os.RemoveAll(root)
	must(t, os.Chmod(root, 0o755))
	file, dir := filepath.Join(root, "file"), filepath.Join(root, "dir")
	must(t, os.Mkdir(file, 0o700))
	must(t, openFile(t, filepath.Join(file, "lab.db")).Close())
	must(t, os.Remove(filepath.Join(file, "lab.db.lock")))
	must(t, os.Chmod(filepath.Join(file, "lab.db"), 0o444))
	must(t, os.Chmod(file, 0o777))
	must(t, os.Mkdir(dir, 0o555))
	for _, path := range []string{filepath.Join(file, "lab.db"), filepath.Join(dir, "lab.db"), filepath.Join(dir, "new", "lab.db")} {
		out, err := child(t, "open as nobody", path).Output()
		must(t, err)
		if want := "true store: open: file " + path + ": it cannot be used: make sure that it is a file in a folder, that this user may write both"; !strings.HasPrefix(string(out), want) {
			t.Errorf("got %swant %s", out, want)
		}
	}
}

func BenchmarkRecordAttempt(b *testing.B) {
	s := openFile(b, filepath.Join(b.TempDir(), "lab.db"))
	n := 0
	for b.Loop() {
		n++
		if _, err := s.RecordAttempt(b.Context(), ann, attempt(strconv.Itoa(n), 1, 0)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareInsert is the baseline of BenchmarkRecordAttempt: one statement
// of the same data, without check, transaction or order.
func BenchmarkBareInsert(b *testing.B) {
	s := openFile(b, filepath.Join(b.TempDir(), "lab.db"))
	if _, err := s.write.Exec(`INSERT INTO learners (owner, name, seq, created_at) VALUES ($1, '', 1, 1)`, ann); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		_, err := s.write.ExecContext(b.Context(), `INSERT INTO attempts (owner, id, seq, quiz, version, right_answers, questions, answers, at)
			VALUES ($1, $2, $3, 'basics', 'v1', 1, 3, '{"q":"1"}', 1)`, ann, strconv.Itoa(n), n)
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProgress is of a learner who did both lessons and repeated the quizzes.
func BenchmarkProgress(b *testing.B) {
	s := openFile(b, filepath.Join(b.TempDir(), "lab.db"))
	if _, err := s.write.Exec("PRAGMA synchronous = OFF"); err != nil {
		b.Fatal(err)
	}
	for i := range 200 {
		a := attempt(strconv.Itoa(i), i%4, i)
		a.Quiz = strconv.Itoa(i % 6)
		_, err := s.RecordAttempt(b.Context(), ann, a)
		name := strconv.Itoa(i % 20)
		err = errors.Join(err, s.VisitSection(b.Context(), ann, "policies", name, noon),
			s.RecordCheck(b.Context(), ann, "policies", name, CheckResult{Passed: i > 100, Detail: json.RawMessage(`{"flows":[1,2,3]}`), At: noon}))
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Progress(b.Context(), ann); err != nil {
				b.Fatal(err)
			}
		}
	})
	// The baseline: the same rows passed over by their key, without a transaction;
	// nothing else in them is read.
	b.Run("bare_select", func(b *testing.B) {
		for b.Loop() {
			for _, table := range []string{"learners", "sections", "exercises", "attempts"} {
				rows, err := s.read.QueryContext(b.Context(), "SELECT owner FROM "+table+" WHERE owner = $1", ann)
				if err != nil {
					b.Fatal(err)
				}
				for rows.Next() {
					var raw sql.RawBytes
					if err := rows.Scan(&raw); err != nil {
						b.Fatal(err)
					}
				}
				if err := rows.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
