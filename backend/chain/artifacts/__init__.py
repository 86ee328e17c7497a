"""ABI and bytecode of the contracts, one JSON each; written by `make build`."""
