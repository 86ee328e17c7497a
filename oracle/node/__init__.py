"""One node of the oracle committee: its own key, its own store, and everything it checks before it signs."""
