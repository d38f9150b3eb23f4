"""Render the wire dialects over the engine."""
