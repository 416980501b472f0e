"""The end of a swap's log."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "swap_logs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_swap_logs"),
        comment="The end of what the engines of a swap wrote, of the newest swaps.",
    )


def downgrade() -> None:
    op.drop_table("swap_logs")
