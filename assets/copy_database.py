"""A whole copy of the database, for a backup taken while the app runs.

A plain copy of a database in use may be torn: part of it lies in the -wal file. SQLite's own
`VACUUM INTO` writes one complete file. Usage: copy_database.py DATABASE COPY. Without a database
there is nothing to copy, which is fine; a database that cannot be copied fails the backup.
"""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path


def copy(database: Path, target: Path) -> bool:
    """False when there is no database yet."""
    target.unlink(missing_ok=True)
    if not database.exists():
        return False
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        uri = f"{database.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=20)) as source:
            source.execute("VACUUM INTO ?", (str(partial),))
        with closing(sqlite3.connect(partial)) as made:
            verdict = made.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(str(verdict))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.chmod(0o600)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return True


if __name__ == "__main__":
    try:
        sys.stdout.write("copied\n" if copy(Path(sys.argv[1]), Path(sys.argv[2])) else "none yet\n")
    except (sqlite3.Error, OSError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        sys.stderr.write(f"The database could not be copied for the backup: {reason}.\n")
        sys.exit(1)
