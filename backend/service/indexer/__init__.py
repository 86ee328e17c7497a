"""The indexer: contract events in, rows out; undone and done again when the chain changes."""
