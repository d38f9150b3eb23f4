"""Serve Responses and conversations: what they refer to, the jobs in the background, the store."""
