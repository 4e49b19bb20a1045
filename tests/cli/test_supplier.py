"""`uptane supplier` and `uptane image-repository upload`: from a folder of images to what clients find."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from world import delegation

from uptane.assembly.servers import image_catalog_over_folder, image_repository_over_folder
from uptane.cli.exit_codes import CANNOT_READ_OR_WRITE, CHECK_FAILED
from uptane.cli.main import main
from uptane.formats.profiles import profile_of
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath
from uptane.metadata.root import Role
from uptane.metadata.targets import Image, Targets
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.key_files import KeyFolder

BRAKES = ImagePath("supplier/brakes.img")


class Workshop:
    """A folder with a repository, keys and images; commands run in it.

    Args:
        folder: where everything is.
        name: the format.
        threshold: how many of the role's two keys must sign.
    """

    def __init__(self, folder: Path, name: str, threshold: int = 1) -> None:
        self.folder, self.name = folder, name
        self.profile = profile_of(name)
        self.keys = KeyFolder(folder / "keys")
        repository = image_repository_over_folder(self.profile, folder / "imagerepo")
        signers = {role: self.signer(role) for role in Role}
        repository.add_signers(signers.values())
        repository.stage_root(new_root({role: [signer] for role, signer in signers.items()}))
        asyncio.run(repository.publish(datetime.now(UTC)))
        owners = [self.signer("one.pem"), self.signer("two.pem")]
        granted = delegation("supplier", owners, paths=["supplier/*"], threshold=threshold)
        asyncio.run(repository.delegate(granted, [owner.key for owner in owners]))
        asyncio.run(repository.publish(datetime.now(UTC)))

    def signer(self, name: str) -> KeySigner:
        """The key of that name, made at its first use."""
        return KeySigner(self.keys.load_or_generate(name))

    def put(self, path: str, content: bytes) -> None:
        """An image in the supplier's folder."""
        file = self.folder / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    @property
    def signed(self) -> Path:
        """The metadata that the supplier makes."""
        return self.folder / self.profile.metadata_name("supplier")

    def sign(self, *words: str, key: str = "one.pem") -> int:
        """`uptane supplier sign`."""
        return main([
            "supplier", "sign", str(self.folder / "images"), "--role", "supplier", "--format", self.name,
            "--key", str(self.folder / "keys" / key), "--output", str(self.signed), *words,
        ])  # fmt: skip

    def upload(self, *words: str, metadata: Path | None = None) -> int:
        """`uptane image-repository upload`."""
        keys = self.folder / "keys"
        return main([
            "image-repository", "upload", str(metadata or self.signed), str(self.folder / "images"),
            "--repository", str(self.folder / "imagerepo"),
            "--snapshot-key", str(keys / "snapshot"), "--timestamp-key", str(keys / "timestamp"), *words,
        ])  # fmt: skip

    def published(self) -> Path:
        """The supplier's metadata in the repository."""
        return self.folder / "imagerepo" / "metadata" / self.profile.metadata_name("supplier")

    def found(self, path: ImagePath = BRAKES) -> Image:
        """What a client finds, whose bytes are there."""
        folder = self.folder / "imagerepo"
        raw = asyncio.run(PublishedFolder(folder / "metadata").read(self.profile.metadata_name(Role.ROOT, 1)))
        assert raw is not None
        catalog = image_catalog_over_folder(self.profile, folder, raw)
        image = asyncio.run(catalog.look_up({path: None}, datetime.now(UTC)))[path]
        for _, digest in image.file.digests:
            content = asyncio.run(ImageFolder(folder / "targets").read(self.profile.requested_image(path, digest)))
            assert content is not None and image.file.digests.matches(content)
        return image


@pytest.fixture(params=["der", "json"])
def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Workshop:
    """A supplier and a repository on one machine, in each format."""
    return Workshop(tmp_path, request.param)


@pytest.mark.standard("STD-5.3.1-4")
def test_a_supplier_signs_a_folder_of_images_and_hands_it_in(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop.put(BRAKES, b"brakes 7")
    assert workshop.sign("--release-counter", "7", "--hardware-id", "brake-1", "--hardware-id", "brake-2") == 0
    assert workshop.upload() == 0
    assert "Role supplier, version 1, is published: 1 images." in capsys.readouterr().out
    must_match = workshop.found().custom.must_match
    assert must_match.release_counter == 7
    assert must_match.hardware_ids == (HardwareIdentifier("brake-1"), HardwareIdentifier("brake-2"))


def test_the_next_version_begins_with_what_is_published(workshop: Workshop) -> None:
    workshop.put(BRAKES, b"brakes 7")
    workshop.put("supplier/lights.img", b"lights 7")
    assert (workshop.sign("--release-counter", "7"), workshop.upload()) == (0, 0)
    (workshop.folder / "images" / "supplier" / "lights.img").unlink()
    workshop.put("supplier/horn.img", b"horn 8")
    assert workshop.sign("--release-counter", "8", "--previous", str(workshop.published())) == 0
    assert workshop.upload() == 0
    counters = {"supplier/brakes.img": 7, "supplier/lights.img": 7, "supplier/horn.img": 8}
    for path, counter in counters.items():
        assert workshop.found(ImagePath(path)).custom.must_match.release_counter == counter
    workshop.put(BRAKES, b"brakes 9")
    words = ("--release-counter", "9", "--previous", str(workshop.published()), "--drop-others")
    assert (workshop.sign(*words), workshop.upload()) == (0, 0)
    targets = workshop.profile.format.decode(Targets, workshop.published().read_bytes()).payload
    assert set(targets.images) == {BRAKES, "supplier/horn.img"}
    assert targets.images[BRAKES].custom.must_match.release_counter == 9


@pytest.mark.standard("STD-5.3.1-5")
def test_a_second_owner_adds_a_signature_before_it_is_handed_in(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, "json", threshold=2)
    workshop.put(BRAKES, b"brakes")
    assert workshop.sign() == 0
    for _ in range(2):
        assert main(["supplier", "cosign", str(workshop.signed), "--key", str(tmp_path / "keys" / "two.pem")]) == 0
    assert workshop.upload() == 0
    assert workshop.found().file.length == 6


def test_two_owners_hand_it_in_one_after_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workshop = Workshop(tmp_path, "der", threshold=2)
    workshop.put(BRAKES, b"brakes")
    assert (workshop.sign(), workshop.upload()) == (0, 0)
    assert "has 1 of 2 signatures and waits" in capsys.readouterr().out
    assert not workshop.published().exists()
    assert list((tmp_path / "imagerepo" / "targets").rglob("*.img")) == []
    assert main(["supplier", "cosign", str(workshop.signed), "--key", str(tmp_path / "keys" / "two.pem")]) == 0
    assert workshop.upload() == 0
    assert workshop.found().file.length == 6
    assert list((tmp_path / "imagerepo" / "waiting").iterdir()) == []


@pytest.mark.standard("STD-5.3.1-3", "STD-5.3.1-5")
def test_what_is_refused_is_one_line_and_leaves_no_trace(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop.put("other/engine.img", b"evil")
    assert workshop.sign() == 0
    before = files(workshop.folder / "imagerepo")
    assert workshop.upload() == CHECK_FAILED
    assert "role supplier has no authority over other/engine.img" in capsys.readouterr().err
    assert workshop.upload("--role", "nobody") == CHECK_FAILED
    assert workshop.sign(key="snapshot") == 0
    assert workshop.upload() == CHECK_FAILED
    (workshop.folder / "images" / "supplier.img").symlink_to(workshop.folder / "keys" / "one.pem")
    assert workshop.sign() == CANNOT_READ_OR_WRITE
    assert workshop.upload() == CANNOT_READ_OR_WRITE
    assert files(workshop.folder / "imagerepo") == before


def test_the_name_of_the_file_says_the_role_unless_it_is_given(workshop: Workshop) -> None:
    workshop.put(BRAKES, b"brakes")
    assert workshop.sign() == 0
    other = workshop.signed.rename(workshop.folder / "from-the-supplier")
    assert workshop.upload(metadata=other) == CHECK_FAILED
    assert workshop.upload("--role", "supplier", metadata=other) == 0
    assert workshop.sign("--previous", str(workshop.published())) == 0
    versioned = workshop.signed.rename(workshop.folder / f"2.{workshop.signed.name}")
    assert workshop.upload(metadata=versioned) == 0
    assert workshop.found().file.length == 6


@pytest.mark.parametrize("key", ["gone.pem", "one.pem.pub"])
def test_a_key_that_is_none_is_told(workshop: Workshop, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    workshop.put(BRAKES, b"brakes")
    assert workshop.sign(key=key) == CANNOT_READ_OR_WRITE
    assert key in capsys.readouterr().err
    assert not workshop.signed.exists()


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"\x30\x03\x02\x01\x01", b"x" * 5_000_001], ids=["empty", "{}", "der", "huge"]
)
def test_a_file_that_is_no_targets_metadata_is_told(workshop: Workshop, raw: bytes) -> None:
    workshop.put(BRAKES, b"brakes")
    workshop.signed.write_bytes(raw)
    assert workshop.upload() == CHECK_FAILED
    assert workshop.sign("--previous", str(workshop.signed)) == CHECK_FAILED


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["supplier", "sign"], ["supplier", "cosign"], ["image-repository", "upload"]):
        main([*words, "--help"])
        assert f"uptane {' '.join(words)} " in capsys.readouterr().out.split("Arguments")[0].split("\n", 1)[1]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
