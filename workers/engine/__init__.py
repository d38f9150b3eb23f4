"""Run the continuous-batching loop."""
