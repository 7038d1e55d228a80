"""Goldens for the page's twin of layout.py: dimensions, the Model struct, tables of kept correctives, limits.

Run `python tests/goldens/make_layout.py` after a deliberate change of layout.py; a test compares the file with this.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar.web_export import layout

GOLDEN = Path(__file__).with_name("layout.json")
HEADERS: dict[str, dict[str, Any]] = {
    "small": {"num_gaussians": 2000, "num_parts": 32, "num_nodes": 200, "basis_size": 16, "layer_sizes": [73, 24, 32]},
    "paper": {
        "num_gaussians": 200000, "num_parts": 256, "num_nodes": 10000, "basis_size": 16,
        "layer_sizes": [73, 24, 24, 24, 32],
    },
    "odd": {"num_gaussians": 33, "num_parts": 3, "num_nodes": 1, "basis_size": 2, "layer_sizes": [5, 7, 4]},
}  # fmt: skip
BAD_HEADERS: dict[str, dict[str, Any]] = {
    "too wide": {"layer_sizes": [73, 129, 32]},
    "too deep": {"layer_sizes": [8] * 10},
    "odd basis": {"basis_size": 3, "layer_sizes": [73, 6]},
    "basis does not fit": {"layer_sizes": [73, 24, 30]},
    "too many Gaussians": {"num_gaussians": 5_000_000},
    "too large records": {"num_gaussians": 4_000_000, "num_nodes": 9_000_000},
    "too many parts": {"num_parts": 65536, "basis_size": 2, "layer_sizes": [2, 4]},
}
COMMON = {
    "num_head_parts": 2, "num_pose_inputs": 63, "leaky_relu_slope": 0.01, "position_low": [-0.9, -0.1, -0.25],
    "position_high": [0.8, 1.7, 0.3],
    "kept": [5, 1, 0],
}  # fmt: skip


def _header(changes: dict[str, Any]) -> dict[str, Any]:
    return COMMON | HEADERS["small"] | changes


def _refusal(header: dict[str, Any]) -> str:
    """What layout.py says to this header."""
    try:
        layout.check_header(header)
    except ValueError as error:
        return str(error)
    return ""


def goldens() -> dict[str, Any]:
    """Per header what layout.py makes of it."""
    rng = np.random.default_rng(5)
    cases = []
    for name, changes in HEADERS.items():
        header = _header(changes)
        n = header["num_gaussians"]
        kept = [np.sort(rng.choice(n, k, replace=False)) for k in (min(n, 40), 0, n if n < 100 else 1)]
        cases.append(
            {
                "name": name,
                "header": header,
                "dimensions": layout.dimensions(header),
                "scene_dimensions": layout.scene_dimensions(3 * n + 1),
                "model": layout.struct_bytes("Model", layout.model_struct(header)).hex(),
                "kept": [k.tolist() for k in kept],
                "kept_table": layout.kept_table(n, (kept[0], kept[1], kept[2])).ravel().tolist() if n < 5000 else [],
            }
        )
    bad = [{"name": name, "header": _header(c), "message": _refusal(_header(c))} for name, c in BAD_HEADERS.items()]
    return {"cases": cases, "bad": bad}


def text() -> str:
    """The golden file."""
    return json.dumps(goldens(), separators=(",", ":")) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(text())
