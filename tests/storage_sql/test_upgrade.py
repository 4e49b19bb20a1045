"""Stores of older programs: refused until they are upgraded, and then nothing is lost."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from inventory_records import CAR, NOW, TRUCK, assignment_of, directed_of, ecu_of, report_of
from postgresql import running_postgresql
from sqlalchemy import Connection, inspect, select, table, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.storage.sql import upgrade as upgrading
from uptane.storage.sql.engine import open_engine
from uptane.storage.sql.inventory import SqlInventory, open_inventory
from uptane.storage.sql.revision import REVISION_TABLE, check_schema, create_schema, revision_of, revision_table
from uptane.storage.sql.schema import REVISION, tables
from uptane.storage.sql.upgrade import MIGRATIONS, Upgraded, migrate, upgrade

OLD_STORES = Path(__file__).with_name("old_stores")
BRAKES = EcuIdentifier("brakes")


@dataclass
class Database:
    """Empty databases of one dialect, one after the other."""

    dialect: str
    server: str
    folder: Path
    made: int = field(default=0)

    def empty(self) -> str:
        self.made += 1
        if self.dialect == "sqlite":
            return str(self.folder / f"{self.made}.db")
        name = f"store{self.made}"
        self.on(self.server, lambda connection: connection.execute(text(f"CREATE DATABASE {name}")), autocommit=True)
        return make_url(self.server).set(database=name).render_as_string(hide_password=False)

    def old(self) -> str:
        """A store of revision 0005 with rows."""
        url = self.empty()
        self.execute(url, (OLD_STORES / f"revision_0005_{self.dialect}.sql").read_text())
        rows = (OLD_STORES / "revision_0005_rows.sql").read_text()
        if self.dialect == "postgresql":
            rows = "SET TIME ZONE 'UTC';\n" + rows.replace("X'", "'\\x")
        self.execute(url, rows)
        return url

    def execute(self, url: str, script: str) -> None:
        def run(connection: Connection) -> None:
            for statement in script.split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement)

        self.on(url, run)

    @staticmethod
    def on(url: str, work: Callable[[Connection], Any], *, autocommit: bool = False) -> Any:
        async def working() -> Any:
            engine = open_engine(url, wait_seconds=2)
            try:
                async with engine.connect() as connection:
                    if autocommit:
                        await connection.execution_options(isolation_level="AUTOCOMMIT")
                    done = await connection.run_sync(work)
                    if not autocommit:
                        await connection.commit()
                    return done
            finally:
                await engine.dispose()

        return asyncio.run(working())


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Database]:
    with running_postgresql() as url:
        yield Database("postgresql", url, Path())


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "postgresql":
        found: Database = request.getfixturevalue("postgresql")
        return found
    return Database("sqlite", "", tmp_path)


def told(url: str, story: Callable[[SqlInventory], Coroutine[Any, Any, None]]) -> None:
    async def telling() -> None:
        inventory = await open_inventory(url)
        try:
            await story(inventory)
        finally:
            await inventory.dispose()

    asyncio.run(telling())


def contents(connection: Connection) -> Mapping[str, list[Any]]:
    """Every row of every table."""
    names = sorted(inspect(connection).get_table_names())
    return {name: sorted(map(repr, connection.execute(select(text("*")).select_from(table(name))))) for name in names}


def shape(connection: Connection) -> Mapping[str, Any]:
    """Everything that the database says of its tables, their order and names of constraints aside."""
    asked = inspect(connection)

    def index(each: Any) -> str:
        return repr({**each, "dialect_options": {name: str(of) for name, of in each["dialect_options"].items()}})

    def of(table: str) -> Any:
        columns = {each["name"]: {**each, "type": repr(each["type"])} for each in asked.get_columns(table)}
        keys = sorted(map(repr, (asked.get_foreign_keys(table), asked.get_unique_constraints(table))))
        return columns, asked.get_pk_constraint(table), keys, sorted(map(index, asked.get_indexes(table)))

    return {table: of(table) for table in asked.get_table_names()}


def test_an_older_store_is_refused_by_servers_in_words_that_say_how_to_upgrade_it(database: Database) -> None:
    url = database.old()
    before = database.on(url, contents)
    with pytest.raises(StorageError) as refused:
        asyncio.run(open_inventory(url))
    assert (refused.value.facts["offered"], refused.value.facts["expected"]) == ("0005", REVISION)
    assert "uptane db upgrade" in refused.value.next_step
    assert database.on(url, contents) == before


def test_an_upgraded_store_has_everything_that_the_old_one_had(database: Database) -> None:
    url = database.old()
    before = database.on(url, contents)
    assert asyncio.run(upgrade(url)) == Upgraded("0005", REVISION)
    after = dict(database.on(url, contents))
    assert after.pop(REVISION_TABLE) == [f"('{REVISION}',)"]
    after["vehicles"] = [row.removesuffix(", 0)") + ")" for row in after["vehicles"]]
    assert {name: rows for name, rows in after.items() if rows} == {
        name: rows for name, rows in before.items() if name != "inventory_schema"
    }

    async def story(inventory: SqlInventory) -> None:
        async with inventory.transaction() as reader:
            car = await reader.vehicle(CAR)
            assert car is not None and (car.manifest_counter, car.manifest_received) == (7, NOW)
            assert [str(ecu.ecu) for ecu in await reader.ecus(CAR)] == ["brakes", "gateway"]
            assert await reader.ecus(TRUCK) == [ecu_of("cab", TRUCK, primary=True)]
            assert await reader.reports(CAR, BRAKES, 9) == [report_of(4, attacks="freeze")]
            assert [each.path for each in await reader.assignments(CAR)] == [
                assignment_of("x", "images/brakes.img").path
            ]
            assert await reader.directed(CAR) == [directed_of("gateway", 1), directed_of("gateway", 2)]
            assert [alert.text for alert in await reader.alerts(CAR, 9)] == ["brakes: it's an hour behind"]

    told(url, story)


def test_a_second_upgrade_changes_nothing(database: Database) -> None:
    url = database.old()
    asyncio.run(upgrade(url))
    before = database.on(url, contents)
    assert asyncio.run(upgrade(url)) == Upgraded(REVISION, REVISION)
    assert database.on(url, contents) == before


def test_of_two_upgrades_at_once_one_migrates_and_the_other_finds_nothing_to_do(database: Database) -> None:
    url = database.old()

    async def both() -> list[Upgraded]:
        return await asyncio.gather(upgrade(url), upgrade(url))

    assert sorted(done.before for done in asyncio.run(both())) == ["0005", REVISION]


def test_an_upgrade_that_is_interrupted_leaves_the_old_store(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database.old()
    before = database.on(url, contents)

    def interrupted(connection: Connection, target: str = "head") -> None:
        migrate(connection, target)
        assert revision_table.name in inspect(connection).get_table_names()
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("the power is cut"))

    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "migrate", interrupted)
        with pytest.raises(StorageError):
            asyncio.run(upgrade(url))
    assert database.on(url, contents) == before
    assert asyncio.run(upgrade(url)).before == "0005"


def test_the_tables_of_0005_that_some_programs_made_early_are_kept(database: Database) -> None:
    url = database.old()
    database.execute(
        url,
        "CREATE TABLE tokens (vehicle TEXT NOT NULL, digest INTEGER NOT NULL);\nINSERT INTO tokens VALUES ('car', 1);",
    )
    asyncio.run(upgrade(url))
    assert database.on(url, contents)["tokens"] == ["('car', 1)"]


def test_what_migrations_make_is_what_a_new_store_has(database: Database) -> None:
    upgraded, migrated, new = database.old(), database.empty(), database.empty()
    asyncio.run(upgrade(upgraded))
    database.on(migrated, migrate)
    told(new, lambda _: asyncio.sleep(0))

    def differences(connection: Connection) -> Any:
        context = MigrationContext.configure(connection, opts={"version_table": REVISION_TABLE})
        return compare_metadata(context, tables)

    for url in (upgraded, migrated, new):
        assert database.on(url, differences) == []
        assert database.on(url, shape) == database.on(new, shape)


@pytest.mark.parametrize(
    ("found", "word", "remedy"),
    [("0004", "much older", "Use the program that made it"), ("9999", "newer", "newer one"), ("x", "newer", "newer")],
)
def test_a_store_that_cannot_be_upgraded_is_refused_by_all_and_left_alone(
    database: Database, found: str, word: str, remedy: str
) -> None:
    url = database.empty()
    told(url, lambda _: asyncio.sleep(0))
    database.on(url, lambda connection: connection.execute(update(revision_table).values(version_num=found)))
    before = database.on(url, contents)
    for opening in (upgrade(url), open_inventory(url)):
        with pytest.raises(StorageError, match=word) as refused:
            asyncio.run(opening)
        assert remedy in refused.value.next_step
    assert database.on(url, contents) == before


def test_an_empty_database_is_not_upgraded_and_servers_do_not_fill_it(database: Database) -> None:
    url = database.empty()

    async def checked() -> str | None:
        engine = open_engine(url)
        try:
            with pytest.raises(StorageError, match="no tables"):
                await check_schema(engine)
            return await revision_of(engine)
        finally:
            await engine.dispose()

    assert asyncio.run(checked()) is None
    with pytest.raises(StorageError, match="no tables"):
        asyncio.run(upgrade(url))
    assert database.on(url, contents) == {}


def test_rows_that_refer_to_nothing_stop_an_upgrade_in_sqlite(tmp_path: Path) -> None:
    url = Database("sqlite", "", tmp_path).old()
    with closing(sqlite3.connect(url)) as connection:
        connection.execute("DELETE FROM vehicles WHERE vehicle = 'truck'")
        connection.commit()
    with pytest.raises(StorageError, match="1 rows"):
        asyncio.run(upgrade(url))
    assert "inventory_schema" in Database.on(url, contents)


def test_programs_that_make_the_tables_at_once_make_them_once(database: Database) -> None:
    url = database.empty()

    async def made() -> None:
        engines = [open_engine(url) for _ in range(3)]
        await asyncio.gather(*map(create_schema, engines))
        for engine in engines:
            await engine.dispose()

    asyncio.run(made())
    assert database.on(url, contents)[REVISION_TABLE] == [f"('{REVISION}',)"]


def test_every_migration_is_numbered_and_the_newest_is_the_one_that_programs_use() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    chain = [script.revision for script in scripts.walk_revisions()][::-1]
    assert chain == [f"{5 + step:04}" for step in range(len(chain))]
    assert scripts.get_heads() == [REVISION]


def test_every_key_of_every_table_begins_with_the_vehicle(database: Database) -> None:
    url = database.old()
    asyncio.run(upgrade(url))
    keys = database.on(url, lambda asked: {t: inspect(asked).get_pk_constraint(t) for t in tables.tables})
    assert {key["constrained_columns"][0] for key in keys.values()} == {"vehicle"}
    assert set(keys) == set(database.on(url, contents)) - {REVISION_TABLE}
