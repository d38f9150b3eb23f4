"""Talk to a running daemon from a terminal."""
