"""The HTTP interface: routers, dependencies, problem bodies, middleware."""
