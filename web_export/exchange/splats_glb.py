"""Splats as glTF with `KHR_gaussian_splatting` (ratified 2026): points whose extra attributes make them splats, y up.

Scales are linear and opacity is activated there, quaternions are xyzw. Viewers that do not know the extension draw the
points with `COLOR_0`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from .glb import ARRAY_BUFFER, POINTS, GlbBuilder
from .splats import Splats

EXTENSION = "KHR_gaussian_splatting"


def write(path: Path, splats: Splats, rights: str) -> None:
    """Write the file; `rights` becomes glTF's `asset.copyright`."""
    glb = GlbBuilder()
    document: dict[str, Any] = {
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "avatar", "mesh": 0}],
        "meshes": [{"name": "splats", "primitives": [primitive(glb, splats)]}],
    }
    glb.write(path, document | ({"asset": {"copyright": rights}} if rights else {}))


def primitive(glb: GlbBuilder, splats: Splats) -> dict[str, Any]:
    """The points, with all that makes them splats."""
    point = np.concatenate([np.clip(splats.color, 0, 1), splats.opacity[:, None]], 1)
    attributes = {
        "POSITION": glb.accessor(splats.mean, "<f4", ARRAY_BUFFER, bounds=True),
        "COLOR_0": glb.accessor(np.rint(255 * point), "|u1", ARRAY_BUFFER, normalized=True),
        f"{EXTENSION}:ROTATION": glb.accessor(np.roll(splats.rotation, -1, 1), "<f4", ARRAY_BUFFER),
        f"{EXTENSION}:SCALE": glb.accessor(splats.scale, "<f4", ARRAY_BUFFER),
        f"{EXTENSION}:OPACITY": glb.accessor(splats.opacity, "<f4", ARRAY_BUFFER),
        f"{EXTENSION}:SH_DEGREE_0_COEF_0": glb.accessor(splats.sh0, "<f4", ARRAY_BUFFER),
    }
    kernel = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    return {"attributes": attributes, "mode": POINTS, "extensions": {EXTENSION: kernel}}
