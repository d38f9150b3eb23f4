"""Take requests in and give answers out: the port, the checks of a body, the way to a worker and back."""
