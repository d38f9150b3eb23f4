"""Keep what happened: the daemon's own log, what workers print, and the journal of events."""
