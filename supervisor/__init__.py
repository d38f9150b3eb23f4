"""Run the daemon: front door, routing, scheduling and worker lifecycle. Never imports MLX."""
