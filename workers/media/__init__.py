"""Take in what strangers send: fetch files and decode pictures and films, within limits, beside the engine's thread."""
