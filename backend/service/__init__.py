"""Use cases of the service: thin, one transaction each, between the routers and the pure core."""
