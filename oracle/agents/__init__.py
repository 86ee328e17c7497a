"""Meters and workload agents: they hold the device keys, sign readings, and keep them until posted."""
