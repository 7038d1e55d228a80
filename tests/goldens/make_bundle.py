"""Writes the avatar files of version 2 beside this script, and SHA-256 sums of the arrays that readers make of them and
of `avatar_v1.mobavatar`, which a writer of version 1 left behind. Both readers are tested against them.

Run `python -m tests.goldens.make_bundle` after a change of the format; the sums of version 1 must not change.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.web_export import bundle
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from tests.synthetic_avatar import SyntheticAvatar

HERE = Path(__file__).parent
SUMS = HERE / "bundle.json"
FILES = {f"avatar_v2_{quality}.mobavatar": precision for quality, precision in bundle.PRESETS.items()}


def avatar() -> AvatarArrays:
    """Odd sizes everywhere, and an index beyond a byte."""
    return SyntheticAvatar(
        num_gaussians=301, num_parts=3, num_nodes=19, num_kept=31, basis_size=4, hidden=(7, 6)
    ).build()


def sums(data: bytes) -> dict[str, str]:
    """SHA-256 of the bytes of each array that a reader hands out."""
    _, arrays = bundle.read_sections(data)
    return {name: hashlib.sha256(np.ascontiguousarray(arrays[name]).tobytes()).hexdigest() for name in bundle.ARRAYS}


def text(files: list[Path]) -> str:
    """The golden file."""
    return json.dumps({path.name: sums(path.read_bytes()) for path in files}, indent=1) + "\n"


if __name__ == "__main__":
    for name, precision in FILES.items():
        (HERE / name).write_bytes(bundle.encode(avatar(), precision))
    SUMS.write_text(text(sorted(HERE.glob("*.mobavatar"))))
