"""Write the daemon's own log: one line per event on standard error, `key=value` throughout."""

import logging
import sys
import time

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


def configure(level: str) -> None:
    """Send everything from `level` up to standard error, and of the server below only what goes wrong."""
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[out], force=True)
    for name in ("uvicorn", "httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop what we do on purpose: a failed stream is left unfinished, and logged by its own request."""
    return record.getMessage() != _UNFINISHED
