"""Run one model in a child process."""
