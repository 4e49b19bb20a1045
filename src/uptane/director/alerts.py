"""Alerts: what an operator should know of a vehicle, kept beside it and said once."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from uptane.director.ports import Alert, InventoryDatabase, InventoryTransaction
from uptane.metadata.errors import SecurityError, StorageError
from uptane.metadata.identifiers import VehicleIdentifier

REPEATED_AFTER = timedelta(days=1)
"""A vehicle that lacks an ECU says so in every manifest; the same words are kept again only after that time."""

OF_ONE_CODE = 8
"""Alerts of one code that are kept within that time: strangers under ever new names make no more."""

LOOKED_BACK = 256
"""Alerts that a new one is compared with: more than one day's, as there are some thirty codes."""

MAX_TEXT = 500
"""Characters of what is kept of a manifest that was dropped, which anybody may have sent."""

log = logging.getLogger(__name__)


async def tell(transaction: InventoryTransaction, vehicle: VehicleIdentifier, alerts: Sequence[Alert]) -> None:
    """Keeps alerts of a vehicle, and logs them all.

    Within `REPEATED_AFTER`, the same words are kept once, and of one code no more than OF_ONE_CODE.
    """
    if not alerts:
        return
    kept = list(await transaction.alerts(vehicle, LOOKED_BACK))
    for alert in alerts:
        log.warning("%s", alert.text)
        recent = [old for old in kept if alert.time - old.time < REPEATED_AFTER and old.code == alert.code]
        if len(recent) < OF_ONE_CODE and all(old.text != alert.text for old in recent):
            await transaction.add_alert(alert)
            kept.append(alert)


async def tell_dropped(
    inventory: InventoryDatabase, vehicle: VehicleIdentifier, error: SecurityError, now: datetime
) -> None:
    """Keeps an alert of a manifest that was dropped, where the vehicle is known; nothing else is stored of it."""
    text = f"a manifest of vehicle {vehicle} was dropped: {error.what}"
    text = "".join(character if character.isprintable() else "?" for character in text[:MAX_TEXT])
    try:
        async with inventory.transaction() as transaction:
            if await transaction.vehicle(vehicle) is not None:
                await tell(transaction, vehicle, [Alert(vehicle=vehicle, time=now, code=error.code, text=text)])
    except StorageError as failure:  # the sender is told of the manifest and not of our database
        log.warning("an alert of vehicle %s could not be kept: %s", vehicle, failure)
