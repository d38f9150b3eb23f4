"""A worker's app over scripted tokens, served over real HTTP."""

from support.scripted_app import client, script

__all__ = ["client", "script"]
