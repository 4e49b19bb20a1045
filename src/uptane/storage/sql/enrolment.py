"""Who may connect: one-time tokens of first contacts, and the certificates that vehicles were given."""

import hashlib
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.metadata.errors import UnknownVehicleError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.sql.engine import database_name, storage_errors
from uptane.storage.sql.schema import certificates, tokens, vehicles


class SqlEnrolment:
    """Tokens and certificates in the inventory's database. Of a token only its SHA-256 is kept.

    Args:
        engine: from `open_engine`; its tables exist.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._database = database_name(engine)

    async def add_token(self, vehicle: VehicleIdentifier, token: str, expires: datetime) -> None:
        """A token for one first contact; earlier ones of that vehicle are worth nothing any more.

        Raises:
            UnknownVehicleError: no such vehicle.
        """
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                known = select(vehicles.c.vehicle).where(vehicles.c.vehicle == str(vehicle))
                if (await connection.execute(known)).scalar() is None:
                    raise UnknownVehicleError(f"vehicle {vehicle} is not in the inventory", vehicle=vehicle)
                await connection.execute(delete(tokens).where(tokens.c.vehicle == str(vehicle)))
                row = {"vehicle": str(vehicle), "digest": _digest(token), "expires": expires}
                await connection.execute(insert(tokens).values(row))

    async def redeem(
        self, vehicle: VehicleIdentifier, token: str, now: datetime, fingerprint: str, expires: datetime
    ) -> bool:
        """Uses a token up and puts the certificate on record that it was given for; False for no such token.

        Args:
            vehicle, token: as they came.
            now: UTC.
            fingerprint: of the certificate; see `VehicleCertificate`.
            expires: of the certificate.
        """
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                used = await connection.execute(
                    delete(tokens).where(
                        tokens.c.vehicle == str(vehicle), tokens.c.digest == _digest(token), tokens.c.expires > now
                    )
                )
                if used.rowcount != 1:
                    return False
                row = {"vehicle": str(vehicle), "fingerprint": fingerprint, "expires": expires, "revoked": False}
                await connection.execute(insert(certificates).values(row))
                return True

    async def revoke(self, vehicle: VehicleIdentifier) -> int:
        """Revokes every certificate and token of a vehicle; how many certificates."""
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                await connection.execute(delete(tokens).where(tokens.c.vehicle == str(vehicle)))
                here = (certificates.c.vehicle == str(vehicle), certificates.c.revoked.is_(False))
                return (await connection.execute(update(certificates).where(*here).values(revoked=True))).rowcount

    async def forget_tokens(self) -> None:
        """Makes every token worthless."""
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                await connection.execute(delete(tokens))

    async def revoked(self) -> frozenset[str]:
        """The fingerprints of all revoked certificates that have not expired by themselves."""
        with storage_errors(self._database):
            async with self._engine.connect() as connection:
                found = await connection.execute(
                    select(certificates.c.fingerprint).where(certificates.c.revoked.is_(True))
                )
                return frozenset(row[0] for row in found)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
