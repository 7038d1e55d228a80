"""Gives an avatar that was exported without them levels of detail, and its file the order that a page can show early.

    python tools/add_levels.py FOLDER --pixels-per-metre 512

`ns-export mobavatar` does this itself; the command is for folders of earlier versions, whose file does not say how fine
the training pictures were. The file is written in the precision `high`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from nerfstudio_mobavatar.web_export.export import AVATAR_FILE
from nerfstudio_mobavatar.web_export.levels import describe_levels, views_of, with_levels


@dataclass(frozen=True)
class AddLevels:
    """Rewrite the avatar file of an exported folder."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder that `ns-export mobavatar` wrote."""
    pixels_per_metre: float
    """Of the training pictures at the person: focal length in pixels / distance in metres."""

    def main(self) -> None:
        """Fit on two poses of the folder's motion; the file appears when it is complete."""
        if not 0 < self.pixels_per_metre < np.inf:
            raise SystemExit(f"--pixels-per-metre {self.pixels_per_metre}: expected a positive number")
        path = self.folder / AVATAR_FILE
        before = path.read_bytes()
        poses = pose_sequence.read(pose_sequence.motion_of(self.folder))
        arrays = bundle.decode(before)
        shots = views_of([poses[0], poses[len(poses) // 2]], arrays.meta)
        arrays = with_levels(arrays, shots, self.pixels_per_metre)
        data = bundle.encode(arrays)
        draft = path.with_name(f".{path.name}-unfinished")
        draft.write_bytes(data)
        draft.replace(path)
        print("\n".join(describe_levels(arrays)))
        print(f"{path}: {len(before) / 1e6:.2f} -> {len(data) / 1e6:.2f} MB")


if __name__ == "__main__":
    tyro.cli(AddLevels).main()
