"""Bring models to this disk and take them away: the hub is spoken to in a process of its own."""
