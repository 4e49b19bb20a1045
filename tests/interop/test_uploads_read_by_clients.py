"""What a supplier handed in, read by `uptane-tuf-client` and `tuf.ngclient`."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.ngclient import Updater
from tuf_runner import Direct
from tuf_simulator import serving
from world import delegation, new_signer

from uptane.assembly.servers import image_repository_over_folder
from uptane.cli import tuf_client
from uptane.formats.profiles import profile_of
from uptane.image_repository.supplier import described_stream, next_targets
from uptane.image_repository.uploads import Upload
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Custom, MustMatch
from uptane.signing.publish import new_root
from uptane.signing.sign import sign

PROFILE = profile_of("json")
PATH = ImagePath("supplier/brakes.img")


def test_both_clients_download_what_a_supplier_handed_in(tmp_path: Path) -> None:
    folder, now = tmp_path / "imagerepo", datetime.now(UTC).replace(microsecond=0)
    repository = image_repository_over_folder(PROFILE, folder)
    signers = {role: new_signer() for role in Role}
    repository.add_signers(signers.values())
    repository.stage_root(new_root({role: [signer] for role, signer in signers.items()}))
    supplier = new_signer()
    asyncio.run(repository.publish(now))
    granted = delegation("supplier", [supplier], paths=["supplier/*"], terminating=True)
    asyncio.run(repository.delegate(granted, [supplier.key]))
    asyncio.run(repository.publish(now))
    previous = None
    for counter in (1, 2):
        content = b"brakes %d" % counter
        custom = Custom(must_match=MustMatch(release_counter=counter))
        previous = next_targets(previous, [described_stream(PATH, [content])], custom, now + timedelta(days=9))
        metadata = sign(PROFILE, previous, [supplier])
        upload = Upload(role=RoleName("supplier"), metadata=metadata, images={PATH: lambda data=content: [data]})
        asyncio.run(repository.receive(upload, now))
        read_by_both(folder, tmp_path / str(counter), content)


def read_by_both(folder: Path, clients: Path, content: bytes) -> None:
    """Both clients begin with the first Root and download the image."""
    (clients / "theirs").mkdir(parents=True)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (clients / "root.json").write_bytes(files["metadata/1.root.json"])
    trusted = ["--metadata-dir", str(clients / "ours")]
    with serving(files) as server:
        assert tuf_client.main([*trusted, "init", str(clients / "root.json")]) == 0
        urls = ["--metadata-url", f"{server.url}/metadata", "--target-base-url", f"{server.url}/targets"]
        words = ["--target-name", PATH, "--target-dir", str(clients / "images"), "download"]
        assert tuf_client.main([*trusted, *urls, *words]) == 0
    assert [file.read_bytes() for file in (clients / "images").iterdir()] == [content]
    updater = Updater(
        str(clients / "theirs"), "http://repository/metadata/", str(clients / "theirs"), "http://repository/targets/",
        Direct(files), bootstrap=files["metadata/1.root.json"],
    )  # fmt: skip
    found = updater.get_targetinfo(PATH)
    assert found is not None
    assert Path(updater.download_target(found)).read_bytes() == content
