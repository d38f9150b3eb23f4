"""Have Time Machine pass over what is large, changes all day and can be made again."""

import ctypes
import logging
import os
import plistlib
import sys
from pathlib import Path
from typing import Protocol, cast

logger = logging.getLogger("mlxd.backups")

NAME = b"com.apple.metadata:com_apple_backup_excludeItem"
VALUE = plistlib.dumps("com.apple.backupd", fmt=plistlib.FMT_BINARY)
"""What `tmutil addexclusion` writes beside a folder; tmutil itself takes its time."""


class Library(Protocol):
    """Offer setxattr(2) as macOS has it."""

    def setxattr(
        self, path: bytes, name: bytes, value: bytes, size: int, position: int, options: int
    ) -> int:
        """Return 0 where it is done."""
        ...


def leave_out(
    folder: Path, *, platform: str = sys.platform, library: Library | None = None
) -> None:
    """Make the folder, and mark it on a Mac; a disk that keeps no such marks has its copies made."""
    if platform != "darwin":
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        logger.warning("folder=%s error=%r", folder, str(error))
        return
    setxattr = (library or _libc()).setxattr
    if setxattr(os.fsencode(folder), NAME, VALUE, len(VALUE), 0, 0):
        logger.info("folder=%s is not kept out of backups", folder)


def _libc() -> Library:
    library = ctypes.CDLL(None)
    text, number = ctypes.c_char_p, ctypes.c_uint32
    library.setxattr.argtypes = [text, text, text, ctypes.c_size_t, number, ctypes.c_int]
    return cast(Library, library)
