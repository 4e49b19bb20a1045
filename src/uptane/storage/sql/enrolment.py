"""Who may connect: one-time tokens of first contacts, certificates that vehicles were given, and who is retired."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from uptane.metadata.errors import RetiredVehicleError, UnknownVehicleError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.sql.engine import database_name, storage_errors
from uptane.storage.sql.schema import certificates, retirements, tokens, vehicles


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
            RetiredVehicleError: it was taken out of service.
        """
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                known = select(vehicles.c.vehicle).where(vehicles.c.vehicle == str(vehicle))
                if (await connection.execute(known)).scalar() is None:
                    raise UnknownVehicleError(f"vehicle {vehicle} is not in the inventory", vehicle=vehicle)
                await _require_in_service(connection, vehicle)
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
                return await _revoke(connection, vehicle)

    async def retire(self, vehicle: VehicleIdentifier, now: datetime) -> int:
        """Takes a vehicle out of service, for good: nothing of it is removed, and it can connect no more.

        Args:
            vehicle: which one.
            now: UTC.

        Returns:
            How many certificates were revoked.

        Raises:
            UnknownVehicleError: no such vehicle.
            RetiredVehicleError: it was taken out of service before.
        """
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                # The lock of the vehicle: of two that retire it at once, one is told that it is done.
                known = select(vehicles.c.vehicle).where(vehicles.c.vehicle == str(vehicle)).with_for_update()
                if (await connection.execute(known)).scalar() is None:
                    raise UnknownVehicleError(f"vehicle {vehicle} is not in the inventory", vehicle=vehicle)
                await _require_in_service(connection, vehicle)
                await connection.execute(insert(retirements).values(vehicle=str(vehicle), retired=now))
                return await _revoke(connection, vehicle)

    async def require_in_service(self, vehicle: VehicleIdentifier) -> None:
        """Raises RetiredVehicleError for a vehicle that was taken out of service."""
        with storage_errors(self._database):
            async with self._engine.connect() as connection:
                await _require_in_service(connection, vehicle)

    async def retired(self) -> Mapping[str, datetime]:
        """Every vehicle that was taken out of service, and when, UTC."""
        with storage_errors(self._database):
            async with self._engine.connect() as connection:
                found = await connection.execute(select(retirements.c.vehicle, retirements.c.retired))
                return {row[0]: row[1] for row in found}

    async def forget_tokens(self) -> None:
        """Makes every token worthless."""
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                await connection.execute(delete(tokens))

    async def revoked(self) -> frozenset[str]:
        """The fingerprints of all revoked certificates."""
        with storage_errors(self._database):
            async with self._engine.connect() as connection:
                found = await connection.execute(
                    select(certificates.c.fingerprint).where(certificates.c.revoked.is_(True))
                )
                return frozenset(row[0] for row in found)


async def _require_in_service(connection: AsyncConnection, vehicle: VehicleIdentifier) -> None:
    found = await connection.execute(select(retirements.c.retired).where(retirements.c.vehicle == str(vehicle)))
    since = found.scalar()
    if since is not None:
        raise retired_vehicle(vehicle, since)


async def _revoke(connection: AsyncConnection, vehicle: VehicleIdentifier) -> int:
    await connection.execute(delete(tokens).where(tokens.c.vehicle == str(vehicle)))
    here = (certificates.c.vehicle == str(vehicle), certificates.c.revoked.is_(False))
    return (await connection.execute(update(certificates).where(*here).values(revoked=True))).rowcount


def retired_vehicle(vehicle: VehicleIdentifier, since: datetime) -> RetiredVehicleError:
    """The error for a vehicle that was taken out of service."""
    return RetiredVehicleError(
        f"vehicle {vehicle} was taken out of service at {since:%Y-%m-%dT%H:%M:%SZ}", vehicle=vehicle
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
