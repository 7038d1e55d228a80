"""Avatar files that say something else than a writer would, with checksums that are right."""

import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from nerfstudio_mobavatar.web_export import container

HEADER_START = container.PREAMBLE_BYTES + container.CHECKSUM_BYTES


def checksum(preamble: bytes, text: bytes) -> bytes:
    """Of a header, as it stands in the file."""
    return np.uint32(zlib.crc32(preamble + text)).astype("<u4").tobytes()


def with_header(data: bytes, change: dict[str, Any]) -> bytes:
    """The file with other entries in its header."""
    _, header, start = container.read(data)
    text = json.dumps(header | change).encode()
    preamble = data[:12] + np.array([len(text)], "<u4").tobytes()
    return preamble + checksum(preamble, text) + text + data[start:]


def with_text(data: bytes, text: bytes) -> bytes:
    """The file with this text as its header."""
    _, _, start = container.read(data)
    preamble = data[:12] + np.array([len(text)], "<u4").tobytes()
    return preamble + checksum(preamble, text) + text + data[start:]


def with_section(data: bytes, name: str, change: Callable[[bytes], bytes], **entry: Any) -> bytes:
    """The file with other stored bytes of one section (which moves to the end), the checksums right."""
    _, header, start = container.read(data)
    payload = data[start:]
    for found in header["sections"]:
        if found["name"] == name:
            new = change(payload[found["offset"] :][: found["stored_bytes"]])
            found |= {"offset": len(payload), "stored_bytes": len(new), "crc32": zlib.crc32(new)} | entry
            payload += new
    return with_text(data[:start] + payload, json.dumps(header | {"payload_bytes": len(payload)}).encode())
