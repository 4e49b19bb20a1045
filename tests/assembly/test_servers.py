"""Servers over folders: a Director that sees an Image repository beside it, and reads its dependencies from a file."""

import re
from pathlib import Path

import pytest
from links import wait
from msgspec import structs
from world import NOW, VIN, new_signer

from uptane.assembly.servers import (
    RunningDirector,
    director_over_folder,
    image_catalog_over_folder,
    image_repository_over_folder,
)
from uptane.director.dependencies import read_dependencies
from uptane.encryption.keys import DecryptionKey
from uptane.formats.profiles import PROFILES
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import FormatError, ImageNotListedError, UnsatisfiableError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath
from uptane.metadata.root import Role
from uptane.metadata.targets import Image
from uptane.signing.publish import new_root

PROFILE = PROFILES["der"]
A, B = EcuIdentifier("A"), EcuIdentifier("B")


async def start(folder: Path) -> tuple[RunningDirector, Image]:
    """Both servers; the Image repository lists one image."""
    keys = {role: [new_signer()] for role in Role}
    images = image_repository_over_folder(PROFILE, folder / "imagerepo")
    images.add_signers(signer for signers in keys.values() for signer in signers)
    images.stage_root(new_root(keys))
    await images.publish(NOW)
    image = await images.add_image(ImagePath("a.img"), b"a")
    published = await images.publish(NOW)
    running = await director_over_folder(
        PROFILE,
        folder / "director",
        new_root(keys),
        catalog=image_catalog_over_folder(PROFILE, folder / "imagerepo", published.root.raw),
    )
    director = running.director
    director.add_signers(signer for signers in keys.values() for signer in signers)
    await director.add_new_vehicle(VIN, NOW)
    for ecu in (A, B):
        await director.register_ecu(vehicle=VIN, ecu=ecu, key=new_signer().key, is_primary=ecu == A)
    return running, image


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("# nothing\n", "a.img", None),
        ("a.img requires b.img\n", "a.img", UnsatisfiableError),
        (None, "b.img", ImageNotListedError),
    ],
)
def test_a_director_keeps_to_its_file_of_dependencies_and_to_what_the_image_repository_lists(
    tmp_path: Path, rules: str | None, path: str, expected: type[UptaneError] | None
) -> None:
    folder = tmp_path / "director"
    folder.mkdir()
    if rules is not None:
        (folder / "dependencies.txt").write_text(rules, encoding="utf-8")

    async def story() -> None:
        running, image = await start(tmp_path)
        try:
            wanted = Image(file=structs.replace(image.file, path=ImagePath(path)))
            await running.director.assign(VIN, B, wanted)
            if expected is None:
                assert (await running.director.publish(VIN, NOW)).snapshot_version == 2
            else:
                with pytest.raises(expected):
                    await running.director.publish(VIN, NOW)
        finally:
            await running.close()

    wait(story())


@pytest.mark.standard("STD-5.3.2.1-15")
def test_a_director_hosts_what_it_encrypts_beside_its_other_images_of_the_vehicle(tmp_path: Path) -> None:
    key = DecryptionKey.symmetric(bytes(range(32)))
    (tmp_path / "director").mkdir()

    async def story() -> None:
        running, image = await start(tmp_path)
        try:
            await running.director.set_encryption_key(VIN, B, key.encryption_key)
            for _ in range(2):
                await running.director.assign_encrypted(VIN, [B], image, b"a")
            published = await running.director.publish(VIN, NOW)
        finally:
            await running.close()
        directed = published.targets[TARGETS_ROLE].payload.images[image.file.path]
        form = directed.custom.ecus[B].encrypted
        assert form is not None
        folder = tmp_path / "director" / VIN / "targets" / "encrypted"
        assert (folder / f"{form.file.digests['sha256'].hex()}.{form.file.path.file}").stat().st_size == 17
        assert len({path.read_bytes() for path in folder.iterdir()}) == 2, "the second one has a nonce of its own"

    wait(story())


def test_a_director_does_not_start_with_a_dependency_that_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "director").mkdir()
    (tmp_path / "director" / "dependencies.txt").write_text("a.img wants b.img\n", encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        wait(start(tmp_path))
    assert caught.value.facts["line"] == 1


def test_the_rules_that_the_documents_show_can_be_read() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "dependencies.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(read_dependencies(shown)) == 3
