"""Splats as PlayCanvas' `.sog`, version 2: five lossless WebP pictures and a JSON file in a zip, y down as a `.ply`.

Facts from the format's specification (developer.playcanvas.com, "The SOG Format"). A pixel is a splat. Positions are
16 bits of `sign(x) log(1 + |x|)`, low and high bytes in two pictures; scales and colours index codebooks of 256
numbers; quaternions keep their three smaller components, and alpha says which one was left out.
"""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from .splats import Splats

CODES = 256
ROUNDS = 10
"""Of Lloyd's algorithm; more change nothing that is seen (the first codebook, quantiles, is good already)."""
LARGEST_AT = 252
"""Alpha of a quaternion whose largest component is w; 253, 254, 255: x, y, z."""


def write(path: Path, splats: Splats) -> None:
    """Write the file."""
    s = splats.in_space_order()
    width = 4 * int(np.ceil(np.sqrt(len(s)) / 4))
    logarithm = np.sign(s.mean) * np.log1p(np.abs(s.mean))
    low, high = logarithm.min(0), logarithm.max(0)
    steps = np.rint((logarithm - low) / np.maximum(high - low, 1e-9) * 65535).astype(np.int64)
    scale_codes, scales = _codebook(s.log_scale)
    color_codes, colors = _codebook(s.sh0)
    opacity = np.rint(255 * s.opacity)[:, None]
    pictures = {
        "means_l.webp": steps & 0xFF,
        "means_u.webp": steps >> 8,
        "quats.webp": _quaternions(s.rotation),
        "scales.webp": scales,
        "sh0.webp": np.concatenate([colors, opacity], 1),
    }
    meta = {
        "version": 2,
        "asset": {"generator": "nerfstudio-mobavatar"},
        "count": len(s),
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scale_codes, "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": color_codes, "files": ["sh0.webp"]},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, channels in pictures.items():
            archive.writestr(name, _webp(channels, width))
        archive.writestr("meta.json", json.dumps(meta))


def _webp(channels: np.ndarray, width: int) -> bytes:
    """[N, 3 or 4] numbers 0..255 row by row; `exact` keeps colours where alpha is 0."""
    height = -(-len(channels) // width)
    pixels = np.full((height * width, 4), 255, np.uint8)
    pixels[: len(channels), : channels.shape[1]] = channels
    stream = io.BytesIO()
    Image.fromarray(pixels.reshape(height, width, 4)).save(stream, "WEBP", lossless=True, exact=True)
    return stream.getvalue()


def _codebook(values: np.ndarray) -> tuple[list[float], np.ndarray]:
    """256 ascending numbers (k-means in one dimension) and for each value the nearest one's index."""
    flat = np.sort(values.ravel())
    codes = np.quantile(flat, (np.arange(CODES) + 0.5) / CODES)
    sums = np.concatenate([[0.0], np.cumsum(flat)])
    for _ in range(ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(flat, (codes[1:] + codes[:-1]) / 2), [len(flat)]])
        count = np.diff(edges)
        codes = np.where(count > 0, np.diff(sums[edges]) / np.maximum(count, 1), codes)
    return codes.tolist(), np.searchsorted((codes[1:] + codes[:-1]) / 2, values)


def _quaternions(wxyz: np.ndarray) -> np.ndarray:
    """[N, 4]: the smaller components of w, x, y, z over -1/sqrt(2)..1/sqrt(2), and which one was left out."""
    largest = np.abs(wxyz).argmax(1)
    q = wxyz * np.where(np.take_along_axis(wxyz, largest[:, None], 1) < 0, -1, 1)
    others = np.array([[j for j in range(4) if j != i] for i in range(4)])[largest]
    small = np.take_along_axis(q, others, 1) * np.sqrt(0.5) + 0.5
    return np.concatenate([np.rint(255 * np.clip(small, 0, 1)), LARGEST_AT + largest[:, None]], 1)
