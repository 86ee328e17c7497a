"""The wire format of the oracle: readings, leaves, trees, reports, outcomes and archive bundles.

Everything here is pure. The driver, the committee and the auditor share it, and nothing else of each other.
"""
