"""Decide which request gets a worker when: queue, room, eviction, turns, and the pool that carries it out."""
