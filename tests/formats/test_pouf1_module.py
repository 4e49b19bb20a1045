"""An independent codec, compiled from the archived wire's ASN.1 module, reads and writes the same bytes as the code."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asn1tools
import pouf1_plain
import pouf1_strategies
import pytest
from hypothesis import HealthCheck, given, settings
from pouf1_samples import decode, payloads, sign

from uptane.formats.pouf1.der import POUF1
from uptane.formats.profile import Payload
from uptane.metadata.vehicle_manifest import VehicleVersionManifest

SECONDS = 20
"""For one object: the other codec can hang on bytes of another type."""


@pytest.fixture(scope="module")
def oracle(shared: Path) -> Any:
    return asn1tools.compile_files([str(shared / "interop" / "pouf1" / "pouf1.asn1")], "der")


@contextmanager
def in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"not done in {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def same(oracle: Any, payload: Payload) -> None:
    raw = sign(POUF1, payload, 1, 2)
    envelope = decode(POUF1, payload, raw)
    inner = []
    if isinstance(payload, VehicleVersionManifest):
        inner = [pouf1_plain.signed_object(each.payload, each.signatures)[1] for each in payload.reports]
    name, tree = pouf1_plain.signed_object(payload, envelope.signatures, inner)
    with in_time():
        assert oracle.encode(name, tree) == raw
        assert oracle.decode(name, raw) == tree


@pytest.mark.parametrize("name", payloads(POUF1))
def test_the_module_of_the_archived_wire_writes_and_reads_the_bytes_of_a_sample(name: str, oracle: Any) -> None:
    same(oracle, payloads(POUF1)[name])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=pouf1_strategies.payloads(POUF1))
def test_the_module_of_the_archived_wire_writes_and_reads_the_bytes_of_any_value(payload: Payload, oracle: Any) -> None:
    same(oracle, payload)
