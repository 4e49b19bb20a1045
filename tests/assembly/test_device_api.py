"""The device API under attack: other certificates, none, used tokens and bad bodies."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sql_stories import alter

from uptane.assembly.fleet import add_image, add_vehicle
from uptane.assembly.production import System, Systems, initialise, open_systems, utc_now
from uptane.assembly.serving import FirstContacts, RevokedCertificates, application, certificates_of, unending
from uptane.assembly.settings import Settings, load_settings, write_settings
from uptane.metadata.errors import RetiredVehicleError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.services.device_api import BODIES_OF_A_VEHICLE
from uptane.services.identity import IDENTITY, Identity
from uptane.services.problems import CONTENT_TYPE, problem
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.sql.enrolment import SqlEnrolment
from uptane.storage.tls_credentials import VehicleCredentials

MINE, OTHER = "VIN-MINE", "VIN-OTHER"


class Fleet:
    """Servers with two vehicles, and a way to ask as one of them."""

    def __init__(self, systems: Systems, folder: Path) -> None:
        self.systems, self.folder = systems, folder
        self.enrolment = SqlEnrolment(systems.engine)
        authority = CertificateAuthority.in_folder(certificates_of(systems.settings), now=utc_now())
        self.contacts = FirstContacts(authority, self.enrolment, timedelta(days=1))
        self.app = application(systems, frozenset(System), self.contacts, self._ready)

    async def _ready(self) -> bool:
        return True

    async def ask(
        self,
        who: str | None,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """One request of a vehicle, or of a client without a certificate."""

        async def identified(scope: Any, receive: Any, send: Any) -> None:
            scope[IDENTITY] = (
                None if who is None else Identity(vehicle=VehicleIdentifier(who), fingerprint=f"of {who}", serial=1)
            )
            await self.app(scope, receive, send)

        transport = httpx2.ASGITransport(app=identified)
        async with httpx2.AsyncClient(transport=transport, base_url="https://localhost") as client:
            return await client.request(method, path, content=body, headers=headers)


def settings_in(folder: Path) -> Settings:
    """Fresh settings."""
    write_settings(
        folder, form="der", database="data/inventory.sqlite", storage="data/images", names=("localhost",), port=0
    )
    return load_settings(folder)


@asynccontextmanager
async def fleet_in(folder: Path) -> AsyncIterator[Fleet]:
    """Servers with two vehicles."""
    settings = settings_in(folder / "fleet")
    await initialise(settings)
    async with open_systems(settings) as systems:
        for vin in (MINE, OTHER):
            await add_vehicle(systems, vin, folder / vin, f"{vin}-primary", "", "")
        (folder / "image").write_bytes(b"0123456789")
        await add_image(systems, folder / "image", "dir/firmware.img", 1, ())
        yield Fleet(systems, folder)


ROUTES = [
    ("GET", "/director/timestamp.der"),
    ("GET", "/repo/timestamp.der"),
    ("GET", "/repo/delegations/supplier.der"),
    ("GET", "/repo/targets/dir/firmware.img"),
    ("PUT", "/director/manifest"),
    ("POST", "/director/ecus"),
    ("POST", "/timeserver/attestation"),
]


def test_without_a_certificate_nothing_but_first_contact_and_health_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            for method, path in ROUTES:
                answer = await fleet.ask(None, method, path, b"{}")
                assert answer.status_code == 401, path
                assert answer.json()["code"] == "E-NO-IDENTITY"
                assert answer.headers["content-type"] == CONTENT_TYPE
            for path in ("/healthz", "/readyz"):
                assert (await fleet.ask(None, "GET", path)).status_code == 200

    asyncio.run(scenario())


def test_a_vehicle_reads_its_own_directions_and_no_other_vehicles(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            files = {}
            for vin in (MINE, OTHER):
                answer = await fleet.ask(vin, "GET", "/director/targets.der")
                files[vin] = answer.content
                held = await fleet.systems.director_metadata(VehicleIdentifier(vin)).read("targets.der")
                assert answer.content == held
            assert files[MINE] != files[OTHER]
            for path in (f"/director/{OTHER}/targets.der", f"/director/..%2f{OTHER}%2ftargets.der"):
                assert (await fleet.ask(MINE, "GET", path)).status_code == 404

    asyncio.run(scenario())


def test_a_vehicle_cannot_register_an_ecu_or_report_for_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            key = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "11" * 32}}
            ecus = [{"ecu_serial": f"{OTHER}-primary", "clientKey": key}]
            body = json.dumps({"primary_ecu_serial": f"{OTHER}-primary", "ecus": ecus}).encode()
            assert (await fleet.ask(OTHER, "POST", "/director/ecus", body)).status_code == 201
            assert (await fleet.ask(OTHER, "POST", "/director/ecus", body)).status_code == 201, "again is fine"
            stolen = await fleet.ask(MINE, "POST", "/director/ecus", body)
            assert stolen.status_code in (403, 409)
            record = await fleet.systems.director.ecu(f"{OTHER}-primary")  # type: ignore[arg-type]
            assert record.vehicle == OTHER
            for bad in (b"", b"{}", b"\x30\x00", b"[" * 70_000):
                for method, path in ROUTES[4:]:
                    answer = await fleet.ask(MINE, method, path, bad)
                    assert 400 <= answer.status_code < 500, (path, bad[:4], answer.status_code)
                    assert answer.json()["code"] if answer.status_code != 413 else True

    asyncio.run(scenario())


def test_unchanged_metadata_answers_304_and_images_answer_in_ranges(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            for path in ("/director/timestamp.der", "/repo/timestamp.der"):
                first = await fleet.ask(MINE, "GET", path)
                again = await fleet.ask(MINE, "GET", path, headers={"if-none-match": first.headers["etag"]})
                assert (again.status_code, again.content) == (304, b"")
            assert (await fleet.ask(MINE, "GET", "/director/2.root.der")).status_code == 404
            part = await fleet.ask(MINE, "GET", "/repo/targets/dir/firmware.img", headers={"range": "bytes=4-5"})
            assert (part.status_code, part.content) == (206, b"45")
            assert (await fleet.ask(MINE, "GET", "/repo/targets/dir/none.img")).status_code == 404
            for method, path, status in (("GET", "/nowhere", 404), ("DELETE", "/director/manifest", 405)):
                refused = await fleet.ask(MINE, method, path)
                assert (refused.status_code, refused.json()["code"]) == (status, "E-HTTP")
            assert refused.headers["allow"] == "PUT"

    asyncio.run(scenario())


def test_a_token_is_good_once_for_one_vehicle_and_its_certificate_can_be_revoked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            token = (tmp_path / MINE / "factory" / "token").read_text()
            csr = VehicleCredentials(tmp_path / "keys", VehicleIdentifier(MINE)).request().decode()

            async def contact(vin: str, said: str) -> httpx2.Response:
                body = json.dumps({"deviceId": vin, "token": said, "csr": csr}).encode()
                return await fleet.ask(None, "POST", "/devices", body)

            for vin, said in ((OTHER, token), (MINE, "guessed"), (MINE, "")):
                refused = await contact(vin, said)
                assert (refused.status_code, refused.json()["code"]) == (403, "E-SPOOF")
                assert token not in refused.text
            given = await contact(MINE, token)
            assert given.status_code == 201
            certificate = VehicleCredentials(tmp_path / "keys", VehicleIdentifier(MINE)).keep(
                given.json()["certificate"].encode()
            )
            assert certificate.vehicle == MINE
            assert (await contact(MINE, token)).status_code == 403
            identity = Identity(
                vehicle=certificate.vehicle, fingerprint=certificate.fingerprint, serial=certificate.serial
            )
            revoked = RevokedCertificates(fleet.enrolment)
            await revoked.read()
            assert not await revoked.is_revoked(identity)
            assert await fleet.enrolment.revoke(VehicleIdentifier(MINE)) == 1
            await revoked.read()
            assert await revoked.is_revoked(identity)

    asyncio.run(scenario())


def test_a_retired_vehicle_is_told_so_whatever_certificate_it_shows_and_its_records_stay(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            vehicle, other = VehicleIdentifier(MINE), VehicleIdentifier(OTHER)
            revoked = RevokedCertificates(fleet.enrolment)
            await revoked.read()
            shown = {vin: Identity(vehicle=vin, fingerprint=f"external {vin}", serial=1) for vin in (vehicle, other)}
            assert not await revoked.is_revoked(shown[vehicle])
            metadata = await fleet.systems.director_metadata(vehicle).read("targets.der")
            await fleet.enrolment.retire(vehicle, utc_now())
            await revoked.read()
            with pytest.raises(RetiredVehicleError) as refused:
                await revoked.is_revoked(shown[vehicle])
            answer = problem(refused.value)
            assert (answer.status, json.loads(answer.body)["code"]) == (410, "E-RETIRED")
            assert not await revoked.is_revoked(shown[other])
            with pytest.raises(RetiredVehicleError):
                await fleet.enrolment.add_token(vehicle, "another", utc_now() + timedelta(days=1))
            token = (tmp_path / MINE / "factory" / "token").read_text()
            assert not await fleet.enrolment.redeem(vehicle, token, utc_now(), "new", utc_now())
            assert (await fleet.systems.director.vehicle(vehicle)).vehicle == vehicle
            assert await fleet.systems.director_metadata(vehicle).read("targets.der") == metadata

    asyncio.run(scenario())


def test_whatever_fails_when_the_list_of_revoked_certificates_is_read_it_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uptane.assembly.serving.BEGUN_AGAIN_SECONDS", 0)

    class Reading(RevokedCertificates):
        failed: asyncio.Event

        async def read(self) -> None:
            try:
                await super().read()
            except Exception:
                self.failed.set()
                raise

    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            vehicle, now = VehicleIdentifier(MINE), utc_now()
            await fleet.enrolment.add_token(vehicle, "token", now + timedelta(days=1))
            assert await fleet.enrolment.redeem(vehicle, "token", now, "mine", now)
            await fleet.enrolment.retire(VehicleIdentifier(OTHER), now)
            inventory = str(fleet.systems.engine.url.database)
            alter(Path(inventory), "UPDATE retirements SET retired = 'yesterday'")
            revoked = Reading(fleet.enrolment)
            revoked.failed = asyncio.Event()
            reading = asyncio.create_task(unending(partial(revoked.keep_reading, 0)))
            async with asyncio.timeout(30):
                await revoked.failed.wait()
                await fleet.enrolment.revoke(vehicle)
                while not await revoked.is_revoked(Identity(vehicle=vehicle, fingerprint="mine", serial=1)):
                    await asyncio.sleep(0)
                    assert not reading.done()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    asyncio.run(scenario())


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_token_ends_with_its_time(tmp_path: Path, seconds: int) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            now, vehicle = utc_now(), VehicleIdentifier(MINE)
            await fleet.enrolment.add_token(vehicle, "token", now + timedelta(seconds=1))
            at = now + timedelta(seconds=2 * seconds)
            assert await fleet.enrolment.redeem(vehicle, "token", at, "fingerprint", at) is (seconds == 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/director/manifest", "/director/ecus", "/timeserver/attestation"])
def test_one_vehicle_has_a_few_requests_with_a_body_open_and_no_more(tmp_path: Path, path: str) -> None:
    """Ten thousand manifests that never end would fill a worker's memory, and one certificate could send them."""

    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            ends, begun = asyncio.Event(), asyncio.Semaphore(0)

            async def drips() -> AsyncIterator[bytes]:
                yield b"{"
                begun.release()
                await ends.wait()

            method = "PUT" if path == "/director/manifest" else "POST"
            first = [asyncio.create_task(fleet.ask(MINE, method, path, drips())) for _ in range(BODIES_OF_A_VEHICLE)]
            for _ in first:
                await begun.acquire()
            refused = await fleet.ask(MINE, method, path, b"{")
            assert (refused.status_code, refused.json()["code"]) == (503, "E-HTTP")
            assert (await fleet.ask(OTHER, method, path, b"{")).status_code == 400, "others are heard"
            ends.set()
            assert [each.status_code for each in await asyncio.gather(*first)] == [400] * BODIES_OF_A_VEHICLE
            assert (await fleet.ask(MINE, method, path, b"{")).status_code == 400, "and it is again"

    asyncio.run(scenario())
