package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What is SQLite's own is in this file; the statements elsewhere are PostgreSQL's too.

//go:embed migrations/*.sql
var embedded embed.FS

var migrations = func() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // The name is a constant, and valid.
	}
	return sub
}()

const readers = 4

func open(ctx context.Context, path string, migrations fs.FS) (_ *Store, err error) {
	s := &Store{path: path}
	defer func() {
		if err != nil {
			err = s.explain(ctx, "open", err)
		}
	}()
	if s.path, err = prepare(path); err != nil {
		return nil, err
	}
	lock, err := lockFile(s.path + ".lock")
	if err != nil {
		return nil, err
	}
	s.lock = lock
	defer func() {
		if err != nil {
			for _, db := range []*sql.DB{s.read, s.write} {
				if db != nil {
					db.Close()
				}
			}
			lock.Close()
		}
	}()
	// SQLite opens a file that it may not write all the same, and would make a new
	// one readable for all.
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}

	// The writer comes first: it makes the file and its journal, which a reader cannot.
	if s.write, err = connect(s.path, 1,
		"journal_mode(WAL)",
		"synchronous(FULL)", // a commit is on the disk when it returns
		"foreign_keys(1)",
		"secure_delete(1)", // what is forgotten is not left in the file's free pages
	); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.write, migrations); err != nil {
		return nil, err
	}
	if s.read, err = connect(s.path, readers, "query_only(1)"); err != nil {
		return nil, err
	}
	return s, nil
}

// prepare makes the file's folder and gives the file's one true name: two names
// for it must not mean two locks.
func prepare(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return path, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return path, err
	}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		var dir string
		dir, err = filepath.EvalSymlinks(filepath.Dir(path))
		target = filepath.Join(dir, filepath.Base(path))
	}
	if err != nil {
		return path, err
	}
	return target, nil
}

// lockFile locks the file until it is closed, or the process ends in whatever
// way. It is not the database itself: closing any handle of that would take
// SQLite's own locks away.
func lockFile(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w; stop that one, or choose another folder with --data", ErrInUse)
		}
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	return lock, nil
}

func connect(path string, connections int, pragmas ...string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		// Another program that looks into the file may hold a lock for a moment.
		"_pragma": append(pragmas, "busy_timeout(5000)"),
		// A transaction that is to write asks for the lock at its start: one that
		// asks later can fail without a wait.
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// migrate brings the database to the newest version that the migrations have,
// each step in a transaction of its own.
func migrate(ctx context.Context, db *sql.DB, migrations fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("%w: its version is %d, and this one knows those up to %d; use the newer netpol-lab, or choose another folder with --data", ErrNewer, current, target)
	}
	_, err = provider.Up(ctx)
	return err
}

// explain gives an error the operation and the file, and what to do about it.
func (s *Store) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		// The driver reports an interruption; why is in the context.
		return fmt.Errorf("store: %s: %w", op, context.Cause(ctx))
	}
	advice := ""
	var (
		failure *sqlite.Error
		access  *fs.PathError
	)
	switch {
	case errors.As(err, &failure):
		switch failure.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			advice = "the disk is full; free some space there"
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH:
			advice = "it may not be written; give this user the right to write the file and its folder"
		case sqlite3.SQLITE_IOERR:
			advice = "the disk did not read or write it; see whether the disk is full or failing"
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			advice = "it is damaged, or not a database of netpol-lab; put a backup in its place, or move it away to start afresh"
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			advice = "another program has locked it for too long; end that one"
		}
	case errors.As(err, &access):
		advice = "make sure that it is a file in a folder, that this user may write both, and that the disk has space"
	}
	if advice == "" {
		return fmt.Errorf("store: %s: file %s: %w", op, s.path, err)
	}
	return fmt.Errorf("store: %s: file %s: %w: %s: %w", op, s.path, ErrUnavailable, advice, err)
}

// emptyLog moves all that is in the write-ahead log into the database, and
// leaves the log empty.
func (s *Store) emptyLog(ctx context.Context) error {
	_, err := s.write.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}
