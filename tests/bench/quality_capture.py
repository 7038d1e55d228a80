"""The pictures of the quality benchmark: drawn on the GPU, by one process or by several together."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nerfstudio_mobavatar.demo.capture import DemoData, Recipe
from nerfstudio_mobavatar.demo.in_memory import CutPicture, InMemoryCapture, draw_cut, render_in_memory
from nerfstudio_mobavatar.demo.motion import Motion, procedural_motion
from nerfstudio_mobavatar.losses import Box
from tests.bench.quality_rows import CaptureSpec

FAR_SCALE = 1.25
"""Far poses: another motion (next seed), every angle a quarter larger."""
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Team:
    """Processes that draw one capture together and hand it on through files."""

    folder: Path
    rank: int
    size: int


def far_motion(spec: CaptureSpec) -> Motion:
    """Poses outside the trained motion: another seed, larger angles."""
    other = procedural_motion(spec.far_frames, 37, seed=1)
    pose = other.pose.copy()
    pose[:, 1:22] *= FAR_SCALE
    return Motion(pose, other.transl, other.expression)


def recipe_of(spec: CaptureSpec, device: str) -> Recipe:
    """Trained, near and far frames in this order."""
    trained, far = procedural_motion(spec.frames, spec.frame_step, 0), far_motion(spec)
    motion = Motion(*(np.concatenate(x) for x in zip((trained.pose, trained.transl, trained.expression),
                                                     (far.pose, far.transl, far.expression))))  # fmt: skip
    demo = DemoData(
        output=None,  # pyright: ignore[reportArgumentType]
        cameras=spec.cameras, width=spec.side, height=spec.side, lighting=spec.lighting, folds=spec.folds,
    )  # fmt: skip
    return demo.recipe_of(motion, device)


def draw_capture(spec: CaptureSpec, device: str, team: Team | None = None) -> InMemoryCapture:
    """All of it; every process of a team draws its share of the frames and waits for the others'."""
    recipe = recipe_of(spec, device)
    if team is None:
        return render_in_memory(recipe)
    rows = range(len(recipe.motion.pose))
    pack(draw_cut(recipe, rows[team.rank :: team.size]), team.folder / f"{team.rank}.pt")
    pictures: list[list[CutPicture]] = [[] for _ in rows]
    end = time.monotonic() + PATIENCE_S
    for rank in range(team.size):
        path = team.folder / f"{rank}.pt"
        while not path.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"expected {path} from process {rank} within {PATIENCE_S:.0f} s, found no such file")
            time.sleep(0.2)
        for row, frame in zip(rows[rank :: team.size], unpack(path, device)):
            pictures[row] = frame
    return render_in_memory(recipe, pictures)


def pack(pictures: list[list[CutPicture]], path: Path) -> None:
    """Write the pictures as one array and their boxes; the file appears when it is whole."""
    boxes = torch.tensor([[tuple(p.box) for p in row] for row in pictures])
    pixels = torch.cat([p.rgba.flatten().cpu() for row in pictures for p in row])
    part = path.with_suffix(".part")
    torch.save({"boxes": boxes, "pixels": pixels}, part)
    part.rename(path)


def unpack(path: Path, device: str) -> list[list[CutPicture]]:
    """What `pack` wrote, on the device; all pictures lie in one array."""
    stored = torch.load(path, weights_only=True, mmap=True)
    pixels, at, pictures = stored["pixels"].to(device), 0, []
    for boxes in stored["boxes"].tolist():
        row = []
        for box in (Box(*b) for b in boxes):
            shape = box.y1 - box.y0, box.x1 - box.x0, 4
            size = shape[0] * shape[1] * shape[2]
            row.append(CutPicture(box, pixels[at : at + size].view(shape)))
            at += size
        pictures.append(row)
    return pictures
