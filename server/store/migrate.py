"""Brings an older database to the newest schema, in process. Imported only when needed."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from server.store import migrations


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings without an ini file: scripts from this package, our open connection."""
    config = Config()
    config.set_main_option(
        "script_location", str(Path(migrations.__file__).parent).replace("%", "%%")
    )
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Run what is missing, inside the caller's transaction."""
    command.upgrade(alembic_config(connection), "head")
