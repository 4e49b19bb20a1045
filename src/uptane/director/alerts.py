"""Alerts: what an operator should know of a vehicle, kept beside it and said once."""

import logging
from collections.abc import Sequence

from uptane.director.ports import Alert, InventoryTransaction
from uptane.metadata.identifiers import VehicleIdentifier

LOOKED_BACK = 32
"""Alerts that a new one is compared with: a vehicle that lacks an ECU says so in every manifest."""

log = logging.getLogger(__name__)


async def tell(transaction: InventoryTransaction, vehicle: VehicleIdentifier, alerts: Sequence[Alert]) -> None:
    """Keeps alerts of a vehicle, but for those whose words are among its latest already."""
    if not alerts:
        return
    known = {(old.code, old.text) for old in await transaction.alerts(vehicle, LOOKED_BACK)}
    for alert in alerts:
        log.warning("%s", alert.text)
        if (alert.code, alert.text) not in known:
            await transaction.add_alert(alert)
