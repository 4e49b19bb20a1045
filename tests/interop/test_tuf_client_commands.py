"""The command line of `uptane-tuf-client`: what it asks for, what it keeps, and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tuf_runner import client_of
from tuf_simulator import TufSimulator, in_days

from uptane.cli import tuf_client
from uptane.storage.tuf_folders import TrustedMetadata

BAD_URLS = [
    "http://[::1",
    "http://h:abc/",
    "http://\u00e9..com/",
    "http://[v1.x]/",
    "http://h..x/",
    "http://127.0.0.1/\udcff",
]

PROGRAM = "import sys; from uptane.cli.tuf_client import main; sys.exit(main())"


def program(*words: str, code: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    """The client in a process of its own."""
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


def test_a_refresh_asks_in_the_order_of_trust_and_keeps_the_bytes_that_came(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        assert client.served.asked == []
        assert client.refresh() == 0
        assert client.served.roles_asked() == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
        held = {file.name: file.read_bytes() for file in client.metadata.iterdir()}
    assert held == {
        "root.json": repository.files["metadata/1.root.json"],
        "timestamp.json": repository.files["metadata/timestamp.json"],
        "snapshot.json": repository.files["metadata/1.snapshot.json"],
        "targets.json": repository.files["metadata/1.targets.json"],
    }


def test_what_is_held_and_still_listed_is_not_fetched_again(tmp_path: Path) -> None:
    with client_of(tmp_path, TufSimulator()) as client:
        client.refresh()
        client.served.asked.clear()
        assert client.refresh() == 0
        assert client.served.roles_asked() == ["2.root.json", "timestamp.json"]
        client.repository.publish_timestamp()
        assert client.refresh() == 0
        assert client.served.roles_asked() == ["2.root.json", "timestamp.json"]
        assert client.version("timestamp") == 2


def test_a_damaged_file_of_an_earlier_run_is_fetched_again(tmp_path: Path) -> None:
    with client_of(tmp_path, TufSimulator()) as client:
        client.refresh()
        for role in ("timestamp", "snapshot", "targets"):
            (client.metadata / f"{role}.json").write_bytes(b"{")
        client.served.asked.clear()
        assert client.refresh() == 0
        assert len(client.served.roles_asked()) == 4
        assert client.versions() == {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}


def test_a_repository_without_consistent_snapshots_has_plain_names(tmp_path: Path) -> None:
    for number, consistent in enumerate((False, None)):
        repository = TufSimulator(consistent=consistent)
        repository.add("targets", "dir/a.img", b"content")
        repository.publish("targets")
        folder = tmp_path / str(number)
        folder.mkdir()
        with client_of(folder, repository) as client:
            assert client.download("dir/a.img") == 0
            assert client.served.asked == [
                "metadata/2.root.json",
                "metadata/timestamp.json",
                "metadata/snapshot.json",
                "metadata/targets.json",
                "targets/dir/a.img",
            ]
            assert client.downloaded() == {"dir%2Fa.img": b"content"}


@pytest.mark.parametrize("status", [403, 404])
def test_no_next_root_means_that_the_newest_is_known(tmp_path: Path, status: int) -> None:
    with client_of(tmp_path, TufSimulator()) as client:
        client.served.statuses["metadata/2.root.json"] = status
        assert client.refresh() == 0


@pytest.mark.parametrize("status", [401, 500, 503])
def test_any_other_answer_for_the_next_root_is_a_failure(tmp_path: Path, status: int) -> None:
    with client_of(tmp_path, TufSimulator()) as client:
        client.served.statuses["metadata/2.root.json"] = status
        assert client.refresh() == 1
        assert client.versions() == {"root": 1}
        assert client.served.roles_asked() == ["2.root.json"]


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_missing_role_ends_the_refresh_and_those_before_it_are_kept(tmp_path: Path, role: str) -> None:
    with client_of(tmp_path, TufSimulator()) as client:
        name = "metadata/timestamp.json" if role == "timestamp" else f"metadata/1.{role}.json"
        client.served.statuses[name] = 404
        assert client.refresh() == 1
        order = ["root", "timestamp", "snapshot", "targets"]
        assert set(client.versions()) == set(order[: order.index(role)])
        client.served.statuses.clear()
        assert client.refresh() == 0
        assert set(client.versions()) == set(order)


def test_init_takes_a_root_again_and_leaves_the_other_files(tmp_path: Path) -> None:
    with client_of(tmp_path, TufSimulator()) as client:
        client.refresh()
        assert client.init() == 0
        assert client.versions() == {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}


def test_a_root_that_does_not_sign_for_itself_is_not_begun_with(tmp_path: Path) -> None:
    repository = TufSimulator()
    genuine = json.loads(repository.files["metadata/1.root.json"])
    no_version = {"signed": {k: v for k, v in genuine["signed"].items() if k != "version"}}
    unsigned = {"signatures": [genuine["signatures"][0] | {"sig": "00" * 64}]}
    with client_of(tmp_path, repository, init=False) as client:
        for change in (no_version, unsigned):
            assert client.init(json.dumps(genuine | change).encode()) == 1
        assert client.init(b"no json") == 1
        assert client.refresh() == 1
        assert client.served.asked == []
        for change in (no_version, unsigned):
            (client.metadata / "root.json").write_text(json.dumps(genuine | change))
            assert client.refresh() == 1
        assert client.served.asked == []


def test_an_expired_root_can_be_begun_with_and_followed(tmp_path: Path) -> None:
    repository = TufSimulator()
    repository.root.expires = in_days(-1)
    old = repository.publish_root()
    repository.root.expires = in_days(30)
    repository.publish_root()
    with client_of(tmp_path, repository, init=False) as client:
        assert client.init(old) == 0
        assert client.refresh() == 0
        assert client.version("root") == 3


def test_targets_are_fetched_by_any_listed_hash_and_not_again(tmp_path: Path) -> None:
    repository = TufSimulator()
    first = repository.add("targets", "dir/sub/a b.img", b"content", "sha512")
    repository.add("targets", "b.img", b"other", "sha256", "sha512")
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        assert client.download("dir/sub/a b.img", "b.img") == 0
        asked = [name for name in client.served.asked if name.startswith("targets/")]
        assert asked[0] == f"targets/dir/sub/{first.hashes['sha512']}.a%20b.img"
        assert len(asked) == 2
        assert client.downloaded() == {"dir%2Fsub%2Fa%20b.img": b"content", "b.img": b"other"}
        client.served.asked.clear()
        assert client.download("b.img", "dir/sub/a b.img") == 0
        assert [name for name in client.served.asked if name.startswith("targets/")] == []
        (client.downloads / "b.img").write_bytes(b"changed")
        assert client.download("b.img") == 0
        assert client.downloaded()["b.img"] == b"other"


def test_several_targets_come_in_order_until_the_first_failure(tmp_path: Path) -> None:
    repository = TufSimulator()
    for name in "abc":
        repository.add("targets", name, name.encode())
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        assert client.download("c", "missing", "a") == 1
        assert client.downloaded() == {"c": b"c"}
        assert client.served.asked.count("metadata/timestamp.json") == 1


@pytest.mark.parametrize("served", [b"malicious", b"content and more", b"conten", b""])
def test_another_content_is_not_stored_and_nothing_is_left_of_it(tmp_path: Path, served: bytes) -> None:
    repository = TufSimulator()
    file = repository.add("targets", "a.img", b"content")
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        repository.files[f"targets/{file.hashes['sha256']}.a.img"] = served
        assert client.download("a.img") == 1
        assert client.downloaded() == {}
        repository.files[f"targets/{file.hashes['sha256']}.a.img"] = b"content"
        assert client.download("a.img") == 0
        repository.files[f"targets/{file.hashes['sha256']}.a.img"] = served
        assert client.download("a.img") == 0
        assert client.downloaded() == {"a.img": b"content"}


def test_a_target_that_the_server_lacks_is_a_failure(tmp_path: Path) -> None:
    repository = TufSimulator()
    file = repository.add("targets", "a.img", b"content")
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        for status in (404, 500):
            client.served.statuses[f"targets/{file.hashes['sha256']}.a.img"] = status
            assert client.download("a.img") == 1
            assert client.downloaded() == {}


@pytest.mark.parametrize("path", ["../outside", "/absolute", "a//b", ".", ".."])
def test_a_target_whose_name_leaves_its_folder_is_not_fetched(tmp_path: Path, path: str) -> None:
    repository = TufSimulator()
    repository.add("targets", path, b"content")
    repository.add("targets", "good", b"good")
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        assert client.download(path) == 1
        assert client.downloaded() == {}
        assert client.download("good") == 0
    assert {file.name for file in tmp_path.iterdir()} == {"metadata", "downloads", "trusted_root.json"}


def test_a_symbolic_link_in_the_place_of_a_target_is_not_followed(tmp_path: Path) -> None:
    repository = TufSimulator()
    repository.add("targets", "a.img", b"content")
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        (tmp_path / "outside").write_bytes(b"untouched")
        (client.downloads / "a.img").symlink_to(tmp_path / "outside")
        assert client.download("a.img") == 1
        assert (tmp_path / "outside").read_bytes() == b"untouched"


def test_what_a_crash_left_is_tidied_and_a_target_cannot_be_called_so(tmp_path: Path) -> None:
    repository = TufSimulator()
    leftover = ".new-0123456789abcdef"
    repository.add("targets", leftover, b"content")
    repository.add("targets", "a.img", b"content")
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        (client.downloads / leftover).write_bytes(b"half")
        (client.metadata / leftover).write_bytes(b"half")
        assert client.download("a.img", leftover) == 1
        assert client.downloaded() == {"a.img": b"content"}
        assert not (client.metadata / leftover).exists()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("frobnicate",),
        ("init",),
        ("init", "file"),
        ("refresh",),
        ("--metadata-dir", "DIR", "refresh"),
        ("--metadata-dir", "DIR", "--metadata-url", "http://127.0.0.1/", "download"),
        ("--metadata-dir", "DIR", "init", "DIR/no_such_file"),
        ("--metadata-dir", "DIR", "--metadata-url", "no url", "refresh"),
        *(("--metadata-dir", "DIR", "--metadata-url", url, "refresh") for url in BAD_URLS),
        ("--no-such-option", "refresh"),
    ],
)
def test_every_failure_ends_with_1(tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = tuf_client.main([word.replace("DIR", str(tmp_path)) for word in words])
    except SystemExit as end:
        code = end.code
    assert code == 1
    assert capsys.readouterr().err


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_cannot_be_used_is_told_after_init_too(tmp_path: Path, url: str) -> None:
    with client_of(tmp_path, TufSimulator()) as client:
        words = ["--metadata-dir", str(client.metadata), "--metadata-url", url, "refresh"]
        assert tuf_client.main(words) == 1


def test_the_program_works_as_a_process_with_its_own_clock(tmp_path: Path) -> None:
    repository = TufSimulator()
    repository.add("targets", "a.img", b"content")
    repository.publish("targets")
    executable = Path(sys.executable).with_name("uptane-tuf-client")
    with client_of(tmp_path, repository, init=False) as client:
        root = tmp_path / "first.json"
        root.write_bytes(repository.files["metadata/1.root.json"])
        for words in (
            ["--metadata-dir", str(client.metadata), "init", str(root)],
            [*client.options(), "refresh"],
            [*client.options("a.img"), "download"],
        ):
            answer = subprocess.run([str(executable), *words], capture_output=True, text=True, check=False)
            assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
        assert client.downloaded() == {"a.img": b"content"}
        repository.timestamp.expires = in_days(-1)
        repository.publish_timestamp()
        answer = subprocess.run([executable, *client.options(), "refresh"], capture_output=True, text=True, check=False)
        assert answer.returncode == 1
        assert answer.stderr.startswith("uptane-tuf-client: ") and answer.stderr.count("\n") == 1
        assert client.version("timestamp") == 2


def test_two_processes_do_not_mix_their_files(tmp_path: Path) -> None:
    with client_of(tmp_path, TufSimulator()) as client:
        with TrustedMetadata(client.metadata):
            assert client.refresh() == 1
        assert client.refresh() == 0


LISTED = "print(*sorted(set(sys.modules) - before), sep='\\n', file=sys.stderr)"
STARTING = "import sys; before = set(sys.modules)\nfrom uptane.cli.tuf_client import main\n"


def test_help_costs_the_parser_alone() -> None:
    answer = program("--help", code=f"{STARTING}try: main()\nfinally: {LISTED}")
    assert answer.returncode == 0
    loaded = {name.partition(".")[0] for name in answer.stderr.split()}
    assert loaded - sys.stdlib_module_names == {"uptane"}


def test_a_command_costs_no_server_and_no_other_command_line(tmp_path: Path) -> None:
    words = ("--metadata-dir", str(tmp_path), "--metadata-url", "http://127.0.0.1:1", "refresh")
    answer = program(*words, code=f"{STARTING}code = main(); {LISTED}; sys.exit(code)")
    assert answer.returncode == 1
    modules = [name for name in answer.stderr.split() if not name.startswith("uptane-")]
    packages = {name.partition(".")[0] for name in modules}
    assert "httpx2" in packages
    assert packages & {"cyclopts", "rich", "uvicorn", "starlette", "sqlalchemy", "asyncio", "tuf"} == set()
    rooms = {name.split(".")[1] for name in modules if name.startswith("uptane.")}
    assert rooms == {"assembly", "cli", "formats", "metadata", "storage", "transport", "verification"}
