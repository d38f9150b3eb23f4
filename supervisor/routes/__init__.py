"""Serve what a model answers, what models there are, and what operators ask."""
