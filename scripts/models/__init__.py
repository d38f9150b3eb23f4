"""Tiny real models: built in a second for tests, and trained once as the demo model."""
