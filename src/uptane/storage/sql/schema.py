"""The tables of the inventory. Every key begins with the vehicle, so that a distributed engine can shard them."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    and_,
)

REVISION = "0007"
"""The newest migration in `migrations/versions`; a table changes only together with a new one (record 24)."""


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone, kept as UTC also where the database knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, without the zone where it cannot be kept."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared and sorted by its code points, as Python and SQLite do."""

tables = MetaData()

vehicles = Table(
    "vehicles",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("manifest_counter", BigInteger, nullable=False),
    Column("manifest", LargeBinary),
    Column("manifest_received", UtcTime),
    Column("revision", BigInteger, nullable=False, server_default="0"),
)

ecus = Table(
    "ecus",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("ecu", _NAME, primary_key=True, unique=True),
    Column("key_id", _NAME, nullable=False),
    Column("key_type", _NAME, nullable=False),
    Column("key_scheme", _NAME, nullable=False),
    Column("key_material", LargeBinary, nullable=False),
    Column("sole_key", LargeBinary, unique=True),
    Column("is_primary", Boolean, nullable=False),
    Column("hardware_id", _NAME),
    Column("report_counter", BigInteger, nullable=False),
    Column("report", LargeBinary),
    Column("report_received", UtcTime),
    Column("retired", UtcTime),
    Column("encryption_type", _NAME),
    Column("encryption_material", LargeBinary),
    ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
)

Index(
    "one_primary_per_vehicle",
    ecus.c.vehicle,
    unique=True,
    sqlite_where=and_(ecus.c.is_primary.is_(True), ecus.c.retired.is_(None)),
    postgresql_where=and_(ecus.c.is_primary.is_(True), ecus.c.retired.is_(None)),
)

reports = Table(
    "reports",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("ecu", _NAME, primary_key=True),
    Column("counter", BigInteger, primary_key=True, autoincrement=False),
    Column("report", LargeBinary, nullable=False),
    Column("received", UtcTime, nullable=False),
    Column("attacks_detected", Text, nullable=False),
    ForeignKeyConstraint(["vehicle", "ecu"], ["ecus.vehicle", "ecus.ecu"]),
)

assignments = Table(
    "assignments",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("ecu", _NAME, primary_key=True),
    Column("path", _NAME, nullable=False),
    Column("image", LargeBinary, nullable=False),
    Column("install_order", Integer),
    Column("encrypted", LargeBinary),
    ForeignKeyConstraint(["vehicle", "ecu"], ["ecus.vehicle", "ecus.ecu"]),
)

directed = Table(
    "directed",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("ecu", _NAME, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("path", _NAME, nullable=False),
    Column("image", LargeBinary, nullable=False),
    ForeignKeyConstraint(["vehicle", "ecu"], ["ecus.vehicle", "ecus.ecu"]),
)

alerts = Table(
    "alerts",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("time", UtcTime, nullable=False),
    Column("code", _NAME, nullable=False),
    Column("text", Text, nullable=False),
    ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
)


metadata_files = Table(
    "metadata_files",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
)

contacts = Table(
    "contacts",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("seen", UtcTime, nullable=False),
    ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
)

tokens = Table(
    "tokens",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("digest", LargeBinary, primary_key=True, unique=True),
    Column("expires", UtcTime, nullable=False),
    ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
)

certificates = Table(
    "certificates",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("fingerprint", _NAME, primary_key=True, unique=True),
    Column("expires", UtcTime, nullable=False),
    Column("revoked", Boolean, nullable=False),
    ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
)

retirements = Table(
    "retirements",
    tables,
    Column("vehicle", _NAME, primary_key=True),
    Column("retired", UtcTime, nullable=False),
    ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
)
