"""Open the file of responses and conversations: make it, bring it up to date, put it aside if it is broken."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

logger = logging.getLogger("mlxd.responses")

_VERSION = 2
_SCHEMA = """
CREATE TABLE kept(
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, status TEXT NOT NULL, previous TEXT,
    owner TEXT NOT NULL, inputs_end INTEGER NOT NULL, outputs_end INTEGER NOT NULL,
    used INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL,
    tenant TEXT NOT NULL DEFAULT '');
CREATE INDEX kept_by_use ON kept(used, bytes, status);
CREATE TABLE items(
    owner TEXT NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY(owner, place));
CREATE INDEX items_by_id ON items(id);
"""
_UPGRADES = {1: "ALTER TABLE kept ADD COLUMN tenant TEXT NOT NULL DEFAULT ''"}
"""What makes the next version out of an older one."""
_PRIMARY = 0xFF
"""Part of a result that is the same for all its kinds."""
_NOT_ITS_FAULT = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Results that say nothing of what is in the file: a full disk, say, or another program that holds it."""


def opened(path: Path | None) -> sqlite3.Connection:
    """Return the connection to responses and conversations; a file that is none of ours, or broken, is put aside.

    Raises sqlite3.OperationalError where it cannot be opened for now.
    """
    if path is None:
        return _prepared(sqlite3.connect(":memory:", check_same_thread=False))
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        return _prepared(sqlite3.connect(path, check_same_thread=False))
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _NOT_ITS_FAULT:
            raise
        aside = path.with_suffix(".broken")
        logger.error("%s cannot be read (%s); it is now %s", path, error, aside.name)
        os.replace(path, aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return _prepared(sqlite3.connect(path, check_same_thread=False))


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        with closing(db.execute("PRAGMA user_version")) as found:
            version = found.fetchone()[0]
        if version not in (0, *_UPGRADES, _VERSION):
            raise sqlite3.DatabaseError(f"version {version}, expected {_VERSION}")
        db.execute("PRAGMA auto_vacuum = FULL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")
        if version == 0:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        while version in _UPGRADES:
            step, version = _UPGRADES[version], version + 1
            db.executescript(f"BEGIN; {step}; PRAGMA user_version = {version}; COMMIT;")
        db.execute("SELECT COUNT(*) FROM kept JOIN items ON items.owner = kept.id").fetchone()
    except BaseException:
        db.close()
        raise
    return db
