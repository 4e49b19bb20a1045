"""XML-RPC messages: what an attacker writes into them is refused, what we write comes back exactly."""

import xmlrpc.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uptane.formats.xmlrpc import (
    MAX_DEPTH,
    MAX_VALUES,
    Fault,
    Value,
    decode_call,
    decode_response,
    encode_call,
    encode_fault,
    encode_response,
)
from uptane.metadata.errors import FormatError

ALL_BYTES = bytes(range(256))

texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.binary() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def call(params: str, method: str = "<methodName>m</methodName>") -> bytes:
    return f"<?xml version='1.0'?><methodCall>{method}<params>{params}</params></methodCall>".encode()


def argument(value: str) -> bytes:
    return call(f"<param><value>{value}</value></param>")


@given(st.lists(values, max_size=4))
def test_arguments_come_back_as_they_were_sent(args: list[Value]) -> None:
    method, received = decode_call(encode_call("submit", args))
    assert method == "submit"
    assert list(received) == args
    assert [type(one) for one in received] == [type(one) for one in args]


def test_every_byte_comes_back_exactly() -> None:
    for length in (0, 1, 75, 76, 77, 256, 5000):
        raw = (ALL_BYTES * 20)[:length]
        assert decode_response(encode_response(raw)) == raw


@given(values)
def test_pythons_own_client_reads_what_we_write_and_we_read_what_it_writes(value: Value) -> None:
    (theirs,), _ = xmlrpc.client.loads(encode_response(value), use_builtin_types=True)
    assert theirs == value
    written = xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True).encode()
    assert decode_response(written) == value


def test_a_fault_is_handed_out_as_a_value() -> None:
    assert decode_response(encode_fault(7, "E-X: no <&> way")) == Fault(7, "E-X: no <&> way")


def test_a_fault_cannot_be_broken_by_characters_that_xml_forbids() -> None:
    assert decode_response(encode_fault(1, "nul \0 and \ud800")) == Fault(1, "nul ? and ?")


def test_a_billion_laughs_end_at_the_document_type() -> None:
    entities = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {n} "{f"&{p};" * 10}">' for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    bomb = f"<?xml version='1.0'?><!DOCTYPE x [{entities}]>".encode() + argument("&i;").partition(b"?>")[2]
    with pytest.raises(FormatError, match="document type"):
        decode_call(bomb)


@pytest.mark.parametrize(
    "prologue",
    [
        '<!DOCTYPE methodCall SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE m [<!ENTITY % x SYSTEM "http://127.0.0.1:1/"> %x;]>',
        "<?evil run?>",
    ],
)
def test_external_entities_and_instructions_are_refused(prologue: str) -> None:
    with pytest.raises(FormatError, match="document type"):
        decode_call(prologue.encode() + argument("&x;").partition(b"?>")[2])


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<array><data><value>", "</value></data></array>"),
        ("<struct><member><name>a</name><value>", "</value></member></struct>"),
    ],
)
def test_nesting_stops_at_the_limit(opening: str, closing: str) -> None:
    assert decode_call(argument(opening * MAX_DEPTH + closing * MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(FormatError, match="deep"):
            decode_call(argument(opening * depth + closing * depth))


def test_too_many_values_are_refused() -> None:
    with pytest.raises(FormatError, match="more than"):
        decode_call(argument(f"<array><data>{'<value/>' * MAX_VALUES}</data></array>"))


@pytest.mark.parametrize(
    "value",
    [
        "<int>2147483648</int>",
        "<int>-2147483649</int>",
        "<int>1_0</int>",
        "<int> 1</int>",
        "<int>\u0661</int>",
        "<int></int>",
        "<int>" + "9" * 5000 + "</int>",
        "<i8>1</i8>",
        "<double>1.5</double>",
        "<dateTime.iso8601>20260101T00:00:00</dateTime.iso8601>",
        "<boolean>2</boolean>",
        "<boolean>true</boolean>",
        "<base64>AAA</base64>",
        "<base64>A?AA</base64>",
        "<base64>AA==AA==</base64>",
        "<base64>\u00e4AAA</base64>",
        "<nil>x</nil>",
        "<int>1</int><int>2</int>",
        "text <int>1</int>",
        "<int>1</int> text",
        "<int a='b'>1</int>",
        "<x:int>1</x:int>",
        "<array></array>",
        "<array><data/><data/></array>",
        "<struct><member><name>a</name></member></struct>",
        "<struct><member><value>a</value></member></struct>",
        "<struct><member><value/><name>a</name></member></struct>",
        "<struct><member><name>a</name><value/><value/></member></struct>",
        "<struct><member><name>a</name><value/></member><member><name>a</name><value/></member></struct>",
        "<array><data>x</data></array>",
        "<value>x</value>",
        "&undefined;",
    ],
)
def test_a_value_that_is_not_to_the_letter_is_refused(value: str) -> None:
    with pytest.raises(FormatError):
        decode_call(argument(value))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not xml",
        b"\xff\xfe",
        b"<html><body>hello</body></html>",
        b"<methodCall/>",
        b"<methodCall><methodName>m</methodName>",
        b"<methodCall><params/></methodCall>",
        call("", method="<methodName>a b</methodName>"),
        call("", method="<methodName></methodName>"),
        call("", method="<methodName>a</methodName><methodName>b</methodName>"),
        call("<param/>"),
        call("<value>x</value>"),
        call("") + b"<methodCall/>",
        b"<?xml version='1.0' encoding='utf-16'?><methodCall><methodName>m</methodName></methodCall>",
        b"<?xml version='1.0' encoding='latin-1'?><methodCall><methodName>m</methodName></methodCall>",
        encode_response(1),
        encode_call("m", ())[:-3],
    ],
)
def test_a_document_that_is_no_call_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        decode_call(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"<methodResponse/>",
        b"<methodResponse><params/></methodResponse>",
        b"<methodResponse><params><param><value/></param><param><value/></param></params></methodResponse>",
        b"<methodResponse><fault><value>text</value></fault></methodResponse>",
        b"<methodResponse><fault/></methodResponse>",
        b"<methodResponse><params><param><value/></param></params><fault><value/></fault></methodResponse>",
        encode_fault(1, "x").replace(b"faultCode", b"faultcode"),
        encode_fault(1, "x").replace(b"<int>1</int>", b"<boolean>1</boolean>"),
        encode_call("m", (1,)),
    ],
)
def test_a_document_that_is_no_response_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        decode_response(raw)


@given(st.binary(max_size=300))
def test_whatever_bytes_come_nothing_but_a_format_error_is_raised(noise: bytes) -> None:
    whole = argument("<array><data><value>a</value></data></array>")
    for raw in (noise, whole[: len(noise)] + noise, whole[:60] + noise + whole[60:]):
        try:
            decode_call(raw)
        except FormatError:
            continue


@pytest.mark.parametrize("value", [1.5, 2**31, "\0", "\r", "\ud800", object(), {1: 2}, {"a": {3}}, [[1.5]]])
def test_a_value_that_would_not_survive_is_not_sent(value: object) -> None:
    with pytest.raises(FormatError):
        encode_response(value)


def test_a_list_within_itself_is_not_sent() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(FormatError, match="deep"):
        encode_call("m", [endless])


def test_a_name_that_is_no_methods_name_is_not_sent() -> None:
    with pytest.raises(FormatError):
        encode_call("a<b", [])
