"""Update cycles of a Primary that change nothing, over loopback, with real folders."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figure import Figure
from bench.rounds import Program, Rounds, take_turns
from bench.services import IMAGE_BYTES, services
from uptane.assembly.vehicle import EcuFolder, connect_primary
from uptane.demonstration.desk import Desk
from uptane.demonstration.factory import make_ecu
from uptane.demonstration.settings import DEFAULT_PRIMARY, DEFAULT_VEHICLE, Settings
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.primary import Primary
from uptane.verification.full_verification import AskImageRepositories, full_verification
from uptane.verification.match_images import EcuFacts
from uptane.verification.steps import run

FORMATS = ("der", "json")


def cycles(rounds: Rounds) -> list[Figure]:
    """The metadata part, and all seven steps: (d) and (e)."""
    return [figure for name in FORMATS for figure in _cycles(name, rounds)]


def verification(rounds: Rounds) -> list[Figure]:
    """Full verification of both repositories without a network, beside its signatures and hashes alone."""
    return [figure for name in FORMATS for figure in _verification(name, rounds)]


@contextmanager
def _primary(format_name: str) -> Iterator[Primary]:
    """A Primary that has installed its image, with its services."""
    # In the working folder, not in a temporary one: that might be in memory, where fsync costs nothing.
    with TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as name, services(format_name, Path(name)) as settings:
        yield _installed(settings, EcuFolder(path=Path(name) / "primary"))


def _installed(settings: Settings, folder: EcuFolder) -> Primary:
    folder.path.mkdir()
    made = make_ecu(settings, folder, vehicle=DEFAULT_VEHICLE, ecu=DEFAULT_PRIMARY, image_name="factory.img")
    primary = connect_primary(
        made.memory,
        Desk(settings).signer("primary"),
        made.slots,
        director_url=settings.url(settings.ports.director_calls),
        timeserver_url=settings.url(settings.ports.timeserver),
        ask=AskImageRepositories.IN_EVERY_CYCLE,
    )
    if primary.update_cycle().installed is None:
        raise RuntimeError("the Primary has installed nothing")
    return primary


def _cycles(format_name: str, rounds: Rounds) -> list[Figure]:
    with _primary(format_name) as primary:
        bare = _signatures(primary.memory)
        programs: dict[str, Program] = {
            "metadata": primary.verify_metadata,
            "cycle": primary.update_cycle,
            "bare": bare,
        }
        every = take_turns(programs, rounds.count)
        times = {name: rounds.judge(values) for name, values in every.items()}
        count = _fsyncs(primary.update_cycle)
        one_sync = _one_replacement(Path.cwd())
    return [
        Figure(
            what=f"(d) {format_name}: metadata part of a cycle that changes nothing",
            ours=times["metadata"],
            other=times["bare"],
            other_name="its signatures and hashes",
            most=8.0,
        ),
        Figure(
            what=f"(e) {format_name}: all seven steps, an image of {IMAGE_BYTES:,} bytes hashed again, {count} fsyncs",
            ours=times["cycle"],
            other=one_sync,
            other_name="one file replaced durably (2 fsyncs)",
            most=20.0,
        ),
        Figure(
            what=f"{format_name}: the quickest of those cycles, whose fsyncs waited for nobody",
            ours=min(every["cycle"]),
        ),
    ]


def _signatures(memory: EcuMemory) -> Program:
    """The signatures and hashes of both repositories alone, over bytes and keys that are there."""
    checks: list[Callable[[], object]] = []
    for repository in memory.repositories:
        checks += _of_repository(memory, repository)

    def run_all() -> None:
        for check in checks:
            if not check():
                raise ValueError("not what was signed")

    return run_all


def _of_repository(memory: EcuMemory, repository: RepositoryName) -> list[Callable[[], object]]:
    form, held = memory.profile.format, memory.held(repository)
    root = form.decode(Root, held.root)
    timestamp = form.decode(Timestamp, held.files[Role.TIMESTAMP])
    snapshot = form.decode(Snapshot, held.files[Role.SNAPSHOT])
    targets = form.decode(Targets, held.files[Role.TARGETS])
    found: list[Callable[[], object]] = []
    for role, envelope in zip(Role, (root, timestamp, snapshot, targets), strict=True):
        key = root.payload.keys[root.payload.roles[role].key_ids[0]]
        signature, message = envelope.signatures[0].value, envelope.message
        found.append(partial(key.verify, signature, message))
    for file, raw in (
        (timestamp.payload.snapshot, snapshot.raw),
        (next(iter(snapshot.payload.files.values())), targets.raw),
    ):
        if file.digests is not None:
            found.append(partial(file.digests.matches, raw))
    return found


def _fsyncs(program: Program) -> int:
    calls, fsync = 0, os.fsync

    def counted(file: int) -> None:
        nonlocal calls
        calls += 1
        fsync(file)

    os.fsync = counted  # type: ignore[assignment]
    try:
        program()
    finally:
        os.fsync = fsync
    return calls


def _one_replacement(folder: Path) -> float:
    """Milliseconds to write 4 KB, fsync, rename, and fsync the folder: what the disk costs without us."""
    times = []
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(31):
            started = time.perf_counter()
            file = os.open(".bench-file.new", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=descriptor)
            os.write(file, b"x" * 4096)
            os.fsync(file)
            os.close(file)
            os.rename(".bench-file.new", ".bench-file", src_dir_fd=descriptor, dst_dir_fd=descriptor)
            os.fsync(descriptor)
            times.append((time.perf_counter() - started) * 1000)
        os.unlink(".bench-file", dir_fd=descriptor)
    finally:
        os.close(descriptor)
    return statistics.median(times)


class _Published:
    """Files of both repositories by name, and nowhere to keep anything: nothing changes."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """A file."""
        return self._files.get(f"{repository}/{name}")

    def keep(self, step: object) -> None:
        """Never called."""
        raise AssertionError("nothing was to change")

    commit = keep


def _verification(format_name: str, rounds: Rounds) -> list[Figure]:
    with _primary(format_name) as primary:
        memory = primary.memory
        known = memory.known_repositories(memory.state.time)
        timestamp = memory.profile.metadata_name(Role.TIMESTAMP)
        files = {f"{name}/{timestamp}": known[name].held.files[Role.TIMESTAMP] for name in known}
        offline = _Published(files)

        def verify() -> object:
            procedure = full_verification(
                repository_map=memory.map,
                repositories=known,
                ecus={memory.ecu: EcuFacts(is_self=True)},
                knows_whole_vehicle=True,
            )
            return run(procedure, offline, offline)

        times = rounds.of({"ours": verify, "bare": _signatures(memory)}, repeat=5)
    return [
        Figure(
            name=f"{format_name}_verification_to_bare",
            what=f"{format_name}: full verification of both repositories without a network",
            ours=times["ours"],
            other=times["bare"],
            other_name="its signatures and hashes",
        )
    ]
