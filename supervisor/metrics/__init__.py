"""Count what the daemon does, for Prometheus: observers beside the facts, one page for whoever scrapes."""
