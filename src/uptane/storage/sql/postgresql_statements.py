"""A connection that runs a few fixed statements again and again, each prepared once, on the driver's lower floor.

What a cursor does around a statement, such as reading its text anew and choosing how each value is written, costs more
than the statement itself where a vehicle is read, or written, in one.
"""

import asyncio
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Error, errors, generators
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

_TEXT_OID = 25
_BIGINT_OID = 20


@dataclass(frozen=True, slots=True)
class Statement:
    """An SQL statement.

    Args:
        name: under which a connection prepares it.
        text: the SQL, with `$1` and so on for its parameters.
        formats: how each parameter is given: as text, or in PostgreSQL's binary form, which can hold any byte.
    """

    name: bytes
    text: bytes
    formats: tuple[Format, ...]

    @classmethod
    def of(cls, name: str, text: str, **formats: Format) -> "Statement":
        """From SQL with `%(name)s` for its parameters, each of which is given here with its form, in order."""
        for number, parameter in enumerate(formats, 1):
            text = text.replace(f"%({parameter})s", f"${number}")
        return cls(name.encode(), text.encode(), tuple(formats.values()))


def text_array(values: Collection[str]) -> bytes:
    """The binary form of an array of texts."""
    encoded = [value.encode() for value in values]
    return _array(_TEXT_OID, len(encoded)) + b"".join([struct.pack(">i", len(each)) + each for each in encoded])


def number_array(values: Collection[int]) -> bytes:
    """The binary form of an array of bigint."""
    return _array(_BIGINT_OID, len(values)) + b"".join([struct.pack(">iq", 8, value) for value in values])


def _array(element: int, count: int) -> bytes:
    return struct.pack(">iiiii", 1, 0, element, count, 1)


class StatementConnection(AsyncConnection[tuple[Any, ...]]):
    """A connection that knows which statements it has prepared. Whoever has it has it alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._here: set[bytes] = set()
        self._transformer = Transformer(self)
        self._descriptor: int | None = None
        self._more: asyncio.Future[None] | None = None

    def watch(self) -> None:
        """From now on the event loop reads what the server sends: to ask it anew for each statement takes longer."""
        self._descriptor = self.pgconn.socket  # which a lost connection does not tell any more
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def unwatch(self) -> None:
        """Ends that."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._descriptor = None

    def look(self) -> None:
        """Looks itself: uvloop does not tell a reader that its connection is lost by an error, and forgets it."""
        if self._descriptor is not None:
            self._read()

    async def rows(self, statement: Statement, values: Sequence[bytes | None]) -> list[tuple[Any, ...]]:
        """Runs a statement; its rows. Where this is cancelled, the connection is closed.

        Args:
            statement: the statement.
            values: its parameters, in the statement's formats; None is NULL.

        Raises:
            psycopg.Error: as `execute`.
        """
        if statement.name not in self._here:
            self.pgconn.send_prepare(statement.name, statement.text)
            await self._result()
            self._here.add(statement.name)
        self.pgconn.send_query_prepared(statement.name, values, statement.formats, Format.BINARY)
        result = await self._result()
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    async def _result(self) -> PGresult:
        found: list[PGresult] = []
        try:
            if self.pgconn.flush():  # it is more than the socket takes at once
                self.unwatch()
                found = await self.wait(generators.execute(self.pgconn))
                self.watch()
            else:
                while (result := await self._next()) is not None:
                    found.append(result)
        except BaseException:
            self.unwatch()
            self.pgconn.finish()  # what was asked for is still under way, or nobody knows
            raise
        (result,) = found
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise errors.error_from_result(result)
        return result

    async def _next(self) -> PGresult | None:
        while self.pgconn.is_busy():
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        result: PGresult | None = self.pgconn.get_result()
        return result

    def _read(self) -> None:
        more, error = self._more, None
        try:
            self.pgconn.consume_input()
            if self.pgconn.is_busy():
                return
        except Error as lost:
            self.unwatch()
            error = lost
        if more is not None and not more.done():
            more.set_result(None) if error is None else more.set_exception(error)
