"""The quick way to answer a manifest leaves what the long way leaves, and what was withheld is not forgotten."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from load_fleet import CAR, Workers, workers
from signed import signed_manifest
from world import new_signer

from bench.load.fleet import ecu_name, image
from uptane.assembly.production import utc_now
from uptane.director.planning import assignment_of
from uptane.formats.der_format import DerFormat
from uptane.metadata.errors import BadSignatureError, FormatError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Image
from uptane.metadata.vehicle_manifest import VehicleVersionManifest

UNLISTED = 7
"""A release that the Image repository does not list."""


def run(folder: Path, scenario: Callable[[Workers], Awaitable[Any]]) -> Any:
    """What a scenario gives with one worker on SQLite, and an operator."""

    async def with_worker() -> Any:
        async with workers(folder / "fleet", "data/inventory.sqlite", 2) as fleet:
            return await scenario(fleet)

    return asyncio.run(with_worker())


async def assign_unlisted(fleet: Workers) -> Image:
    """The first ECU shall have an image that is not published yet; it waits in the operator's Image repository."""
    path, data, custom = image(0, UNLISTED)
    added = await fleet.systems[1].image_repository.add_image(path, data, custom=custom)
    async with fleet.systems[1].inventory.transaction() as transaction:
        await transaction.assign(assignment_of(CAR, ecu_name(0, 0), added))
    fleet.systems[0].cache.all_changed()
    return added


@pytest.mark.standard("STD-5.3.2.1-4", "STD-5.3.2.1-5", "STD-5.3.2.1-13")
def test_the_quick_way_leaves_the_same_records_alerts_and_metadata_as_the_long_way(tmp_path: Path) -> None:
    async def answered(fleet: Workers) -> list[object]:
        director, told = fleet.systems[0].director, list[object]()
        await director.register_ecu(vehicle=CAR, ecu=EcuIdentifier("late"), key=new_signer().key, is_primary=False)
        for number, manifest in enumerate(fleet.cars[0].manifests[:5]):
            if number in (0, 2):
                await fleet.assign(number // 2 + 1)
                fleet.systems[0].cache.all_changed()
            if number == 3:
                await assign_unlisted(fleet)
            answer = await director.answer_manifest(CAR, None, manifest, utc_now())
            async with fleet.systems[1].inventory.transaction() as transaction:
                may = [(each.ecu, each.number, each.path) for each in await transaction.directed(CAR)]
                ecus = [(each.ecu, each.report_counter) for each in await transaction.ecus(CAR)]
                alerts = [(each.code, each.text) for each in await transaction.alerts(CAR, 100)]
            held = [len(await director.reports(ecu)) for ecu, _ in ecus]
            versions = [await fleet.version(role) for role in (Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)]
            withheld = None if answer.withheld is None else answer.withheld.code
            record = await director.vehicle(CAR)
            told.append((may, ecus, alerts, held, versions, withheld, answer.outstanding, record.manifest_counter))
        return told

    async def the_long_way(fleet: Workers) -> list[object]:
        fleet.systems[0].director._quick = None
        return await answered(fleet)

    quick: list[Any] = run(tmp_path / "quick", answered)
    assert quick == run(tmp_path / "long", the_long_way)
    assert [code for code, _ in quick[-1][2]] == ["E-NO-TARGET", "E-MISSING"]
    assert [{number for _, number, _ in each[0]} for each in quick[:3]] == [{0, 1}, {0, 1}, {1, 2}], "what it may have"
    assert [len(each) for each in zip(*quick, strict=True)] == [5] * 8


def test_a_manifest_that_is_refused_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a thousand reports takes many milliseconds, in which nobody else is answered."""

    async def scenario(fleet: Workers) -> None:
        systems, read = fleet.systems[0], list[bytes]()
        first, second, *_ = fleet.cars[0].manifests
        decode, profile = DerFormat.decode, systems.settings.profile
        assert systems.director._quick is not None

        def counted(self: DerFormat, kind: type[Any], raw: bytes) -> Any:
            if kind is VehicleVersionManifest:
                read.append(raw)
            return decode(self, kind, raw)

        forged = signed_manifest(profile, new_signer(), counter=9, vin=CAR, primary=ecu_name(0, 0))
        await systems.director.answer_manifest(CAR, None, first, utc_now())
        with monkeypatch.context() as watched:
            watched.setattr(DerFormat, "decode", counted)
            for manifest, error in ((forged, BadSignatureError), (second[:-1], FormatError)):
                with pytest.raises(error):
                    await systems.director.answer_manifest(CAR, None, manifest, utc_now())
            await systems.director.answer_manifest(CAR, None, second, utc_now())
        assert read == [forged, second[:-1], second]
        assert [each.code for each in await systems.director.alerts(CAR)] == ["E-FORMAT", "E-SIG"]

    run(tmp_path, scenario)


def test_what_was_withheld_is_directed_a_minute_later_where_it_may_be_then(tmp_path: Path) -> None:
    async def scenario(fleet: Workers) -> None:
        systems, now = fleet.systems[0], utc_now()
        name = systems.settings.profile.metadata_name(Role.TIMESTAMP)
        before = await systems.director.metadata_file(CAR, name, now)
        await assign_unlisted(fleet)
        assert await systems.director.metadata_file(CAR, name, now) == before
        assert [each.code for each in await systems.director.alerts(CAR)] == ["E-NO-TARGET"]
        await fleet.systems[1].image_repository.publish(now)
        assert await systems.director.metadata_file(CAR, name, now + timedelta(seconds=59)) == before
        assert await systems.director.metadata_file(CAR, name, now + timedelta(seconds=61)) != before

    run(tmp_path, scenario)


def test_whoever_publishes_while_a_manifest_goes_the_long_way_makes_it_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(fleet: Workers) -> None:
        systems, operator = fleet.systems
        manifest = fleet.cars[0].manifests[0]
        await systems.director.answer_manifest(CAR, None, manifest, utc_now())
        await fleet.assign(1)
        catalog: Any = systems.director._rules.catalog
        look_up, later = catalog.look_up, [utc_now() + timedelta(seconds=30)]

        async def meanwhile(*asked: Any) -> Any:
            if later:
                await operator.director.publish(CAR, later.pop())
            return await look_up(*asked)

        monkeypatch.setattr(catalog, "look_up", meanwhile)
        answer = await systems.director.answer_manifest(CAR, None, manifest, utc_now())
        assert (answer.manifest.fresh, answer.withheld, later) == ((), None, [])
        assert await fleet.version(Role.TARGETS) == 2, "once, by the operator"

    run(tmp_path, scenario)
