"""`mobavatar make-template`: a template mesh for loose clothing from a capture's own masks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro

from .body_model import load_body
from .capture import Capture, CaptureError, CaptureImage
from .images import PERSON_THRESHOLD, UndistortMaps, load_matte, scaled_view
from .reconstruct_template import HullConfig, HullFrame, limbs_apart, reconstruct, silhouette_iou
from .silhouettes import LEAST_PERSON
from .template import Template, make_template
from .template_mesh import SUFFIXES, TemplateError
from .visual_hull import FrameMasks

FEW_CAMERAS = 6
"""With fewer, a hull has volumes that nobody wears."""
GOOD_IOU = 0.9
MOST_FRAMES = 64
"""Beside the hull's own: their masks are in memory together."""
REPORT_SIDE, REPORT_FRAMES = 256, 6
"""Overlaps are measured on masks of this size, in so many training frames beside those that the hull is made of."""


@dataclass
class MakeTemplate:
    """Reconstruct the dressed person's surface (visual hull of a few frames) as a mesh in the canonical pose, for
    `ns-train ... --pipeline.model.template-mesh OUTPUT`. Held-out cameras and frames are not looked at."""

    data: Annotated[Path, tyro.conf.Positional]
    """Folder of the capture, of any layout that ns-train reads."""
    output: Annotated[Path, tyro.conf.Positional]
    """Mesh to write: .ply, .obj, .glb, .stl or .off."""
    frame: int | None = None
    """Number of the frame. None: the training frame whose limbs are furthest apart."""
    body: str = "open"
    """Body that the fit was made with: "open" (the one that ships) or the path of your SMPL-X file or folder."""
    gender: Literal["neutral", "male", "female"] = "neutral"
    """Which file of an SMPL-X folder."""
    test_cameras: tuple[str, ...] = ("auto",)
    """Cameras that training will hold out."""
    test_frames: tuple[str, ...] = ("auto",)
    """Frames that training will hold out."""
    max_side: int = 1024
    """Longest side of the masks as they are used, pixels."""
    hull: HullConfig = field(default_factory=HullConfig)
    """How the hull is made."""
    overwrite: bool = False
    """Replace OUTPUT if it is there."""

    def main(self) -> None:
        """Write the mesh and say how well it fits. Raises `TemplateError` or `CaptureError`."""
        self.run()

    def run(self) -> dict[str, list[float]]:
        """As `main`. Returns the overlap with the masks of the template and of the body's surface, first in the hull's
        own frame, then in others."""
        self._check()
        from .dataparsers.detect import AutoDataParserConfig  # nerfstudio: seconds

        parser = AutoDataParserConfig(
            data=self.data, body=self.body, test_cameras=self.test_cameras, test_frames=self.test_frames
        ).setup()
        capture, images = parser.capture, parser.splits.train.images
        body, fit = load_body(self.body, self.gender), capture.fit
        betas, pose, transl = (torch.from_numpy(x).float() for x in (fit.betas, fit.pose, fit.transl))
        rows = list(parser.splits.train_frames)
        row = self._row(capture, rows, limbs_apart(body, betas, pose[rows], transl[rows]))
        masks, names = frame_masks(capture, images, row, self.max_side)
        print(f"Frame {capture.frames[row]}, {len(names)} cameras: {', '.join(names)}")
        say: dict[int, FrameMasks] = {}
        for r in _spread([r for r in rows if r != row], self.hull.frames):
            try:
                say[r] = frame_masks(capture, images, r, self.max_side)[0]
            except CaptureError:
                print(f"  frame {capture.frames[r]} has no say: fewer than two masks with a person")
        if say:
            print(f"Other frames that have a say: {', '.join(str(capture.frames[r]) for r in say)}")
        others = [HullFrame(pose[r], transl[r], seen) for r, seen in say.items()]
        try:
            frame = HullFrame(pose[row], transl[row], masks)
            made = reconstruct(body, betas, frame, self.hull, others, f"the hull of {self.data}")
        except ValueError as error:
            if isinstance(error, TemplateError):
                raise
            raise TemplateError(
                f"{self.data}: frame {capture.frames[row]} has no visual hull ({error}): its masks do not meet in "
                "space. See `mobavatar doctor`, or choose another --frame"
            ) from error
        write_mesh(made.template, self.output)
        volume = f"watertight, {made.volume_litres:.0f} litres" if made.watertight else "not watertight"
        sizes = f"{len(made.template.vertices):,} vertices, {len(made.template.faces):,} triangles"
        print(
            f"{self.output}: {sizes}; the hull is {volume}; {made.webs} triangles between touching limbs were left out"
        )
        compared = {"template": made.template, "body surface": make_template(body, betas)}
        overlap: dict[str, list[float]] = {name: [] for name in compared}
        looked_at = [row, *_spread([r for r in rows if r != row and r not in say], REPORT_FRAMES)]
        for r in looked_at:
            seen = frame_masks(capture, images, r, REPORT_SIDE)[0]
            for name, template in compared.items():
                overlap[name].append(float(np.mean(silhouette_iou(template, body, pose[r], transl[r], seen))))
        for name, (here, *elsewhere) in overlap.items():
            others = f", {np.mean(elsewhere):.3f} in {len(elsewhere)} others" if elsewhere else ""
            print(f"  {name}: overlap with the masks (IoU) {here:.3f} in this frame{others}")
        for line in advice(len(names), overlap["template"][0], made.watertight):
            print(f"  - {line}")
        print(f"Train on it with: ns-train ... --pipeline.model.template-mesh {self.output}")
        return overlap

    def _check(self) -> None:
        if self.output.suffix.lower() not in SUFFIXES:
            raise TemplateError(f"{self.output}: expected a name ending in {', '.join(SUFFIXES)}")
        if self.output.exists() and not self.overwrite:
            raise TemplateError(f"{self.output} is there already; give another name, or --overwrite to replace it")
        if not self.output.absolute().parent.is_dir():
            raise TemplateError(f"{self.output.absolute().parent}: no such folder; make it first")
        for name, low, high in (("voxel_m", 0.004, 0.05), ("reach_m", 0.02, 1.0), ("upper_reach_m", 0.02, 1.0)):
            if not low <= getattr(self.hull, name) <= high:
                option = name.replace("_", "-")
                raise TemplateError(f"--hull.{option} {getattr(self.hull, name)}: expected {low} to {high} metres")
        if not 0 <= self.hull.frames <= MOST_FRAMES:
            raise TemplateError(f"--hull.frames {self.hull.frames}: expected 0 to {MOST_FRAMES} other frames")

    def _row(self, capture: Capture, rows: list[int], scores: np.ndarray) -> int:
        if self.frame is None:
            return rows[int(scores.argmax())]
        numbers = [capture.frames[r] for r in rows]
        if self.frame not in numbers:
            raise TemplateError(
                f"{self.data}: --frame {self.frame}: expected a training frame ({numbers[0]}..{numbers[-1]}; held-out "
                "frames are not looked at)"
            )
        return rows[numbers.index(self.frame)]


def frame_masks(
    capture: Capture, images: tuple[CaptureImage, ...], row: int, max_side: int
) -> tuple[FrameMasks, list[str]]:
    """Masks of one row, and the names of their cameras; those without a person in them are left out. Raises
    `CaptureError` for fewer than two."""
    maps, person, views = UndistortMaps(), [], []
    for image in images:
        if image.frame != row:
            continue
        view = scaled_view(capture.cameras[image.camera], 1.0, max_side)
        matte = load_matte(image.mask_path, view, maps) >= PERSON_THRESHOLD
        if np.count_nonzero(matte) >= LEAST_PERSON:
            person.append(matte)
            views.append(view)
    if len(views) < 2:
        raise CaptureError(
            f"{capture.root}: frame {capture.frames[row]} has {len(views)} masks with a person in training cameras; a "
            "visual hull needs at least 2 cameras (and 6 to be good). Bring a mesh of your own, or train on the body"
        )
    K, T = (np.stack([getattr(v, name) for v in views]) for name in ("K", "T_cam_world"))
    return FrameMasks(tuple(person), K, T), [view.name for view in views]


def write_mesh(template: Template, path: Path) -> None:
    """In the canonical pose, metres."""
    import trimesh

    trimesh.Trimesh(template.vertices, template.faces, process=False).export(path)


def advice(cameras: int, iou: float, watertight: bool) -> list[str]:
    """What to think of this hull."""
    lines = []
    if cameras < FEW_CAMERAS:
        lines.append(
            f"{cameras} cameras make a poor hull: it has volume wherever none of them sees through. Look at the mesh "
            "before training on it; --hull.reach-m 0.06 keeps it close to the body, and a mesh of your own or the "
            "body's surface may be better."
        )
    if iou < GOOD_IOU:
        lines.append(
            f"The template overlaps the masks of its own frame by {iou:.2f} only: masks, cameras and body fit do not "
            "agree there. `mobavatar doctor` says which; --pipeline.model.refine silhouettes mends small errors."
        )
    if not watertight:
        lines.append("The hull is not closed; training does not need that.")
    return lines


def _spread(rows: list[int], count: int) -> list[int]:
    """At most `count` of the rows, evenly."""
    count = min(count, len(rows))
    return [rows[i] for i in np.linspace(0, len(rows) - 1, count).astype(int)] if count else []
