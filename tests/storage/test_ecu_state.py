"""The state of an ECU survives whatever happens between two writes, and damage is told, never taken for empty."""

import contextlib
import errno
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from failing_disk import CuttableLayer, FailingLayer

from uptane.metadata.errors import StorageError
from uptane.storage.ecu_state import INDEX, INLINE_LIMIT, OBJECTS, EcuStateFolder

SIZES = {"director/timestamp": 40, "director/targets": INLINE_LIMIT + 100, "imagerepo/targets": 30_000, "counter": 8}
ONLY_OF_EVEN = "imagerepo/role"


def generation(number: int) -> dict[str, bytes | None]:
    """A write whose every value tells its number; even generations have one name that odd ones remove."""
    changes: dict[str, bytes | None] = {name: f"{number:08}".encode() * (size // 8) for name, size in SIZES.items()}
    changes[ONLY_OF_EVEN] = b"%08d" % number * 1000 if number % 2 == 0 else None
    return changes


def stored_generation(store: EcuStateFolder) -> int:
    """The number of the generation that is stored, which is complete; -1 for the empty store."""
    if not store.names(""):
        return -1
    counter = store.read("counter")
    assert counter is not None
    number = int(counter)
    for name, value in generation(number).items():
        assert store.read(name) == value, name
    return number


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.standard("STD-5.4.2.6-5")
def test_what_was_written_is_there_at_the_next_opening(tmp_path: Path) -> None:
    with EcuStateFolder(tmp_path / "ecu") as store:
        assert stored_generation(store) == -1
        store.write(generation(1))
    with EcuStateFolder(tmp_path / "ecu") as store:
        assert stored_generation(store) == 1


def test_a_write_of_small_values_costs_two_fsyncs_and_one_that_changes_nothing_none(tmp_path: Path) -> None:
    layer = FailingLayer(10**9)
    with EcuStateFolder(tmp_path, layer=layer) as store:
        layer.operations.clear()
        store.write({"a": b"1", "b": b"2", "c": None})
        assert layer.operations.count("fsync") == 2
        layer.operations.clear()
        store.write({"a": b"1", "c": None})
        assert "fsync" not in layer.operations
        store.write({"large": bytes(INLINE_LIMIT + 1)})
        layer.operations.clear()
        store.write({"large": bytes(INLINE_LIMIT + 1), "copy": bytes(INLINE_LIMIT + 1)})
        assert layer.operations.count("fsync") == 2


def test_objects_that_nothing_names_any_more_are_removed(tmp_path: Path) -> None:
    with EcuStateFolder(tmp_path) as store:
        for number in range(4):
            store.write(generation(number))
        assert len(list((tmp_path / OBJECTS).iterdir())) == 2
        store.write(dict.fromkeys(store.names("")))
    assert files(tmp_path) == {INDEX}


def test_everything_belongs_to_its_owner_alone_even_under_an_open_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with EcuStateFolder(tmp_path / "ecu") as store:
            store.write(generation(0))
    finally:
        os.umask(before)
    for path in (tmp_path / "ecu", *(tmp_path / "ecu").rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_second_process_is_refused_until_the_first_one_closes(tmp_path: Path) -> None:
    code = "import sys, pathlib, uptane.storage.ecu_state as e\ne.EcuStateFolder(pathlib.Path(sys.argv[1]))"
    with EcuStateFolder(tmp_path) as store:
        store.write(generation(1))
        with pytest.raises(StorageError, match="in use by another process") as refused:
            EcuStateFolder(tmp_path)
        assert "Stop that one" in refused.value.next_step
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        assert "in use by another process" in other.stderr
        assert stored_generation(store) == 1
    with EcuStateFolder(tmp_path) as store:
        assert stored_generation(store) == 1


def test_a_store_that_was_forgotten_unclosed_lets_go_of_its_folder(tmp_path: Path) -> None:
    EcuStateFolder(tmp_path).write({"a": b"1"})
    with EcuStateFolder(tmp_path) as store:
        assert store.read("a") == b"1"


def test_a_closed_store_refuses(tmp_path: Path) -> None:
    store = EcuStateFolder(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StorageError, match="was closed"):
        store.write({"a": b"1"})


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("for_ever", [False, True])
def test_a_write_that_fails_at_any_operation_changes_nothing(tmp_path: Path, number: int, for_ever: bool) -> None:
    for fail_at in range(1, 200):
        root = tmp_path / str(fail_at)
        with EcuStateFolder(root) as store:
            store.write(generation(1))
        layer = FailingLayer(10**9, number, for_ever=for_ever)
        store = EcuStateFolder(root, layer=layer)
        layer.fail_at = len(layer.operations) + fail_at
        expected = 2
        with contextlib.suppress(StorageError):
            expected = 1
            store.write(generation(2))
            expected = 2
        failed = layer.has_failed
        layer.fail_at, layer.for_ever = 10**9, False
        assert stored_generation(store) == expected
        store.close()
        with EcuStateFolder(root) as store:
            # Where even putting the old index back failed, the new one is there: whole, as after a power cut.
            assert stored_generation(store) == expected or (for_ever and stored_generation(store) == 2)
            kept = len(list((root / OBJECTS).iterdir()))
            assert kept == (3 if stored_generation(store) == 2 else 2)
            assert not [name for name in files(root) if ".new-" in name]
            store.write(generation(3))
            assert stored_generation(store) == 3
        if not failed:
            return
    pytest.fail("never came to the end of a write")


def test_the_store_goes_on_after_a_write_that_failed(tmp_path: Path) -> None:
    for fail_at in range(1, 200):
        layer = FailingLayer(10**9)
        with EcuStateFolder(tmp_path / str(fail_at), layer=layer) as store:
            store.write(generation(1))
            layer.fail_at = len(layer.operations) + fail_at
            with contextlib.suppress(StorageError):
                store.write(generation(2))
            failed = layer.has_failed
            layer.fail_at = 10**9
            store.write(generation(4))
            assert stored_generation(store) == 4
        with EcuStateFolder(tmp_path / str(fail_at)) as store:
            assert stored_generation(store) == 4
            assert len(list((tmp_path / str(fail_at) / OBJECTS).iterdir())) == 3
        if not failed:
            return
    pytest.fail("never came to the end of a write")


def test_an_opening_that_fails_at_any_operation_loses_nothing(tmp_path: Path) -> None:
    for new in (True, False):
        for fail_at in range(1, 200):
            root = tmp_path / f"{new}-{fail_at}"
            if not new:
                with EcuStateFolder(root) as store:
                    store.write(generation(1))
                (root / ".new-0123").write_bytes(b"left by a crash")
                (root / OBJECTS / ("0" * 64)).write_bytes(b"left by a crash")
            layer = FailingLayer(fail_at)
            with contextlib.suppress(StorageError):
                EcuStateFolder(root, layer=layer).close()
            with EcuStateFolder(root) as store:
                assert stored_generation(store) == (-1 if new else 1)
                assert not [name for name in files(root) if ".new-" in name or "0" * 64 in name]
            if not layer.has_failed:
                break
        else:
            pytest.fail("never came to the end of an opening")


@pytest.mark.standard("STD-5.4.2.6-5", "STD-5.4.4-5")
def test_the_power_fails_at_any_operation_and_one_generation_is_there(tmp_path: Path) -> None:
    chance = random.Random(20261124)
    root = tmp_path / "ecu"
    root.mkdir()
    layer = CuttableLayer(root)
    certain, cuts = -1, 0

    def cut() -> None:
        nonlocal cuts
        for _ in range(2):
            cuts += 1
            found = tmp_path / f"cut-{cuts}"
            layer.after_power_cut(found, chance)
            with EcuStateFolder(found) as survivor:
                assert stored_generation(survivor) in (certain, certain + 1)
                survivor.write(generation(77))
                assert stored_generation(survivor) == 77

    store = EcuStateFolder(root, layer=layer)
    layer.after_each = cut
    for number in range(4):
        store.write(generation(number))
        certain = number
    layer.after_each = lambda: None
    store.close()
    assert cuts > 100


WRITER = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from test_ecu_state import EcuStateFolder, generation, stored_generation
with EcuStateFolder(pathlib.Path(sys.argv[1])) as store:
    number = stored_generation(store)
    print("open", number, flush=True)
    while True:
        number += 1
        store.write(generation(number))
        print(number, flush=True)
"""


@pytest.mark.standard("STD-5.4.2.6-5")
@pytest.mark.slow
def test_an_ecu_killed_at_random_moments_always_finds_one_complete_generation(tmp_path: Path) -> None:
    chance = random.Random(2026)
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parent / "support"), os.environ.get("PYTHONPATH", "")])
    last = -1
    for _ in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "ecu"), str(here)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert writer.stdout is not None
        with writer, writer.stdout as progress:
            assert progress.readline() == f"open {last}\n"
            acknowledged = last
            for _ in range(chance.randrange(1, 12)):
                acknowledged = int(progress.readline())
            time.sleep(chance.random() / 200)  # a random moment within the next writes
            writer.kill()
            acknowledged = max([acknowledged, *(int(line) for line in progress if line.endswith("\n"))])
        with EcuStateFolder(tmp_path / "ecu") as store:
            last = stored_generation(store)
            assert last in (acknowledged, acknowledged + 1)
            assert not [name for name in files(tmp_path) if ".new-" in name]
            assert len(list((tmp_path / "ecu" / OBJECTS).iterdir())) == (3 if last % 2 == 0 else 2)
    assert last >= 20


LIMITED = """
import pathlib, resource, sys
from uptane.metadata.errors import StorageError
from uptane.storage.ecu_state import EcuStateFolder
with EcuStateFolder(pathlib.Path(sys.argv[1])) as store:
    store.write({"small": b"old", "large": b"old" * 5000})
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        store.write({"small": b"new", "large": b"new" * 50_000})
    except StorageError as error:
        print(error)
    assert (store.read("small"), store.read("large")) == (b"old", b"old" * 5000)
    store.write({"small": b"newer"})
"""


def test_a_real_limit_of_the_operating_system_changes_nothing_and_the_next_good_write_succeeds(tmp_path: Path) -> None:
    child = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert "File too large" in child.stdout
    with EcuStateFolder(tmp_path) as store:
        assert store.read("small") == b"newer"
        assert store.read("large") == b"old" * 5000
    assert len(files(tmp_path)) == 2


def damage_index(root: Path, raw: bytes | None) -> None:
    (root / INDEX).unlink() if raw is None else (root / INDEX).write_bytes(raw)


@pytest.mark.standard("STD-5.4.4.3-1")
def test_a_damaged_index_is_told_by_name_and_never_taken_for_an_empty_store(tmp_path: Path) -> None:
    with EcuStateFolder(tmp_path) as store:
        store.write(generation(1))
    good = (tmp_path / INDEX).read_bytes()
    fields = json.loads(good)
    inner = json.dumps({"values": {}, "objects": {"a": "../../x"}}).encode()
    escaping = b'{"format":1,"sha256":"%s","contents":%s}' % (hashlib.sha256(inner).hexdigest().encode(), inner)
    flipped = good.replace(b"00000001", b"00000002").replace(b"MDAwMDAwMDE", b"MDAwMDAwMDI")
    assert flipped != good
    for raw in (
        *(None, b"", good[:-1], good + b"x", b"null", b"\xff", b"[]", b"{}", flipped, escaping),
        json.dumps({**fields, "format": 2}).encode(),
        json.dumps({**fields, "unknown": 2}).encode(),
        json.dumps({**fields, "contents": {"values": {}, "objects": {}}}).encode(),
    ):
        damage_index(tmp_path, raw)
        with pytest.raises(StorageError, match=INDEX) as refused:
            EcuStateFolder(tmp_path)
        assert refused.value.facts["path"] == str(tmp_path / INDEX)
        assert "provision the ECU again" in refused.value.next_step
    damage_index(tmp_path, good)
    with EcuStateFolder(tmp_path) as store:
        assert stored_generation(store) == 1


@pytest.mark.parametrize("damage", ["flipped", "shorter", "missing", "link"])
def test_a_damaged_object_is_told_by_name_and_can_be_written_again(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "ecu"
    with EcuStateFolder(root) as store:
        store.write({"large": b"x" * 10_000, "small": b"fine"})
        [object_file] = (root / OBJECTS).iterdir()
        data = object_file.read_bytes()
        object_file.unlink()
        if damage == "flipped":
            object_file.write_bytes(b"y" + data[1:])
        elif damage == "shorter":
            object_file.write_bytes(data[:-1])
        elif damage == "link":
            (tmp_path / "outside").write_bytes(data)
            object_file.symlink_to(tmp_path / "outside")
        with pytest.raises(StorageError, match=object_file.name):
            store.read("large")
        assert store.read("small") == b"fine"
        if damage != "link":
            store.write({"large": b"x" * 10_000})
            assert store.read("large") == b"x" * 10_000


def test_readers_in_other_threads_always_see_one_generation_of_a_value(tmp_path: Path) -> None:
    with EcuStateFolder(tmp_path) as store:
        store.write(generation(0))
        done = threading.Event()
        wrong: list[bytes | None] = []

        def watch() -> None:
            while not done.is_set():
                value = store.read("imagerepo/targets")
                if value is None or value != value[:8] * (SIZES["imagerepo/targets"] // 8):
                    wrong.append(value)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(1, 50):
            store.write(generation(number))
        done.set()
        watcher.join()
        assert not wrong
