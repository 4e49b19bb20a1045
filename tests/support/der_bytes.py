"""DER made by hand, byte by byte, for objects that no encoder of ours would write."""


def tlv(tag: int, *content: bytes) -> bytes:
    """Tag, length and content."""
    body = b"".join(content)
    if len(body) < 128:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 128 + len(length))) + length + body


def number(value: int, tag: int = 0x02) -> bytes:
    """A small non-negative INTEGER, or another type with that content."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))
