"""An independent codec, compiled from `docs/uptane.asn1`, reads and writes the same bytes as the code."""

from pathlib import Path
from typing import Any

import asn1tools
import der_plain
import der_samples
import pytest
from der_strategies import PAYLOADS
from hypothesis import given, settings

from uptane.formats.der_format import DER
from uptane.formats.profile import Payload

MODULE = Path(__file__).parents[2] / "docs" / "uptane.asn1"


@pytest.fixture(scope="module")
def oracle() -> Any:
    return asn1tools.compile_files([str(MODULE)], "der")


def same(oracle: Any, name: str, tree: dict[str, Any], raw: bytes) -> None:
    assert oracle.encode(name, tree) == raw
    assert oracle.decode(name, raw) == tree


@pytest.mark.standard("STD-5.2-1")
@pytest.mark.parametrize("kind", der_samples.payloads())
def test_the_module_writes_and_reads_the_bytes_of_a_signed(kind: str, oracle: Any) -> None:
    payload = der_samples.payloads()[kind]
    name, tree = der_plain.signed_object(payload, der_samples.signatures(payload))
    same(oracle, name, tree, der_samples.signed(payload))


def test_the_module_writes_and_reads_the_bytes_of_a_lone_key(oracle: Any) -> None:
    for key in der_samples.all_kinds_of_keys():
        same(oracle, "KeyFile", der_plain.key_file(key), DER.encode_key(key))


def test_the_module_writes_and_reads_the_bytes_of_a_repository_map(oracle: Any) -> None:
    value = der_samples.repository_map()
    same(oracle, "MapFile", der_plain.map_file(value), DER.encode_map(value))


@settings(deadline=None, max_examples=60)
@given(PAYLOADS)
def test_the_module_writes_and_reads_the_bytes_of_any_value(payload: Payload) -> None:
    name, tree = der_plain.signed_object(payload, ())
    same(COMPILED, name, tree, DER.assemble(DER.encode(payload), ()))


COMPILED = asn1tools.compile_files([str(MODULE)], "der")
