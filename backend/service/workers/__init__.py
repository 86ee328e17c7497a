"""What the service does on its own: every task runs under a lease, may stop anywhere and may start twice."""
