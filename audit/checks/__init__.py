"""The named checks, one small rule each, grouped by topic."""
