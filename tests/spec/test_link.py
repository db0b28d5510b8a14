"""The host link's constants: texts for all, the header's form, and identities."""

import struct

import pytest

from tensaw.spec.config import PRESETS
from tensaw.spec.errors import DeviceError
from tensaw.spec.link import (
    HEADER_BYTES,
    MARCH_TEXTS,
    ONCE,
    OP_TEXTS,
    STATUS_TEXTS,
    SYNC_REQUEST,
    SYNC_RESPONSE,
    WITH_PAYLOAD,
    Header,
    Identity,
    MarchFlag,
    Op,
    Status,
)  # fmt: skip

IDENTITY = Identity(
    "ulx3s-85f", PRESETS["small"], bytes(range(8)), 100_000_000, 3_000_000, 0, 32 << 20, 2048, 1024
)  # fmt: skip


def test_everything_has_a_text():
    assert set(OP_TEXTS) == set(Op) and set(STATUS_TEXTS) == set(Status) and set(MARCH_TEXTS) == set(MarchFlag)
    assert WITH_PAYLOAD <= set(Op) and ONCE <= set(Op) and SYNC_REQUEST != SYNC_RESPONSE


def test_header():
    header = Header(1, 3, 200, 7, 0x12345678, 0xABCD)
    assert header.to_bytes() == bytes.fromhex("01 03 c8 07 78 56 34 12 cd ab")
    assert len(header.to_bytes()) == HEADER_BYTES and Header.from_bytes(header.to_bytes()) == header


def test_identity():
    content = IDENTITY.to_bytes()
    assert Identity.from_bytes(content) == IDENTITY
    assert content[:4] == b"TSLK" and struct.unpack_from("<H", content, 6) == (len(content),)
    assert struct.unpack_from("<I", content, 8) == (PRESETS["small"].digest,) and content[12:20] == bytes(range(8))
    assert content[40:56] == b"ulx3s-85f".ljust(16, b"\0") and len(content) <= 512
    with pytest.raises(ValueError, match="'a-name-that-is-too-long' must have at most 16 bytes"):
        Identity("a-name-that-is-too-long", PRESETS["nano"], bytes(8), 1, 1, 0, 0, 0, 0).to_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"what" + content[4:], "What answers is no tensaw board: its identity begins with b'what'"),
        (lambda content: content[:20], "What answers is no tensaw board"),
        (
            lambda content: content[:4] + b"\x02" + content[5:],
            "The board speaks version 2 of the link's protocol, this release version 1: build its bitstream again",
        ),
        (
            lambda content: content.replace(b'"rows"', b'"rowz"'),
            "The board 'ulx3s-85f' has a configuration that this release does not know (There is no configuration "
            "field 'rowz'",
        ),
        (
            lambda content: content.replace(b'"rows":8', b'"rows":9'),
            "has a configuration that this release does not know (its digest is 0x",
        ),
        (lambda content: content[:-3], "has a configuration that this release does not know ("),
    ],
)
def test_identities_that_are_none(change, message):
    with pytest.raises(DeviceError) as error:
        Identity.from_bytes(change(IDENTITY.to_bytes()))
    assert message in str(error.value)
