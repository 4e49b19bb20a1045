"""Revision 0005: the inventory, as programs made it before there were migrations."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "inventory_schema", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False, nullable=False)
    )
    op.create_table(
        "vehicles",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("manifest_counter", sa.BigInteger, nullable=False),
        sa.Column("manifest", sa.LargeBinary),
        sa.Column("manifest_received", TIME),
    )
    _ecus()
    _of_ecus()
    op.create_table(
        "alerts",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("code", NAME, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
    )


def _ecus() -> None:
    op.create_table(
        "ecus",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("ecu", NAME, primary_key=True, unique=True),
        sa.Column("key_id", NAME, nullable=False),
        sa.Column("key_type", NAME, nullable=False),
        sa.Column("key_scheme", NAME, nullable=False),
        sa.Column("key_material", sa.LargeBinary, nullable=False),
        sa.Column("sole_key", sa.LargeBinary, unique=True),
        sa.Column("is_primary", sa.Boolean, nullable=False),
        sa.Column("hardware_id", NAME),
        sa.Column("report_counter", sa.BigInteger, nullable=False),
        sa.Column("report", sa.LargeBinary),
        sa.Column("report_received", TIME),
        sa.Column("retired", TIME),
        sa.Column("encryption_type", NAME),
        sa.Column("encryption_material", sa.LargeBinary),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
    )
    in_use = sa.and_(sa.column("is_primary", sa.Boolean).is_(True), sa.column("retired").is_(None))
    op.create_index(
        "one_primary_per_vehicle", "ecus", ["vehicle"], unique=True, sqlite_where=in_use, postgresql_where=in_use
    )


def _of_ecus() -> None:
    of_ecu = ["vehicle", "ecu"], ["ecus.vehicle", "ecus.ecu"]
    op.create_table(
        "reports",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("ecu", NAME, primary_key=True),
        sa.Column("counter", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("report", sa.LargeBinary, nullable=False),
        sa.Column("received", TIME, nullable=False),
        sa.Column("attacks_detected", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(*of_ecu),
    )
    op.create_table(
        "assignments",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("ecu", NAME, primary_key=True),
        sa.Column("path", NAME, nullable=False),
        sa.Column("image", sa.LargeBinary, nullable=False),
        sa.Column("install_order", sa.Integer),
        sa.Column("encrypted", sa.LargeBinary),
        sa.ForeignKeyConstraint(*of_ecu),
    )
    op.create_table(
        "directed",
        sa.Column("vehicle", NAME, primary_key=True),
        sa.Column("ecu", NAME, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("image", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(*of_ecu),
    )
