"""The tables, as SQLAlchemy Core metadata. Rooms import the tables they own.

Times are ISO 8601 text in UTC, so that they sort as text on every database. `record` and `value`
are JSON text whose shape belongs to the room that writes it. A change here needs a migration.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

swaps = Table(
    "swaps",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("created_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Column("state", String(20), nullable=False),
    Column("model", String(200)),
    Column("record", Text, nullable=False),
    Index("ix_swaps_created_at", "created_at"),
    Index("ix_swaps_finished_at", "finished_at"),
    comment="One row per swap, written before every effect.",
)

swap_logs = Table(
    "swap_logs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("log", Text, nullable=False),
    comment="The end of what the engines of a swap wrote, of the newest swaps.",
)

phase_times = Table(
    "phase_times",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),
    Column("phase", String(40), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", String(32), nullable=False),
    Index("ix_phase_times_key_phase_at", "key", "phase", "at"),
    comment="How long each phase of a load took, learned per model, image and number of nodes.",
)

facts = Table(
    "facts",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", String(32), nullable=False),
    comment="Single values that must outlive a restart.",
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32)),
    Column("last_used_at", String(32)),
    Column("revoked_at", String(32)),
    Column("record", Text, nullable=False),
    comment="API keys: a digest of the secret, never the secret.",
)

usage = Table(
    "usage",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("key_id", String(40), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("route", String(100), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("audio_seconds", Float, nullable=False),
    Column("gpu_seconds", Float, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    comment="What each key used of each model, by day in UTC.",
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("last_used_at", String(32), nullable=False),
    Column("address", String(80), nullable=False),
    Column("agent", String(200), nullable=False),
    comment="Who is logged in: a digest of what the browser holds, never that itself.",
)
