"""Alerts: what an operator should know of a vehicle, kept beside it and said once."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from uptane.director.ports import Alert, InventoryTransaction
from uptane.metadata.identifiers import VehicleIdentifier

REPEATED_AFTER = timedelta(days=1)
"""A vehicle that lacks an ECU says so in every manifest; the same words are kept again only after that time."""

LOOKED_BACK = 32
"""Alerts that a new one is compared with."""

log = logging.getLogger(__name__)


async def tell(transaction: InventoryTransaction, vehicle: VehicleIdentifier, alerts: Sequence[Alert]) -> None:
    """Keeps alerts of a vehicle, but for those that were told in the same words within `REPEATED_AFTER`."""
    if not alerts:
        return
    latest = await transaction.alerts(vehicle, LOOKED_BACK)
    for alert in alerts:
        log.warning("%s", alert.text)
        known = {(old.code, old.text) for old in latest if alert.time - old.time < REPEATED_AFTER}
        if (alert.code, alert.text) not in known:
            await transaction.add_alert(alert)
