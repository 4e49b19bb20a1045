"""A plain TUF client reads our Image repository: `tuf.ngclient` refreshes and downloads from what we publish."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from tuf.api.exceptions import DownloadHTTPError, RepositoryError, UnsignedMetadataError
from tuf.ngclient import FetcherInterface, Updater
from world import Repository, delegation, delegations, image, new_signer, targets

from uptane.formats.json_format import JSON
from uptane.formats.profile import Profile
from uptane.metadata.delegations import Delegation
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.keys import KeyType
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.signing.publish import Draft

PROFILE = Profile(format=JSON)
METADATA, IMAGES = "http://repository/metadata/", "http://repository/targets/"


class Served(FetcherInterface):
    """What a web server in front of our repository would answer."""

    def __init__(self, repository: Repository, images: dict[str, bytes]) -> None:
        self.files = {METADATA + name: raw for name, raw in repository.files.items()}
        self.files |= {IMAGES + name: raw for name, raw in images.items()}
        self.asked: list[str] = []

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.asked.append(unquote(url))
        if unquote(url) not in self.files:
            raise DownloadHTTPError("not found", 404)
        return iter([self.files[unquote(url)]])


class Client:
    """A TUF client that was given our first Root."""

    def __init__(self, folder: Path, repository: Repository, images: dict[str, bytes]) -> None:
        (folder / "metadata").mkdir()
        (folder / "targets").mkdir()
        self.served = Served(repository, images)
        self.updater = Updater(
            metadata_dir=str(folder / "metadata"),
            metadata_base_url=METADATA,
            target_dir=str(folder / "targets"),
            target_base_url=IMAGES,
            fetcher=self.served,
            bootstrap=repository.files[repository.name(Role.ROOT, 1)],
        )

    def download(self, path: str) -> bytes:
        self.updater.refresh()
        found = self.updater.get_targetinfo(path)
        assert found is not None, f"{path} is not listed"
        return Path(self.updater.download_target(found)).read_bytes()


def published(**kinds: object) -> Repository:
    """A repository that is valid at the time of the TUF client, which knows no other clock than the system's."""
    repository = Repository(PROFILE, **kinds)  # type: ignore[arg-type]
    repository.now = datetime.now(UTC)
    repository.publish(Draft(root=repository.draft_root(), targets={RoleName("targets"): targets()}))
    return repository


def stored(*contents: tuple[str, bytes]) -> dict[str, bytes]:
    """Images under their hash-qualified names, by each of their hashes."""
    return {
        PROFILE.requested_image(ImagePath(path), hashlib.new(function, content).digest()): content
        for path, content in contents
        for function in ("sha256", "sha512")
    }


@pytest.mark.standard("STD-5.2.7-3")
@pytest.mark.parametrize("path", ["a.img", "dir/sub/a.img", "dir/caf\u00e9 1.img"])
def test_a_tuf_client_refreshes_and_downloads_an_image(tmp_path: Path, path: str) -> None:
    repository = published()
    repository.publish_targets(image(path, b"content", counter=3, hardware=("A",), ecus=("TCU",)))
    client = Client(tmp_path, repository, stored((path, b"content")))
    assert client.download(path) == b"content"
    found = client.updater.get_targetinfo(path)
    assert found is not None and found.custom is not None
    assert found.custom["must_match"] == {"hardware_ids": ["A"], "release_counter": 3}
    assert client.updater.get_targetinfo("other.img") is None


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_tuf_client_takes_every_kind_of_key_and_thresholds(tmp_path: Path, kind: KeyType) -> None:
    repository = published(kind=kind, keys=3, threshold=2)
    repository.publish_targets(image("a.img", b"content"))
    assert Client(tmp_path, repository, stored(("a.img", b"content"))).download("a.img") == b"content"


def test_a_tuf_client_follows_our_rotated_roots(tmp_path: Path) -> None:
    repository = published()
    repository.publish_targets(image("a.img", b"content"))
    for _ in range(3):
        repository.rotate(*Role)
    client = Client(tmp_path, repository, stored(("a.img", b"content")))
    assert client.download("a.img") == b"content"
    assert METADATA + "5.root.json" in client.served.asked


def test_a_tuf_client_refuses_what_a_stranger_signed(tmp_path: Path) -> None:
    repository = published()
    repository.offer(Role.TARGETS, signers=[new_signer()])
    client = Client(tmp_path, repository, {})
    with pytest.raises(UnsignedMetadataError):
        client.updater.refresh()


def test_a_tuf_client_refuses_another_image(tmp_path: Path) -> None:
    repository = published()
    repository.publish_targets(image("a.img", b"content"))
    images = dict.fromkeys(stored(("a.img", b"content")), b"changed")
    with pytest.raises(RepositoryError):
        Client(tmp_path, repository, images).download("a.img")


KEYS = {name: new_signer(kind) for name, kind in zip("abc", KeyType, strict=True)}


def to(role: str, *paths: str, **other: object) -> Delegation:
    return delegation(role, [KEYS[role]], paths=paths, **other)


def role(*below: Delegation, content: bytes | None = None) -> Targets:
    images = [] if content is None else [image("dir/a.img", content)]
    return targets(*images, delegations=delegations(list(KEYS.values()), *below))


def delegating(**roles: Targets) -> Repository:
    repository = published()
    repository.keyring |= {signer.key.key_id: signer for signer in KEYS.values()}
    repository.publish(Draft(targets={RoleName(name): content for name, content in roles.items()}))
    return repository


CONTENTS = stored(("dir/a.img", b"content"), ("dir/a.img", b"other"))


@pytest.mark.standard("STD-5.1.2.1-1")
def test_a_tuf_client_resolves_two_levels_of_delegations(tmp_path: Path) -> None:
    repository = delegating(
        targets=role(to("a", "other/*", terminating=True), to("b", "dir/*", hardware=["A"])),
        b=role(to("c", "dir/?.img")),
        c=role(content=b"content"),
    )
    client = Client(tmp_path, repository, CONTENTS)
    assert client.download("dir/a.img") == b"content"
    assert not any("a.json" in url for url in client.served.asked)


def test_a_tuf_client_minds_our_order_and_terminating_flags(tmp_path: Path) -> None:
    repository = delegating(
        targets=role(to("a", "dir/*"), to("b", "dir/*")), a=role(content=b"content"), b=role(content=b"other")
    )
    (tmp_path / "order").mkdir()
    assert Client(tmp_path / "order", repository, CONTENTS).download("dir/a.img") == b"content"
    repository = delegating(
        targets=role(to("a", "dir/*", terminating=True), to("b", "dir/*")), a=role(), b=role(content=b"other")
    )
    (tmp_path / "end").mkdir()
    client = Client(tmp_path / "end", repository, CONTENTS)
    client.updater.refresh()
    assert client.updater.get_targetinfo("dir/a.img") is None


def test_a_tuf_client_finds_an_image_by_the_hash_of_its_name(tmp_path: Path) -> None:
    prefix = hashlib.sha256(b"dir/a.img").hexdigest()[:2]
    bins = delegation("a", [KEYS["a"]], path_hash_prefixes=(prefix,))
    repository = delegating(targets=role(bins), a=role(content=b"content"))
    assert Client(tmp_path, repository, CONTENTS).download("dir/a.img") == b"content"


@pytest.mark.standard("STD-5.4.4.8-1")
def test_a_tuf_client_sees_a_multi_role_delegation_as_ordinary_roles(tmp_path: Path) -> None:
    """It is weaker there: the first member that lists the image is enough for it."""
    group = delegation({"a": [KEYS["a"]], "b": [KEYS["b"]]}, paths=["dir/*"], group="both", agree=2)
    repository = delegating(
        targets=role(group, to("c", "dir/*")), a=role(), b=role(content=b"content"), c=role(content=b"other")
    )
    client = Client(tmp_path, repository, CONTENTS)
    assert client.download("dir/a.img") == b"content"
    asked = [url.removeprefix(METADATA) for url in client.served.asked]
    assert [name for name in asked if name[2:] in ("a.json", "b.json", "c.json")] == ["1.a.json", "1.b.json"]
