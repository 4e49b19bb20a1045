"""Revision 0006: vehicles' metadata, tokens, certificates and retirement; it takes the place of a number."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables, which some programs of revision 0005 made already."""
    op.create_table(
        "metadata_files",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
        if_not_exists=True,
    )
    op.create_table(
        "tokens",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True, unique=True),
        sa.Column("expires", TIME, nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
        if_not_exists=True,
    )
    op.create_table(
        "certificates",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("fingerprint", NAME, primary_key=True, unique=True),
        sa.Column("expires", TIME, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
        if_not_exists=True,
    )
    op.create_table(
        "retirements",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("retired", TIME, nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
        if_not_exists=True,
    )
    op.drop_table("inventory_schema")
