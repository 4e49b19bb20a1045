"""Revision 0007: a vehicle's revision, by which caches know that they are out of date, and when it was last seen."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds a column and a table."""
    op.add_column("vehicles", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "contacts",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("seen", TIME, nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
    )
