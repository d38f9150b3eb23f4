"""Write the daemon's own log: one line per event on standard error, `key=value` throughout."""

import asyncio
import logging
import time
from pathlib import Path

from mlxd.supervisor.logs.own_log import NAME, OwnLog

_UNFINISHED = "ASGI callable returned without completing response."


class LineFormatter(logging.Formatter):
    """Put time, level and source before the message; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = (
            f"time={stamp}.{int(record.msecs):03d}Z level={record.levelname.lower()} "
            f"source={record.name} {record.getMessage()}"
        )
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


def configure(level: str, log_dir: Path) -> None:
    """Send everything from `level` up to standard error, and of the server below only what goes wrong.

    Where standard error is the file in `log_dir`, it is put aside when it has grown.
    """
    out = OwnLog(log_dir / NAME)
    out.setFormatter(LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[out], force=True)
    for name in ("uvicorn", "httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
    """Drop what we do on purpose, and what means nothing.

    A failed stream is left unfinished, and logged by its own request. A read from a worker that is cancelled just as
    bytes arrive makes anyio's Unix sockets set the result of a future that is over (anyio#1267 is its sibling).
    """
    message = record.getMessage()
    cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.InvalidStateError)
    return message != _UNFINISHED and not (cancelled and "Future.set_result(None)" in message)
