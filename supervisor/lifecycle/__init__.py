"""Start, watch and end worker processes: pure decisions over a worker's life, and the task that owns each."""
