"""Every kind of signed object in JSON, and the check that a change of it is refused."""

import json
from typing import Any

import json_samples
import pytest

from uptane.metadata.errors import FormatError

PAYLOADS = json_samples.payloads()
KINDS = tuple(PAYLOADS)


def refused(kind: str, raw: bytes) -> FormatError:
    with pytest.raises(FormatError) as refusal:
        json_samples.decode(PAYLOADS[kind], raw)
    assert len(str(refusal.value)) < 500, "an error is for people"
    return refusal.value


def text_of(kind: str) -> str:
    return json_samples.signed(PAYLOADS[kind]).decode()


def signed_with(kind: str, **members: Any) -> bytes:
    value = json.loads(text_of(kind))
    value["signed"] |= members
    return json.dumps(value).encode()
