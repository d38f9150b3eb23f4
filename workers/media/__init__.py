"""Take in what strangers send: fetch files and decode pictures, within limits, beside the engine's thread."""
