"""The migrations, the tables and the list of revisions are one truth told three times."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from server.store import migrations
from server.store.database import Database
from server.store.migrate import alembic_config, upgrade
from server.store.tables import metadata


def shape(connection: Connection) -> dict[str, object]:
    """All that SQLite knows of a schema, column by column and index by index."""
    seen = inspect(connection)
    return {
        table: {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["primary_key"])
                for c in seen.get_columns(table)
            ],
            "indexes": sorted(
                (i["name"], tuple(i["column_names"])) for i in seen.get_indexes(table)
            ),
            "primary key": seen.get_pk_constraint(table)["constrained_columns"],
        }
        for table in sorted(seen.get_table_names())
    }


def test_the_list_of_revisions_is_the_files_in_order() -> None:
    """`REVISIONS` is what lets a start skip Alembic: it must be right."""
    script = ScriptDirectory.from_config(alembic_config())
    walked = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(walked)) == migrations.REVISIONS
    assert script.get_current_head() == migrations.HEAD


def test_migrations_build_what_the_tables_say() -> None:
    """From nothing to head gives exactly the metadata."""
    with create_engine("sqlite://").begin() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


async def test_a_new_database_is_what_the_migrations_build(tmp_path: Path) -> None:
    """The short cut for an empty file leads to the same place."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    await database.open()
    async with database.read() as connection:
        short = await connection.run_sync(shape)
    await database.close()
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade(connection)
        assert shape(connection) == short
    engine.dispose()


async def test_an_older_database_is_brought_to_head(tmp_path: Path) -> None:
    """A database stamped at the beginning goes through every revision, in one transaction."""
    path = f"{tmp_path}/a.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    engine.dispose()
    database = Database(f"sqlite+aiosqlite:///{path}")
    await database.open()
    async with database.read() as connection:
        version = (
            await connection.execute(text("SELECT version_num FROM alembic_version"))
        ).scalar()
        tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    await database.close()
    assert version == migrations.HEAD
    assert set(metadata.tables) < tables
