"""The container of binary glTF 2.0: a JSON document and one buffer. What goes into it is the callers' business."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

MAGIC, VERSION, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
COMPONENT = {"<f4": 5126, "|u1": 5121, "<u2": 5123, "<u4": 5125}
SHAPE = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
POINTS, TRIANGLES = 0, 4


class GlbBuilder:
    """Collects accessors; `write` puts the document around them."""

    def __init__(self) -> None:
        self.accessors: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.payload = bytearray()

    def accessor(
        self, array: np.ndarray, dtype: str, target: int | None = None, normalized: bool = False, bounds: bool = False
    ) -> int:
        """Index of a new accessor for `array` ([n], [n, 3], [n, 4] or [n, 4, 4], matrices by rows), stored as `dtype`.

        `bounds`: store smallest and largest values, which glTF asks of positions and of key frame times.
        """
        stored = np.ascontiguousarray(array, dtype)
        raw = stored.swapaxes(-1, -2).tobytes() if stored.ndim == 3 else stored.tobytes()  # glTF: column by column
        self.payload += bytes(-len(self.payload) % 4)
        view = {"buffer": 0, "byteOffset": len(self.payload), "byteLength": len(raw)}
        self.views.append(view | ({} if target is None else {"target": target}))
        self.payload += raw
        entry: dict[str, Any] = {
            "bufferView": len(self.views) - 1,
            "componentType": COMPONENT[stored.dtype.str],
            "count": len(stored),
            "type": SHAPE[stored.shape[1:]],
        }
        if normalized:
            entry["normalized"] = True
        if bounds:
            low, high = np.atleast_1d(stored.min(0)), np.atleast_1d(stored.max(0))
            entry |= {"min": low.tolist(), "max": high.tolist()}
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def write(self, path: Path, document: dict[str, Any]) -> None:
        """Write `document` (without asset, accessors and buffers, which are added here) and the buffer."""
        asset = {"version": "2.0", "generator": "nerfstudio-mobavatar"} | document.get("asset", {})
        whole = document | {
            "asset": asset,
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.payload)}],
        }
        text = json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self.payload) + bytes(-len(self.payload) % 4)
        size = 12 + 8 + len(text) + 8 + len(binary)
        path.write_bytes(
            struct.pack("<III", MAGIC, VERSION, size)
            + struct.pack("<II", len(text), JSON_CHUNK) + text
            + struct.pack("<II", len(binary), BINARY_CHUNK) + binary
        )  # fmt: skip
