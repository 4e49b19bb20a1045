"""A connection that runs a few fixed statements again and again, each prepared once, on the driver's lower floor.

What a cursor does around a statement, such as reading its text anew and choosing how each value is written, costs more
than the statement itself where a vehicle is read, or written, in one.
"""

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, errors, generators
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

_TEXT_OID = 25


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
    head = struct.pack(">iiiii", 1, 0, _TEXT_OID, len(encoded), 1)
    return head + b"".join([struct.pack(">i", len(each)) + each for each in encoded])


class StatementConnection(AsyncConnection[tuple[Any, ...]]):
    """A connection that knows which statements it has prepared."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._here: set[bytes] = set()

    async def rows(self, statement: Statement, values: Sequence[bytes | None]) -> list[tuple[Any, ...]]:
        """Runs a statement; its rows.

        Args:
            statement: the statement.
            values: its parameters, in the statement's formats; None is NULL.

        Raises:
            psycopg.Error: as `execute`.
        """
        async with self.lock:
            result = await self.wait(self._run(statement, values))
        transformer = Transformer(self)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    def _run(self, statement: Statement, values: Sequence[bytes | None]) -> PQGen[PGresult]:
        if statement.name not in self._here:
            self.pgconn.send_prepare(statement.name, statement.text)
            yield from _result(self.pgconn)
            self._here.add(statement.name)
        self.pgconn.send_query_prepared(statement.name, values, statement.formats, Format.BINARY)
        result: PGresult = yield from _result(self.pgconn)
        return result


def _result(connection: PGconn) -> PQGen[PGresult]:
    result: PGresult
    (result,) = yield from generators.execute(connection)
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise errors.error_from_result(result)
    return result
