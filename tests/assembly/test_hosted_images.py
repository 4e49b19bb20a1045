"""Images that the Director hosts, on the device API: each vehicle gets its own, and nobody gets another's."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.assembly.test_device_api import MINE, OTHER, fleet_in
from uptane.assembly.fleet import add_image
from uptane.encryption.keys import DecryptionKey
from uptane.formats.canonical_json import decode_strict
from uptane.formats.json_images import read_encrypted
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.storage.folders import hashed_names


@pytest.mark.standard("STD-5.3.2.1-15")
def test_a_vehicle_gets_its_own_encrypted_images_and_no_other_vehicles(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            director, names = fleet.systems.director, {}
            published = await fleet.systems.image_repository.published()
            image = published.targets[TARGETS_ROLE].payload.images[ImagePath("dir/firmware.img")]
            for vin in (MINE, OTHER):
                vehicle, ecu = VehicleIdentifier(vin), EcuIdentifier(f"{vin}-primary")
                key = PublicKey.of(Ed25519PrivateKey.generate().public_key())
                await director.register_ecu(vehicle=vehicle, ecu=ecu, key=key, is_primary=True, hardware_id=None)
                secret = DecryptionKey.symmetric(vin.encode().ljust(32, b"."))
                await director.set_encryption_key(vehicle, ecu, secret.encryption_key)
                await director.assign_encrypted(vehicle, [ecu], image, b"0123456789")
                async with fleet.systems.inventory.transaction() as transaction:
                    (assigned,) = await transaction.assignments(vehicle)
                assert assigned.encrypted is not None
                names[vin] = read_encrypted(decode_strict(assigned.encrypted)).file
            for vin, other in ((MINE, OTHER), (OTHER, MINE)):
                file = names[vin]
                for name in (file.path, *hashed_names(file)):
                    path = f"/director/targets/{name}"
                    answer = await fleet.ask(vin, "GET", path)
                    assert (
                        answer.status_code == 200 and Digests.of(answer.content, ("sha256", "sha512")) == file.digests
                    )
                    part = await fleet.ask(vin, "GET", path, headers={"range": "bytes=3-"})
                    assert (part.status_code, part.content) == (206, answer.content[3:])
                    for foreign in (
                        await fleet.ask(other, "GET", path),
                        await fleet.ask(vin, "GET", f"/repo/targets/{name}"),
                    ):
                        assert (foreign.status_code, foreign.content) == (404, b"")
                    assert (await fleet.ask(None, "GET", path)).status_code == 401

    asyncio.run(scenario())


def test_whoever_adds_an_image_is_told_how_far_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fleet_in(tmp_path) as fleet:
            (tmp_path / "large").write_bytes(bytes(5 << 19))
            told: list[int] = []
            await add_image(fleet.systems, tmp_path / "large", "large.img", 1, (), told.append)
            assert sum(told) == 5 << 19 and len(told) == 3

    asyncio.run(scenario())
