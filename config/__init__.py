"""Hold what the user may set, and which models there are."""
