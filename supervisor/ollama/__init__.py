"""Serve Ollama's calls over the same models, downloads and workers as the other dialects."""
