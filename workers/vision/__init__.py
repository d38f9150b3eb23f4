"""Serve models that see and hear: read prompts with pictures, films and sounds; the text engine does the rest."""
