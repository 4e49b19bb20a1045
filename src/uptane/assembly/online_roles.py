"""While a server runs, the online roles of its Image repository are signed again before they expire."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from random import SystemRandom

from uptane.image_repository.renewal import Outlook
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.errors import UptaneError

CHECK_SECONDS = 60.0
"""How often the clock is looked at, on average: far less than a third of any life, and it costs nothing."""

FIRST_RETRY_SECONDS = 1.0
"""The first pause after a failure, doubled with each further one up to CHECK_SECONDS."""

_RANDOM = SystemRandom()

_log = logging.getLogger(__name__)


class OnlineRoles:
    """The online roles of an Image repository, in each process that serves it; of all processes one signs.

    Args:
        repository: has the keys.
        now: the time, UTC.
        draw: a random number from 0 to before 1, so that processes do not all come at once.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        repository: ImageRepository,
        now: Callable[[], datetime],
        *,
        draw: Callable[[], float] = _RANDOM.random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._repository = repository
        self._now = now
        self._draw = draw
        self._sleep = sleep
        self._outlook: Outlook | None = None

    def are_fresh(self) -> bool:
        """Whether clients believe what is published, as far as this process knows."""
        return self._outlook is not None and self._now() < self._outlook.expires

    async def renew(self) -> bool:
        """Signs again what is due; False where that failed, which is logged. Asks the store only when a role is due."""
        now = self._now()
        if self._outlook is not None and now <= self._outlook.next_due:
            return True
        try:
            renewal = await self._repository.renew_expiring(now)
        except UptaneError as error:
            _log.warning("the Image repository's roles cannot be signed again now, but will be tried again: %s", error)
            return False
        self._outlook = renewal.outlook
        if renewal.renewed:
            _log.info("the Image repository signed again: %s", ", ".join(sorted(renewal.renewed)))
        for role, expires in sorted(self._outlook.elsewhere.items()):
            _log.warning(
                "%s of the Image repository expires at %s, and is not signed again here: its owner must sign a new one",
                role,
                expires.isoformat(),
            )
        return True

    async def keep(self) -> None:
        """Signs again in time, until it is cancelled; what nobody foresaw is tried again as well."""
        retry, done = FIRST_RETRY_SECONDS, self._outlook is not None
        while True:
            await self._sleep((CHECK_SECONDS if done else retry) * (0.5 + self._draw()))
            try:
                done = await self.renew()
            except Exception:  # noqa: BLE001 - logged, and tried again
                _log.exception("the Image repository's roles cannot be signed again now, but will be tried again")
                done = False
            retry = FIRST_RETRY_SECONDS if done else min(CHECK_SECONDS, 2 * retry)
