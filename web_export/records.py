"""The 48-byte record of a Gaussian as the GPU reads it (table in FORMAT.md), packed and unpacked."""

import numpy as np

RECORD_WORDS = 12
"""32-bit words per Gaussian, 48 bytes."""


def half_bits(x: np.ndarray) -> np.ndarray:
    """Bits of half precision numbers, uint32. Through float32, as a page does it; both roundings to nearest even."""
    return np.asarray(x, np.float64).astype(np.float32).astype(np.float16).view(np.uint16).astype(np.uint32)


def pack_records(fields: dict[str, np.ndarray]) -> np.ndarray:
    """[N, 12] uint32 from integers: `position` [N, 3], `rotation` [N, 4] (half bits, as all that are real), `log_scale`
    and `color` [N, 3], `opacity` and `part` [N], `node_index` [N, 3], `node_weight` [N, 2], `skin_index` and
    `skin_weight` [N, 4]."""
    f = {name: value.astype(np.uint32) for name, value in fields.items()}
    p, r, s, c, node = (f[name] for name in ("position", "rotation", "log_scale", "color", "node_index"))
    halves = [
        *(p[:, 0], p[:, 1], p[:, 2], f["part"], r[:, 0], r[:, 1], r[:, 2], r[:, 3], s[:, 0], s[:, 1], s[:, 2]),
        *(f["opacity"], c[:, 0], c[:, 1], c[:, 2], node[:, 0], node[:, 1], node[:, 2], *f["node_weight"].T),
    ]
    words = [low | (high << 16) for low, high in zip(halves[::2], halves[1::2])]
    for b in (f["skin_index"], f["skin_weight"]):
        words.append(b[:, 0] | (b[:, 1] << 8) | (b[:, 2] << 16) | (b[:, 3] << 24))
    return np.stack(words, 1)


def _low16(x: np.ndarray) -> np.ndarray:
    return (x & 0xFFFF).astype(np.uint16)


def _high16(x: np.ndarray) -> np.ndarray:
    return (x >> 16).astype(np.uint16)


def unpack_records(g: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
    """Inverse of `pack_records`, float32 values exactly as the GPU decodes them."""
    halves = np.stack([f(g[:, i]) for i in range(10) for f in (_low16, _high16)], 1)
    real = halves.view(np.float16).astype(np.float32)
    bytes_ = np.ascontiguousarray(g[:, 10:12]).view(np.uint8).reshape(-1, 8)
    w01 = halves[:, 18:20].astype(np.float32) / np.float32(65535)
    return {
        "position": low.astype(np.float32)
        + halves[:, 0:3].astype(np.float32) / np.float32(65535) * (high - low).astype(np.float32),
        "part": halves[:, 3].astype(np.int64),
        "rotation": real[:, 4:8],
        "log_scale": real[:, 8:11],
        "opacity": halves[:, 11].astype(np.float32) / np.float32(65535),
        "color": real[:, 12:15],
        "node_index": halves[:, 15:18].astype(np.int64),
        "node_weight": np.concatenate([w01, 1 - w01.sum(1, keepdims=True)], 1),
        "skin_index": bytes_[:, :4].astype(np.int64),
        "skin_weight": bytes_[:, 4:].astype(np.float32) / np.float32(255),
    }
