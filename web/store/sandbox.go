package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// Sandboxes are the records of one provider's sandboxes. What one provider has made
// is not another's to miss or to remove.
type Sandboxes struct {
	store    *Store
	provider string
}

var _ sandbox.Records = (*Sandboxes)(nil)

// Sandboxes are the records of the sandboxes of the provider of that name.
func (s *Store) Sandboxes(provider string) *Sandboxes { return &Sandboxes{s, provider} }

// All is every record, the oldest sandbox's first.
func (s *Sandboxes) All(ctx context.Context) (all []sandbox.Record, err error) {
	err = s.store.look(ctx, "read sandboxes", func(tx *sql.Tx) error {
		all, err = list(ctx, tx, func(rows *sql.Rows) (rec sandbox.Record, err error) {
			var created, ends int64
			err = rows.Scan(&rec.ID, &rec.Cluster, &rec.Owner, &rec.Lab, &rec.State, &rec.Reason, &created, &ends)
			rec.Created = moment(created)
			if ends != 0 {
				rec.Ends = moment(ends)
			}
			return rec, err
		}, `SELECT id, cluster, owner, lab, state, reason, created_at, ends_at FROM sandboxes WHERE provider = $1 ORDER BY created_at, id`, s.provider)
		return err
	})
	return all, err
}

// Save keeps the record in the place of the one with its ID, if any.
func (s *Sandboxes) Save(ctx context.Context, rec sandbox.Record) error {
	if err := checkKeys("id", string(rec.ID), "owner", rec.Owner, "lab", rec.Lab, "state", string(rec.State)); err != nil {
		return err
	}
	created, err := checkTime(rec.Created)
	if err != nil {
		return err
	}
	var ends int64
	if !rec.Ends.IsZero() {
		if ends, err = checkTime(rec.Ends); err != nil {
			return err
		}
	}
	err = s.store.exec(ctx, `
		INSERT INTO sandboxes (provider, id, cluster, owner, lab, state, reason, created_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (provider, id) DO UPDATE SET cluster = excluded.cluster, owner = excluded.owner, lab = excluded.lab, state = excluded.state,
			reason = excluded.reason, created_at = excluded.created_at, ends_at = excluded.ends_at`,
		s.provider, string(rec.ID), string(rec.Cluster), rec.Owner, rec.Lab, string(rec.State), rec.Reason, created, ends)
	return s.store.explain(ctx, "save sandbox", err)
}

// SaveHistory keeps the sandbox's history with its record.
func (s *Sandboxes) SaveHistory(ctx context.Context, id sandbox.ID, history []byte) error {
	err := s.store.exec(ctx, `UPDATE sandboxes SET history = $3 WHERE provider = $1 AND id = $2`, s.provider, string(id), string(history))
	return s.store.explain(ctx, "save history", err)
}

// History is the history that was kept last; nil where that is none.
func (s *Sandboxes) History(ctx context.Context, id sandbox.ID) ([]byte, error) {
	var history sql.NullString
	err := s.store.read.QueryRowContext(ctx, `SELECT history FROM sandboxes WHERE provider = $1 AND id = $2`, s.provider, string(id)).Scan(&history)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil || !history.Valid {
		return nil, s.store.explain(ctx, "read history", err)
	}
	return []byte(history.String), nil
}

// Delete deletes the record; one that is not there is no error.
func (s *Sandboxes) Delete(ctx context.Context, id sandbox.ID) error {
	err := s.store.exec(ctx, `DELETE FROM sandboxes WHERE provider = $1 AND id = $2`, s.provider, string(id))
	return s.store.explain(ctx, "delete sandbox", err)
}
