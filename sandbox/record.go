package sandbox

import (
	"context"
	"time"
)

// Record is what must outlive a restart of the server to know a sandbox again.
type Record struct {
	ID ID
	// Cluster is the cluster that the sandbox is, or is to be; empty while it waits for
	// one. No two records have the same.
	Cluster ClusterID
	Owner   string
	Lab     string
	State   State
	Reason  string
	// Created is kept to the millisecond, and so is Ends: when the sandbox is stopped at
	// the latest. It is zero where nobody has put that off.
	Created, Ends time.Time
}

// Records keep the records of one provider's sandboxes. Each method is one change,
// all or nothing, and what it has returned from survives the end of the process. They
// may be called concurrently.
type Records interface {
	// All is every record, the oldest sandbox's first.
	All(ctx context.Context) ([]Record, error)
	// Save keeps the record in the place of the one with its ID, if any.
	Save(ctx context.Context, rec Record) error
	// SaveHistory keeps the sandbox's history, in JSON, with its record, in the place of
	// the one before. Of a sandbox that has no record nothing is kept.
	SaveHistory(ctx context.Context, id ID, history []byte) error
	// History is what SaveHistory has kept; nil where that is nothing.
	History(ctx context.Context, id ID) ([]byte, error)
	// Delete deletes the record with its history; one that is not there is no error.
	Delete(ctx context.Context, id ID) error
}
