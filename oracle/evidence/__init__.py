"""Attestation evidence: what proves that a key lives in code everybody can name."""
