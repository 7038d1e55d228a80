"""Avatar files that say something else than a writer would, with checksums that are right."""

import json
import zlib
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
