"""Drivers: where a meter's or a machine's numbers come from."""
