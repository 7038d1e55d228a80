"""The pictures of the quality benchmark: drawn on the GPU, by one process or by several together."""

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from nerfstudio_mobavatar.capture import CaptureCamera
from nerfstudio_mobavatar.demo.capture import DemoData, Recipe
from nerfstudio_mobavatar.demo.in_memory import CutPicture, InMemoryCapture, draw_cut, render_in_memory
from nerfstudio_mobavatar.demo.motion import Motion, procedural_motion
from nerfstudio_mobavatar.losses import Box
from tests.bench.quality_rows import TEST, CaptureSpec, cameras_of, frames_of, frames_of_test, name_of

FAR_SCALE = 1.25
"""Far poses: another motion (next seed; for the test the one after it), every angle a quarter larger."""
TURN = 12.0
"""Degrees about the vertical from a held-out camera to the test's beside it."""
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Team:
    """Processes that draw a capture together and hand it on through files, which stay for later processes."""

    folder: Path
    rank: int
    size: int

    def path(self, spec: CaptureSpec, rank: int) -> Path:
        """Of one process's share."""
        return self.folder / f"{name_of(asdict(spec))}-{rank}-of-{self.size}.pt"


def far_motion(spec: CaptureSpec, seed: int = 1) -> Motion:
    """Poses outside the trained motion: another seed, larger angles."""
    other = procedural_motion(spec.far_frames, 37, seed)
    pose = other.pose.copy()
    pose[:, 1:22] *= FAR_SCALE
    return Motion(pose, other.transl, other.expression)


def recipe_of(spec: CaptureSpec, device: str) -> Recipe:
    """Trained, near and far frames in this order."""
    trained, far = procedural_motion(spec.frames, spec.frame_step, 0), far_motion(spec)
    return demo_of(spec).recipe_of(joined(trained, far), device)


def demo_of(spec: CaptureSpec) -> DemoData:
    """Person, cameras and light."""
    return DemoData(
        output=Path(),  # nothing is written
        cameras=spec.cameras, width=spec.side, height=spec.side, lighting=spec.lighting, folds=spec.folds,
    )  # fmt: skip


def joined(*motions: Motion) -> Motion:
    """One after the other."""
    return Motion(*(np.concatenate(x) for x in zip(*((m.pose, m.transl, m.expression) for m in motions))))


def recipe_of_test(spec: CaptureSpec, device: str) -> tuple[Recipe, dict[str, list[int]]]:
    """What no setting was chosen by, and the rows of "test_view", "test_near" and "test_far" in it: other frames, other
    far poses, two cameras that nothing else has."""
    trained, wanted = recipe_of(spec, device), frames_of_test(spec)
    fewer = replace(spec, far_frames=2 * spec.far_frames // 3)
    whole, far = trained.motion, demo_of(spec).recipe_of(far_motion(fewer, 2), device).motion
    parts = [Motion(whole.pose[i], whole.transl[i], whole.expression[i]) for i in (wanted[k] for k in TEST[:2])]
    ends = np.cumsum([0, *(len(p.pose) for p in (*parts, far))]).tolist()
    frames = {name: list(range(a, b)) for name, a, b in zip(TEST, ends[:-1], ends[1:])}
    signs = (1, -1)
    cameras = [turned(trained.cameras, k, s * TURN) for k, s in zip(cameras_of(spec)[1], signs)]
    return replace(trained, motion=joined(*parts, far), cameras=tuple(cameras)), frames


def turned(cameras: tuple[CaptureCamera, ...], which: int, degrees: float) -> CaptureCamera:
    """A camera moved about the vertical through the middle of all of them."""
    eyes = [-c.T_cam_world[:3, :3].T @ c.T_cam_world[:3, 3] for c in cameras]
    middle, angle = np.mean(eyes, 0) * [1, 0, 1], math.radians(degrees)
    about = np.eye(4)
    about[:3, :3] = [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    about[:3, 3] = middle - about[:3, :3] @ middle
    camera = cameras[which]
    return replace(camera, name=f"{camera.name}-turned", T_cam_world=camera.T_cam_world @ about)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Pictures to measure on: frames by name, all by the same cameras."""

    capture: InMemoryCapture
    frames: dict[str, list[int]]
    cameras: list[int]


def validation_of(spec: CaptureSpec, capture: InMemoryCapture) -> HeldOut:
    """Of the capture itself: the cameras and frames that training left out."""
    return HeldOut(capture, {k: v for k, v in frames_of(spec).items() if k != "train"}, cameras_of(spec)[1])


def draw_test(spec: CaptureSpec, device: str) -> HeldOut:
    """The pictures of `recipe_of_test`."""
    recipe, frames = recipe_of_test(spec, device)
    return HeldOut(render_in_memory(recipe), frames, list(range(len(recipe.cameras))))


def draw_capture(spec: CaptureSpec, device: str, team: Team | None = None) -> InMemoryCapture:
    """All of it; every process of a team draws its share of the frames, unless it lies there, and waits for the
    others'."""
    recipe = recipe_of(spec, device)
    if team is None:
        return render_in_memory(recipe)
    rows = range(len(recipe.motion.pose))
    if not (own := team.path(spec, team.rank)).exists():
        pack(draw_cut(recipe, rows[team.rank :: team.size]), own)
    pictures: list[list[CutPicture]] = [[] for _ in rows]
    end = time.monotonic() + PATIENCE_S
    for rank in range(team.size):
        path = team.path(spec, rank)
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
