"""Every place where bytes from outside become values, each with genuine bytes to begin with."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import der_samples
import json_samples
import pouf1_samples

from uptane.formats.plain_tuf import PLAIN_TUF
from uptane.formats.profile import Format, Payload
from uptane.formats.profiles import PROFILES, recognised
from uptane.formats.xmlrpc import decode_call, decode_response, encode_call, encode_fault, encode_response
from uptane.metadata.root import Common
from uptane.metadata.targets import Targets
from uptane.vehicle.distribution import Bundle, pack
from uptane.vehicle.ecu_state import EcuState


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A decoder under test.

    Args:
        name: such as `der targets`.
        decode: takes the bytes; whatever is lazy in its result is looked up.
        seeds: genuine inputs.
    """

    name: str
    decode: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def decoders() -> list[Decoder]:
    """All of them."""
    return [*_metadata(), *_calls(), *_vehicle()]


def _metadata() -> Iterator[Decoder]:
    signed: dict[str, dict[str, tuple[Payload, bytes]]] = {
        "der": {name: (value, der_samples.signed(value)) for name, value in der_samples.payloads().items()},
        "json": {name: (value, json_samples.signed(value)) for name, value in json_samples.payloads().items()},
    }
    for name in ("pouf1", "pouf1-json"):
        wire = PROFILES[name].format
        signed[name] = {
            kind: (value, pouf1_samples.sign(wire, value)) for kind, value in pouf1_samples.payloads(wire).items()
        }
    for name, samples in signed.items():
        wire = PROFILES[name].format
        for kind, (payload, raw) in samples.items():
            yield Decoder(name=f"{name} {kind}", decode=_decode(wire, type(payload)), seeds=(raw,))
        keys = der_samples.all_kinds_of_keys() if name in ("der", "json") else (pouf1_samples.public_key(1),)
        yield Decoder(name=f"{name} key", decode=wire.decode_key, seeds=tuple(wire.encode_key(key) for key in keys))
        repository_map = json_samples.for_json(der_samples.repository_map()) if name != "der" else None
        raw_map = wire.encode_map(repository_map or der_samples.repository_map())
        yield Decoder(name=f"{name} map", decode=wire.decode_map, seeds=(raw_map,))
    for kind, (payload, raw) in signed["json"].items():
        if isinstance(payload, Common):
            yield Decoder(name=f"tuf {kind}", decode=_decode(PLAIN_TUF.format, type(payload)), seeds=(raw,))
    every = tuple(raw for samples in signed.values() for _, raw in samples.values())
    yield Decoder(name="recognition of a format", decode=recognised, seeds=every)


def _decode(wire: Format, kind: type[Any]) -> Callable[[bytes], object]:
    def decode(raw: bytes) -> object:
        payload = wire.decode(kind, raw).payload
        return [payload.images[path] for path in payload.images] if isinstance(payload, Targets) else payload

    return decode


def _calls() -> Iterator[Decoder]:
    manifest = {"signed": {"vin": "democar", "counter": 3, "reports": [b"\0\1", True, None]}}
    call = encode_call("submit_vehicle_manifest", ["democar", "INFOdemocar", manifest])
    yield Decoder(name="xml-rpc call", decode=decode_call, seeds=(call,))
    answers = (encode_response([None, manifest]), encode_fault(1, "E-SIG: no."))
    yield Decoder(name="xml-rpc response", decode=decode_response, seeds=answers)


def _vehicle() -> Iterator[Decoder]:
    files = {f"director/{name}": der_samples.signed(value) for name, value in der_samples.payloads().items()}
    yield Decoder(name="bundle", decode=lambda raw: Bundle(raw, PROFILES["der"]), seeds=(pack(files), pack({})))
    report = der_samples.report()
    state = EcuState(
        counter=1,
        manifest_counter=2,
        time=report.time,
        previous_time=report.previous_time,
        nonce=3,
        installed=report.installed,
        release_counter=4,
        attacks=("seen",),
    )
    yield Decoder(name="state of an ECU", decode=EcuState.decode, seeds=(state.encode(),))
