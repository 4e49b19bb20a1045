"""Connections that stay at hand between statements: to ask a pool for one, and give it back, takes as long as one."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from psycopg import OperationalError
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from uptane.storage.sql.engine import LOOK_SECONDS
from uptane.storage.sql.postgresql_statements import Statement, StatementConnection

CONNECTIONS = 4
"""Connections of a process: a write waits for the disk meanwhile, and few waiters keep the disk busy."""

AT_HAND_SECONDS = 600.0
"""After that time the pool has a connection back, which closes those that are old."""

RETRY_SECONDS = 1.0
"""After that time a server that could not be reached is tried anew. The pool would double its pauses, and after an
outage of minutes still wait for minutes."""


class ConnectionsAtHand:
    """Some connections, each of which runs one statement at a time.

    Args:
        url: of the database, with its password.
        options: for each connection.
        wait_seconds: how long a statement waits for one.
    """

    def __init__(self, url: str, options: Mapping[str, Any], *, wait_seconds: float) -> None:
        self._pool = AsyncConnectionPool(
            url,
            connection_class=StatementConnection,
            kwargs=dict(options),
            min_size=0,
            max_size=CONNECTIONS,
            timeout=wait_seconds,
            reconnect_timeout=RETRY_SECONDS,
            reconnect_failed=self._try_again,
            open=False,
        )
        self._wait_seconds = wait_seconds
        self._since: dict[StatementConnection, float] = {}
        """Those that the pool has given, and when."""
        self._count = 0
        """Those, and those that it is being asked for."""
        self._at_hand: list[StatementConnection] = []
        self._waiting: deque[asyncio.Future[StatementConnection | None]] = deque()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["ConnectionsAtHand"]:
        """Usable within the context."""
        await self._pool.open()
        looking = asyncio.create_task(self._look())
        try:
            yield self
        finally:
            looking.cancel()
            while self._at_hand:
                await self._give_back(self._at_hand.pop())
            await self._pool.close()

    async def rows(self, statement: Statement, values: Sequence[bytes | None]) -> list[tuple[Any, ...]]:
        """Runs a statement, which may be run twice: a connection that broke while it was idle is no failure.

        Raises:
            psycopg.Error: as `StatementConnection.rows`.
            PoolTimeout: there was no connection for too long.
        """
        broken = 0
        while True:
            connection = await self._taken()
            try:
                return await connection.rows(statement, values)
            except OperationalError:
                if not connection.closed or broken == CONNECTIONS:
                    raise
                broken += 1
            finally:
                await self._released(connection)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for connection in self._since:
                connection.look()

    async def _taken(self) -> StatementConnection:
        if self._at_hand:
            return self._at_hand.pop()
        if self._count == CONNECTIONS:
            connection = await self._handed_over()
            if connection is not None:
                return connection
        else:
            self._count += 1
        try:
            connection = await self._pool.getconn()
        except BaseException:
            self._one_less()
            raise
        self._since[connection] = monotonic()
        try:
            connection.watch()
        except BaseException:
            await self._give_back(connection)
            raise
        return connection

    async def _handed_over(self) -> StatementConnection | None:
        """What somebody else needs no more; None where the pool may be asked in his place."""
        mine: asyncio.Future[StatementConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await mine
        except BaseException as error:
            if not mine.cancelled():  # it came as he was leaving
                await self._passed_on(mine.result())
            if isinstance(error, TimeoutError):
                raise PoolTimeout(f"no connection was free for {self._wait_seconds:g} s") from None
            raise

    async def _passed_on(self, connection: StatementConnection | None) -> None:
        if connection is None:
            self._one_less()
        else:
            await self._released(connection)

    async def _released(self, connection: StatementConnection) -> None:
        in_order = connection.pgconn.transaction_status == TransactionStatus.IDLE
        is_old = monotonic() - self._since[connection] > AT_HAND_SECONDS
        if self._pool.closed or not in_order or is_old or self._pool_is_asked():
            await self._give_back(connection)
        elif not self._hand_over(connection):
            self._at_hand.append(connection)

    def _pool_is_asked(self) -> bool:
        """Whether somebody waits for the pool, which may not get another connection from the server for long."""
        return self._count > len(self._since)

    async def _try_again(self, pool: AsyncConnectionPool[StatementConnection]) -> None:
        if self._pool_is_asked():
            await pool.check()  # which begins to connect again

    async def _give_back(self, connection: StatementConnection) -> None:
        del self._since[connection]
        connection.unwatch()
        try:
            await self._pool.putconn(connection)
        finally:
            self._one_less()

    def _one_less(self) -> None:
        if not self._hand_over(None):
            self._count -= 1

    def _hand_over(self, connection: StatementConnection | None) -> bool:
        """Whether somebody has waited for it."""
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(connection)
                return True
        return False
