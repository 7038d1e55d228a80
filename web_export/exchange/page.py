"""`mobavatar convert IN FOLDER`: the whole page from a file, as `ns-export mobavatar` makes it of a training run.

What a file does not know is found out or left out: which way is up from how the body stands in the first motion, where
the person is from its first frame; without a motion it stands in a T-pose, and without the size of the training
pictures there are no levels of detail.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerfstudio_mobavatar.motion import axes, pose_json

from .. import bundle, pose_sequence
from ..evaluate import Pose, rotation_matrices
from ..levels import describe_levels, views_of, with_levels
from ..page_folder import PageMotion, free_name, write_folder
from ..poster import HEIGHT, as_jpeg, poster, stand
from ..quality import Precisely
from .source import Source, rest_pose


def write(
    folder: Path,
    source: Source,
    motions: Sequence[Path],
    fps: float | None,
    precisely: Precisely,
    pixels_per_metre: float | None,
) -> str:
    """Write the folder, whole or not at all; what it is, for the terminal.

    `motions` play in place of the source's own. `fps` is for those that do not say theirs; by default the avatar's.
    Raises ExchangeError, MotionError, BundleError, ExportError.
    """
    played = page_motions(source, motions, fps or source.fps)
    poses = pose_sequence.from_rows(list(played[0].rows))
    meta = source.arrays.meta
    up = np.array(meta.get("up", upward(poses)), np.float64).tolist()
    found: dict[str, Any] = {"up": up, "fps": played[0].fps, **stand(source.arrays, poses[0], up)}
    # a source whose own motion goes on playing has told already where the person is
    a = replace(source.arrays, meta=meta | found if motions else found | meta)
    if pixels_per_metre is not None:
        a = with_levels(a, views_of([poses[0], poses[len(poses) // 2]], a.meta), pixels_per_metre)
        print("\n".join(describe_levels(a)))
    made = precisely.encode(a, source.own_poses())
    picture = poster(bundle.decode(made.data), poses[0], a.meta, HEIGHT, torch.device("cpu"))
    sizes = write_folder(folder, a, made.data, played, as_jpeg(picture))
    shown = ", ".join(f"{motion.name}: {len(motion.rows)} frames at {motion.fps:g}" for motion in played)
    return (
        f"a page, {sum(sizes.values()) / 1e6:.2f} MB, avatar of {len(a.position):,} Gaussians ({made.name}), {shown}; "
        f"look at it: mobavatar view {folder}"
    )


def page_motions(source: Source, given: Sequence[Path], usual_fps: float) -> list[PageMotion]:
    """What the page plays: the given motions, else all of the source's folder, else a T-pose."""
    files = [(path.name, path) for path in given]
    if not files and source.path.is_dir():
        files = pose_json.listed(source.path) or ([(source.motion.name, source.motion)] if source.motion else [])
    used, out = set(), []
    for name, path in files:
        rows, frame_ids = pose_json.read_numbered(path)
        # the first one's file is always motion.pose.bin: nothing else may be called so
        called = free_name(name, used)
        used.add("motion")
        out.append(PageMotion(called, rows, frame_ids, pose_json.stored_fps(path) or usual_fps))
    rest = rest_pose()
    row = pose_json.PoseRow(rest.pose, rest.Rh, rest.Th, rest.expression)
    return out or [PageMotion("T-pose", [row], [0], usual_fps)]


def upward(poses: Sequence[Pose]) -> np.ndarray:
    """[3] the world's axis along which the body stands in most frames."""
    spines = [pose.Rh @ rotation_matrices(pose.pose[0])[:, 1] for pose in poses]
    return axes.vector(axes.name(np.mean(spines, 0)))
