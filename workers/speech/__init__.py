"""Read text aloud, a stretch of sound at a time."""
