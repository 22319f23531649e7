package main

import "context"

func onKind(ctx context.Context) error { return nil }
