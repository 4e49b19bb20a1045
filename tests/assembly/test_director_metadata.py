"""A vehicle's metadata is signed when it asks and something changed or expires soon, and served as it is otherwise."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from load_fleet import CAR, Workers, workers
from signed import signed_manifest, signed_report
from sqlalchemy import update
from world import new_signer

from bench.load.fleet import ecu_name
from uptane.assembly.production import utc_now
from uptane.director.ports import StoredReport, VehicleState
from uptane.metadata.errors import ProvisioningError, ReplayedReportError, StorageError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp
from uptane.storage.sql.schema import metadata_files
from uptane.verification.own_metadata import OwnMetadata

WEEK = timedelta(days=7)


def run(folder: Path, scenario: Callable[[Workers], Awaitable[None]]) -> None:
    """Runs a scenario with one worker on SQLite, whose operator is the worker itself."""

    async def with_worker() -> None:
        async with workers(folder / "fleet", "data/inventory.sqlite", 2) as fleet:
            await scenario(fleet)

    asyncio.run(with_worker())


async def published(fleet: Workers) -> dict[str, bytes | None]:
    """What the database holds for the vehicle."""
    systems = fleet.systems[0]
    name, store = systems.settings.profile.metadata_name, systems.director_metadata(CAR)
    return {each: await store.read(each) for role in Role for each in (name(role), name(role, 1), name(role, 2))}


async def fetched(fleet: Workers, role: Role, after: timedelta = timedelta(0)) -> bytes:
    """What the vehicle is given."""
    systems = fleet.systems[0]
    raw = await systems.director.metadata_file(CAR, systems.settings.profile.metadata_name(role), utc_now() + after)
    assert raw is not None
    return raw


def test_nothing_is_signed_for_a_vehicle_that_asks_and_of_which_nothing_changed(tmp_path: Path) -> None:
    async def scenario(fleet: Workers) -> None:
        before = await published(fleet)
        for _ in range(3):
            for role in Role:
                assert await fetched(fleet, role) in before.values()
        assert await published(fleet) == before

    run(tmp_path, scenario)


@pytest.mark.standard("STD-5.3.2.1-16")
def test_metadata_that_expires_soon_is_renewed_when_the_timestamp_is_asked_for(tmp_path: Path) -> None:
    async def scenario(fleet: Workers) -> None:
        before = await published(fleet)
        assert await fetched(fleet, Role.TIMESTAMP) == before["timestamp.der"]
        await fetched(fleet, Role.ROOT, WEEK)
        assert await published(fleet) == before, "other files are served as they are"
        renewed = await fetched(fleet, Role.TIMESTAMP, WEEK)
        assert renewed != before["timestamp.der"]
        after = await published(fleet)
        assert after["timestamp.der"] == renewed
        assert after["targets.der"] == before["targets.der"], "Targets lasts longer"

    run(tmp_path, scenario)


YEAR = timedelta(days=365)


@pytest.mark.standard("STD-5.3.2.1-16")
def test_a_root_that_expires_soon_is_renewed_for_whoever_asks_for_the_next_one(tmp_path: Path) -> None:
    """Also for a vehicle whose manifests are refused: with an expired Root it never asks for a Timestamp."""

    async def scenario(fleet: Workers) -> None:
        director, before = fleet.systems[0].director, await published(fleet)
        for after, root in ((timedelta(0), None), (YEAR / 2, None), (2 * YEAR, "2.root.der")):
            for _ in range(2):
                raw = await director.metadata_file(CAR, "2.root.der", utc_now() + after)
                now = await published(fleet)
                assert raw == (None if root is None else now[root]) and now["1.root.der"] == before["1.root.der"]
        assert now["2.root.der"] == now["root.der"] != before["root.der"]
        assert await director.metadata_file(CAR, "3.root.der", utc_now() + 2 * YEAR) is None
        assert director.metadata_at_hand(CAR, "3.root.der", utc_now() + 2 * YEAR) is None, "it is remembered"

    run(tmp_path, scenario)


@pytest.mark.parametrize("remembered", [True, False])
def test_what_a_clock_far_ahead_signed_is_signed_again_once_it_is_right(tmp_path: Path, remembered: bool) -> None:
    """Or it could be shown to the vehicle for all the time until then, in place of what comes after it."""

    async def scenario(fleet: Workers) -> None:
        systems = fleet.systems[0]
        decode, now = systems.settings.profile.format.decode, utc_now()
        await fetched(fleet, Role.TIMESTAMP, timedelta(days=400))
        if not remembered:
            systems.cache.all_changed()
        again = decode(Timestamp, await fetched(fleet, Role.TIMESTAMP)).payload
        assert (again.version, again.expires <= utc_now() + timedelta(days=1)) == (3, True)
        targets = decode(Targets, await fetched(fleet, Role.TARGETS)).payload
        assert (targets.version, targets.expires < now + timedelta(days=92)) == (3, True)

    run(tmp_path, scenario)


@pytest.mark.standard("STD-5.3.2.1-16")
def test_a_root_that_expires_soon_is_renewed_with_a_manifest_where_its_key_is_here(tmp_path: Path) -> None:
    async def scenario(fleet: Workers) -> None:
        director, (first, second, *_) = fleet.systems[0].director, fleet.cars[0].manifests
        late, keys = utc_now() + YEAR, dict(director._keyring)
        root = director._root
        assert root is not None
        for key_id in root.roles[Role.ROOT].key_ids:
            del director._keyring[key_id]
        answer = await director.answer_manifest(CAR, None, first, late)
        assert answer.published is not None and answer.published.root.payload.version == 1
        signed = (await published(fleet))["timestamp.der"]
        for _ in range(2):
            assert await fetched(fleet, Role.TIMESTAMP, YEAR) == signed, "it is not signed again and again"
        director._keyring |= keys
        fleet.systems[0].cache.all_changed()
        answer = await director.answer_manifest(CAR, None, second, late)
        assert answer.published is not None and answer.published.root.payload.version == 2
        assert (await published(fleet))["2.root.der"] == answer.published.root.raw

    run(tmp_path, scenario)


def test_clocks_that_are_apart_by_hours_do_not_sign_in_turn(tmp_path: Path) -> None:
    async def scenario(fleet: Workers) -> None:
        renewed = await fetched(fleet, Role.TIMESTAMP, timedelta(hours=20))
        for hours in (13, 20, 13):
            assert await fetched(fleet, Role.TIMESTAMP, timedelta(hours=hours)) == renewed

    run(tmp_path, scenario)


def test_a_database_that_fails_in_the_one_write_keeps_nothing_of_the_manifest_and_it_may_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(fleet: Workers) -> None:
        director, manifest = fleet.systems[0].director, fleet.cars[0].manifests[0]
        await fleet.assign(1)
        before = await published(fleet)
        assert director._quick is not None
        store = director._quick._fleet

        async def dies(*_: Any) -> bool:
            raise StorageError("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(store, "commit", dies)
            with pytest.raises(StorageError):
                await director.answer_manifest(CAR, None, manifest, utc_now())
        assert await published(fleet) == before
        assert (await director.vehicle(CAR)).manifest_counter == 0
        fleet.systems[0].cache.all_changed()
        answer = await director.answer_manifest(CAR, None, manifest, utc_now())
        assert answer.manifest.counter == 1 and answer.published is not None

    run(tmp_path, scenario)


@pytest.mark.parametrize("tried_again", [False, True], ids=["the vehicle sends it again", "the driver tries again"])
def test_a_manifest_whose_write_was_answered_by_a_lost_connection_is_acknowledged_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried_again: bool
) -> None:
    async def scenario(fleet: Workers) -> None:
        director, manifest = fleet.systems[0].director, fleet.cars[0].manifests[0]
        await director.register_ecu(vehicle=CAR, ecu=EcuIdentifier("late"), key=new_signer().key, is_primary=False)
        await fleet.assign(1)
        fleet.systems[0].cache.all_changed()
        assert director._quick is not None
        store = director._quick._fleet
        real = store.commit

        async def unheard(*arguments: Any) -> bool:
            assert await real(*arguments)
            if tried_again:
                return await real(*arguments)
            raise StorageError("the connection was lost")

        async def kept() -> tuple[object, object, list[Sequence[StoredReport]]]:
            ecus = await director.ecus(CAR)
            return await director.vehicle(CAR), ecus, [await director.reports(each.ecu) for each in ecus]

        with monkeypatch.context() as broken:
            broken.setattr(store, "commit", unheard)
            if not tried_again:
                with pytest.raises(StorageError):
                    await director.answer_manifest(CAR, None, manifest, utc_now())
                first, files = await kept(), await published(fleet)
            answer = await director.answer_manifest(CAR, None, manifest, utc_now())
        assert (answer.manifest.counter, answer.manifest.fresh, answer.published) == (1, (), None)
        assert tried_again or (await kept(), await published(fleet)) == (first, files)
        assert sorted(map(len, (await kept())[2])) == [0, *[1] * 10], "each report once"
        assert await fleet.version(Role.TARGETS) == 2, "and what followed from it is there"
        assert [each.code for each in await director.alerts(CAR)] == ["E-MISSING"], "as the first time"

    run(tmp_path, scenario)


def test_a_diff_whose_write_the_driver_of_the_database_tried_again_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(fleet: Workers) -> None:
        director, profile, signer = fleet.systems[0].director, fleet.systems[0].settings.profile, new_signer()
        primary, now = EcuIdentifier("new"), utc_now().replace(microsecond=0)
        await director.replace_ecu(CAR, ecu_name(0, 0), ecu=primary, key=signer.key, now=now)

        def manifest(counter: int, diff_of: int | None = None) -> bytes:
            report = signed_report(profile, signer, primary, counter=counter, time=now)
            return signed_manifest(profile, signer, report, counter=counter, vin=CAR, primary=primary, diff_of=diff_of)

        await director.answer_manifest(CAR, None, manifest(1), now)
        assert director._quick is not None
        store = director._quick._fleet
        real = store.commit

        async def twice(*arguments: Any) -> bool:
            assert await real(*arguments)
            return await real(*arguments)

        with monkeypatch.context() as broken:
            broken.setattr(store, "commit", twice)
            answer = await director.answer_manifest(CAR, None, manifest(2, diff_of=1), now)
        assert (answer.manifest.counter, answer.manifest.fresh, answer.manifest.repeated) == (2, (), (primary,))
        assert [each.counter for each in await director.reports(primary)] == [2, 1], "each report once"

    run(tmp_path, scenario)


def test_a_manifest_stays_accepted_where_nothing_can_be_signed(tmp_path: Path) -> None:
    async def scenario(fleet: Workers) -> None:
        director, (first, second, *_) = fleet.systems[0].director, fleet.cars[0].manifests
        await fleet.assign(1)
        fleet.systems[0].cache.all_changed()
        before = await published(fleet)
        keys = dict(director._keyring)
        director._keyring.clear()
        with pytest.raises(ProvisioningError):
            await director.answer_manifest(CAR, None, first, utc_now())
        assert await published(fleet) == before
        assert (await director.vehicle(CAR)).manifest == first
        assert await fetched(fleet, Role.TIMESTAMP) == before["timestamp.der"], "what there is, is served"
        director._keyring |= keys
        assert (await director.answer_manifest(CAR, None, first, utc_now())).published is not None, "it may come again"
        assert (await director.answer_manifest(CAR, None, second, utc_now())).manifest.counter == 2
        with pytest.raises(ReplayedReportError):
            await director.answer_manifest(CAR, None, first, utc_now())

    run(tmp_path, scenario)


@pytest.mark.parametrize("name", ["targets.der", "snapshot.der", "timestamp.der", "root.der"])
@pytest.mark.parametrize("remembered", [True, False])
def test_altered_files_are_not_built_on(tmp_path: Path, name: str, remembered: bool) -> None:
    """Also where this process remembers what it verified: the write compares each file that it replaces."""

    async def scenario(fleet: Workers) -> None:
        systems = fleet.systems[0]
        await fleet.assign(1)
        systems.cache.all_changed()
        if remembered:
            await fetched(fleet, Role.TIMESTAMP)
        held = (metadata_files.c.vehicle == str(CAR), metadata_files.c.name == name)
        async with systems.engine.begin() as connection:
            await connection.execute(update(metadata_files).where(*held).values(data=b"evil"))
        if not remembered:
            systems.cache.all_changed()
        await fleet.assign(2)
        systems.cache.changed(CAR)
        before = await published(fleet)
        if name == "timestamp.der":
            with pytest.raises(StorageError, match="altered"):
                await systems.director.answer_manifest(CAR, None, fleet.cars[0].manifests[0], utc_now())
            assert await published(fleet) == before
            assert (await systems.director.vehicle(CAR)).manifest == fleet.cars[0].manifests[0], "it stays accepted"
            with pytest.raises(StorageError, match="altered"):
                await systems.director.answer_manifest(CAR, None, fleet.cars[0].manifests[1], utc_now())
            with pytest.raises(ReplayedReportError):
                await systems.director.answer_manifest(CAR, None, fleet.cars[0].manifests[0], utc_now())
            assert [each.code for each in await systems.director.alerts(CAR)] == ["E-REPLAY"]
        else:
            await systems.director.answer_manifest(CAR, None, fleet.cars[0].manifests[0], utc_now())
            assert b"evil" not in {await fetched(fleet, role) for role in Role}

    run(tmp_path, scenario)


def test_an_older_timestamp_that_was_put_back_is_noticed_by_who_remembers_it(tmp_path: Path) -> None:
    """Byte for byte what this process has verified, and yet not the newest: the next Snapshot is there already."""

    async def scenario(fleet: Workers) -> None:
        systems, operator = fleet.systems
        name = systems.settings.profile.metadata_name
        await fetched(fleet, Role.TIMESTAMP)
        old = {each: raw for each, raw in (await published(fleet)).items() if each in map(name, Role)}
        await operator.director.publish(CAR, utc_now() + timedelta(minutes=1))
        async with systems.engine.begin() as connection:
            for each, raw in old.items():
                held = (metadata_files.c.vehicle == str(CAR), metadata_files.c.name == each)
                await connection.execute(update(metadata_files).where(*held).values(data=raw))
        systems.cache.changed(CAR)
        with pytest.raises(StorageError, match="older Timestamp was put back"):
            await systems.director.answer_manifest(CAR, None, fleet.cars[0].manifests[0], utc_now())

    run(tmp_path, scenario)


def test_what_is_published_while_a_vehicle_is_read_does_not_go_with_what_was_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(fleet: Workers) -> None:
        systems, operator = fleet.systems
        quick = systems.director._quick
        assert quick is not None
        verified = quick._verified
        later = [utc_now() + timedelta(minutes=1)]

        async def meanwhile(vehicle: VehicleIdentifier, state: VehicleState) -> OwnMetadata | None:
            if later:
                await operator.director.publish(CAR, later.pop())
            return await verified(vehicle, state)

        monkeypatch.setattr(quick, "_verified", meanwhile)
        known = await quick.known(CAR)
        state = await quick._fleet.read(CAR, ())
        assert known is not None and known.own is not None and state is not None
        assert (known.own.timestamp_version, known.state.revision) == (2, state.revision)

    run(tmp_path, scenario)
