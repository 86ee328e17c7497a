"""The market: its order language, the joint clearing of compute and power, and the certificate that checks
it."""
