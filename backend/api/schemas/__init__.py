"""Request and response bodies, per noun."""
