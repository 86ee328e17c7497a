"""The stages of a market day, in the order the driver runs them."""
