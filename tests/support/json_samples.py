"""The rich values of every kind as JSON carries them: their extensions hold canonical JSON."""

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import der_samples
from msgspec import Struct, structs

from uptane.formats.canonical_json import canonical
from uptane.formats.json_format import JSON
from uptane.formats.profile import Payload
from uptane.metadata.envelope import Envelope
from uptane.metadata.extensions import Extensions


def for_json(value: Any) -> Any:
    """The value with each extension's bytes in hexadecimal, and each report within it signed as JSON."""
    if isinstance(value, Extensions):
        return Extensions(tuple((name, canonical({"hex": [raw.hex(), len(raw)]})) for name, raw in value))
    if isinstance(value, Envelope):
        payload = for_json(value.payload)
        return JSON.decode(type(payload), JSON.assemble(JSON.encode(payload), value.signatures))
    if isinstance(value, Mapping):
        return {name: for_json(entry) for name, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(map(for_json, value))
    if isinstance(value, Struct):
        parts = {name: for_json(part) for name, part in structs.asdict(value).items()}
        return structs.replace(value, **parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        changed = {name: for_json(getattr(value, name)) for name in fields}
        return dataclasses.replace(value, **changed)
    return value


@lru_cache(maxsize=1)
def payloads() -> dict[str, Payload]:
    """Every signed kind by its name."""
    return {name: for_json(payload) for name, payload in der_samples.payloads().items()}


def signed(payload: Payload) -> bytes:
    """The whole signed object in JSON, with made-up signatures."""
    return JSON.assemble(JSON.encode(payload), der_samples.signatures(payload))


def decode(payload: Payload, raw: bytes) -> Envelope[Payload]:
    """`raw`, taken for an object of the payload's kind."""
    return JSON.decode(type(payload), raw)  # type: ignore[type-var]
