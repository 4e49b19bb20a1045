"""Targets files of 1,000 and of 100,000 images: read by us and by `tuf`, and written and read in DER."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tuf.api.metadata import Metadata
from tuf.api.metadata import Root as TufRoot
from tuf.api.metadata import Targets as TufTargets

from bench.figure import Figure
from bench.memory import peak_megabytes
from bench.rounds import Program, Rounds
from bench.samples import Repository, image_path, repository
from uptane.formats.profile import Format
from uptane.formats.profiles import PROFILES
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import Targets
from uptane.signing.sign import sign
from uptane.verification.threshold import check_threshold

JSON = PROFILES["json"].format


def ours(form: Format, root_raw: bytes, raw: bytes, wanted: str) -> Program:
    """Decodes strictly, verifies the signature under the Root, and looks one image up."""
    root = form.decode(Root, root_raw).payload
    path = image_path(int(wanted))

    def read() -> object:
        envelope = form.decode(Targets, raw)
        check_threshold(envelope, root.keys, root.roles[Role.TARGETS], repository="bench", role=Role.TARGETS)
        return envelope.payload.images[path].file.digests

    return read


def theirs(root_raw: bytes, raw: bytes, wanted: str) -> Program:
    """The same with `tuf`, in the way of its own client (`tuf.ngclient`, `_load_from_metadata`)."""
    root: Any = Metadata[TufRoot].from_bytes(root_raw).signed
    path = str(image_path(int(wanted)))

    def read() -> object:
        metadata = Metadata[TufTargets].from_bytes(raw)
        if metadata.signed.type != "targets":
            raise ValueError("not Targets")
        root.verify_delegate("targets", metadata.signed_bytes, metadata.signatures)
        return metadata.signed.targets[path].hashes

    return read


def bare(made: Repository, name: str, form: Format) -> tuple[Program, Program]:
    """The one signature over a Targets file of ours: verified, and made."""
    envelope = form.decode(Targets, made.files[name])
    signer, signature = made.signers[Role.TARGETS], envelope.signatures[0].value

    def verify() -> None:
        if not signer.key.verify(signature, envelope.message):
            raise ValueError("not signed")

    return verify, lambda: signer.sign(envelope.message)


def small_json(rounds: Rounds) -> list[Figure]:
    """1,000 images in JSON: (a)."""
    made = repository("json", 1_000)
    root, raw = made.files["root.json"], made.files["targets.json"]
    verify, _ = bare(made, "targets.json", JSON)
    times = rounds.of({"ours": ours(JSON, root, raw, "7"), "tuf": theirs(root, raw, "7"), "bare": verify}, repeat=5)
    return [
        Figure(
            name="json_1000_to_tuf",
            what=f"(a) JSON, 1,000 images ({len(raw):,} bytes): verify, decode, look one up",
            ours=times["ours"],
            other=times["tuf"],
            other_name="tuf",
            most_ratio=1 / 5,
        ),
        Figure(
            name="json_1000_to_bare",
            what="the same, beside the bare signature check of the same bytes",
            ours=times["ours"],
            other=times["bare"],
            other_name="Ed25519 verify",
        ),
    ]


def large_json_time(rounds: Rounds) -> list[Figure]:
    """100,000 images in JSON, the time: (b)."""
    made = repository("json", 100_000)
    root, raw = made.files["root.json"], made.files["targets.json"]
    times = rounds.of({"ours": ours(JSON, root, raw, "77777"), "tuf": theirs(root, raw, "77777")})
    return [
        Figure(
            name="json_100000_to_tuf",
            what=f"(b) JSON, 100,000 images ({len(raw):,} bytes): verify, decode, look one up",
            ours=times["ours"],
            other=times["tuf"],
            other_name="tuf",
            most_ratio=1 / 5,
        )
    ]


def large_json_memory(rounds: Rounds) -> list[Figure]:
    """100,000 images in JSON, the memory: (b)."""
    made = repository("json", 100_000)
    with TemporaryDirectory() as folder:
        for name in ("root.json", "targets.json"):
            (Path(folder) / name).write_bytes(made.files[name])
        peaks = {who: peak_megabytes(who, Path(folder)) for who in ("ours", "tuf")}  # always the same, so once
    return [
        Figure(
            name="json_100000_memory_to_tuf",
            what="(b) the same, memory of a whole process at its peak",
            ours=peaks["ours"].whole,
            other=peaks["tuf"].whole,
            other_name="tuf",
            unit="MB",
            most_ratio=1 / 2,
        ),
        Figure(
            name="json_100000_added_memory_to_tuf",
            what="(b) the same, above what the process had after its imports",
            ours=peaks["ours"].added,
            other=peaks["tuf"].added,
            other_name="tuf",
            unit="MB",
            most_ratio=1 / 2,
        ),
    ]


def der(rounds: Rounds) -> list[Figure]:
    """1,000 images in DER, both ways: (c)."""
    made, profile = repository("der", 1_000), PROFILES["der"]
    root, raw = made.files["root.der"], made.files["targets.der"]
    verify, make = bare(made, "targets.der", profile.format)
    payload = _eager(profile.format, raw)

    def encode() -> object:
        return sign(profile, payload, [made.signers[Role.TARGETS]])

    times = rounds.of(
        {"decode": ours(profile.format, root, raw, "7"), "verify": verify, "encode": encode, "sign": make}, repeat=5
    )
    return [
        Figure(
            name="der_1000_decode_to_bare",
            what=f"(c) DER, 1,000 images ({len(raw):,} bytes): verify, decode, look one up",
            ours=times["decode"],
            other=times["verify"],
            other_name="Ed25519 verify",
            most=9.0,
        ),
        Figure(
            name="der_1000_encode_to_bare",
            what="(c) DER, 1,000 images: encode and sign",
            ours=times["encode"],
            other=times["sign"],
            other_name="Ed25519 sign",
            most=9.0,
        ),
    ]


def _eager(form: Format, raw: bytes) -> Targets:
    """The payload with every entry as a value, as a publisher has it."""
    payload = form.decode(Targets, raw).payload
    return Targets(version=payload.version, expires=payload.expires, images=dict(payload.images))
