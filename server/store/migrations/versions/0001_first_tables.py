"""The first tables: swaps, phase times, facts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "swaps",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_swaps"),
        comment="One row per swap, written before every effect.",
    )
    op.create_index("ix_swaps_created_at", "swaps", ["created_at"])
    op.create_index("ix_swaps_finished_at", "swaps", ["finished_at"])
    op.create_table(
        "phase_times",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("phase", sa.String(40), nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_phase_times"),
        comment="How long each phase of a load took, learned per model, image and number of nodes.",
    )
    op.create_index("ix_phase_times_key_phase_at", "phase_times", ["key", "phase", "at"])
    op.create_table(
        "facts",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
        comment="Single values that must outlive a restart.",
    )


def downgrade() -> None:
    op.drop_table("facts")
    op.drop_table("phase_times")
    op.drop_table("swaps")
