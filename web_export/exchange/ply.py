"""Splats as the `.ply` of 3D Gaussian splatting: binary, one float32 record per splat, y down (OpenCV's axes).

Layout as graphdeco-inria's trainer writes it (the de facto standard), without its unused normals and, since colours do
not depend on the view, without `f_rest`. Scales are logarithms, opacity is a logit, quaternions are wxyz.
"""

from pathlib import Path

import numpy as np

from .splats import Splats

FIELDS = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
          "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")  # fmt: skip


def write(path: Path, splats: Splats) -> None:
    """Write the file."""
    columns = (splats.mean, splats.sh0, splats.opacity_logit[:, None], splats.log_scale, splats.rotation)
    table = np.concatenate(columns, 1).astype("<f4")
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    lines += [f"property float {name}" for name in FIELDS]
    path.write_bytes("\n".join([*lines, "end_header", ""]).encode() + table.tobytes())
