"""Serve models that see: read prompts with pictures, and let the text engine do the rest."""
