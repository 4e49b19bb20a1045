"""Our JSON Image repository, read by `uptane-tuf-client` and `tuf.ngclient`: bins, new Roots, members of Uptane."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from tuf.ngclient import Updater
from tuf_runner import Direct
from tuf_simulator import serving
from world import Repository, delegation, delegations, image, new_signer, targets

from uptane.cli import tuf_client
from uptane.formats.json_format import JSON
from uptane.formats.profile import Profile
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.signing.publish import Draft

PROFILE = Profile(format=JSON)
SIGNER = new_signer()
PATHS = [f"dir/{number}.img" for number in range(8)]


def bin_of(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[0]


def published() -> Repository:
    """Sixteen bins by the hash of the path, each image with custom data of ours, and three new Roots."""
    repository = Repository(PROFILE)
    repository.now = datetime.now(UTC)
    repository.keyring[SIGNER.key.key_id] = SIGNER
    bins = [delegation(f"bin-{digit}", [SIGNER], path_hash_prefixes=(digit,)) for digit in "0123456789abcdef"]
    roles = {RoleName("targets"): targets(delegations=delegations([SIGNER], *bins))}
    for digit in "0123456789abcdef":
        held = [image(path, path.encode(), counter=3, hardware=("A",)) for path in PATHS if bin_of(path) == digit]
        roles[RoleName(f"bin-{digit}")] = targets(*held)
    repository.publish(Draft(root=repository.draft_root(), targets=roles))
    for _ in range(3):
        repository.rotate(*Role)
    return repository


def served(repository: Repository) -> dict[str, bytes]:
    files = {f"metadata/{name}": raw for name, raw in repository.files.items()}
    for path in PATHS:
        content = path.encode()
        for function in ("sha256", "sha512"):
            name = PROFILE.requested_image(ImagePath(path), hashlib.new(function, content).digest())
            files[f"targets/{name}"] = content
    return files


def test_both_clients_download_from_our_bins_after_new_roots(tmp_path: Path) -> None:
    repository = published()
    files = served(repository)
    (tmp_path / "root.json").write_bytes(files["metadata/1.root.json"])
    trusted = ["--metadata-dir", str(tmp_path / "ours")]
    with serving(files) as server:
        assert tuf_client.main([*trusted, "init", str(tmp_path / "root.json")]) == 0
        names = [word for path in PATHS for word in ("--target-name", path)]
        urls = ["--metadata-url", f"{server.url}/metadata", "--target-base-url", f"{server.url}/targets"]
        assert tuf_client.main([*trusted, *urls, *names, "--target-dir", str(tmp_path / "images"), "download"]) == 0
        assert "metadata/5.root.json" in server.asked
    ours = {file.read_bytes() for file in (tmp_path / "images").iterdir()}
    assert ours == {path.encode() for path in PATHS}
    (tmp_path / "theirs").mkdir()
    updater = Updater(
        str(tmp_path / "theirs"), "http://repository/metadata/", str(tmp_path / "theirs"), "http://repository/targets/",
        Direct(files), bootstrap=files["metadata/1.root.json"],
    )  # fmt: skip
    for path in PATHS:
        found = updater.get_targetinfo(path)
        assert found is not None
        assert Path(updater.download_target(found)).read_bytes() == path.encode()
    kept = {file.name: file.read_bytes() for file in (tmp_path / "ours").iterdir()}
    for name, raw in kept.items():
        assert (tmp_path / "theirs" / name).read_bytes() == raw
