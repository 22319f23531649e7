// The engine's answer about a draft: what its policies select, what is wrong with them,
// and what would change.

export type Analysis = never;
