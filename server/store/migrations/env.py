"""What Alembic runs: it is always handed an open connection and migrates within its transaction."""

from alembic import context

from server.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
# The caller owns the transaction: a migration that is cut off leaves the old schema, whole.
context.run_migrations()
