"""`mobavatar convert`: an avatar into somebody else's format, or from the published runtime's back into ours."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from nerfstudio_mobavatar.motion import pose_json

from .. import pose_sequence
from ..evaluate import evaluate
from ..page_folder import AVATAR_FILE, check_output_dir
from ..precision import Quality
from ..quality import Precisely, size_table
from . import body_mesh, ply, runtime_npz, skinned_glb, sog, splats, splats_glb, spz
from .errors import ExchangeError
from .source import DEFAULT_FPS, Source, frame_of, open_source, rest_pose

SNAPSHOTS: dict[str, splats.Axes] = {".ply": "y-down", ".sog": "y-down", ".spz": "y-up", ".glb": "y-up"}
"""Ending and the axes of the format."""
FOLDER = "FOLDER"
TARGETS = {
    ".mobavatar": "the avatar file",
    ".npz": "the published runtime's avatar",
    ".pose.json": "a motion: an exported folder's, or a .pose.bin",
    ".pose.bin": "the same in about a fifteenth of the bytes",
    ".ply": "splats of one pose",
    ".spz": "splats of one pose",
    ".sog": "splats of one pose",
    ".glb": "splats of one pose (KHR_gaussian_splatting); with --motion a skinned model with animations",
    FOLDER: "a whole page: a name without a dot, or a folder that exists",
}


@dataclass
class Convert:
    """Write an avatar in another format; the ending of the target says which: .mobavatar, .npz (published runtime),
    .pose.json, .pose.bin, .ply, .spz, .sog or .glb; without one, a folder with the whole page. docs/exchange.md says
    what each of them keeps."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """Folder that `ns-export mobavatar` wrote, an avatar.mobavatar, an avatar .npz of the published runtime, or a
    motion (.pose.json, .pose.bin) to be written as the other."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """File or folder to write."""
    pose: Path | None = None
    """Splats: the motion (`.pose.json`, `.pose.bin`) whose frame is shown; by default the folder's, else a T-pose."""
    frame: int = 0
    """Splats: frame of the motion."""
    motion: tuple[Path, ...] = ()
    """`.glb`: motions (`.pose.json`, `.pose.bin`; others: `convert-pose`) as animations of a skinned model. Folder:
    motions that the page plays, in place of the source's own."""
    fps: float | None = None
    """With --motion: frames a second of the motions; by default those of the avatar's capture. Folder: only of motions
    that do not say theirs."""
    mesh: bool = False
    """`.glb` with --motion: the open body's mesh in place of the avatar's points."""
    axes: Literal["format", "world"] = "format"
    """Splats and `.glb`: upright as the format has it (.ply and .sog y down, .spz and .glb y up), or the world's axes
    as they are, so that the capture's cameras fit."""
    input_width: Literal[73, 74] = 73
    """`.npz`: 73 network inputs, or 74 with a zero between pose and expression, as one public player packs them."""
    quality: Quality = "balanced"
    """`.mobavatar`, folder: precision of the avatar, `high`, `balanced` or `small`, as of `ns-export mobavatar`."""
    max_bytes: int | None = None
    """`.mobavatar`, folder: most bytes of the avatar file; the finest precision that fits is taken, `--quality` or
    coarser."""
    pixels_per_metre: float | None = None
    """Folder: of the training pictures (focal length in pixels / distance in metres), for an avatar that does not say
    it; with it the page gets levels of detail, which slow devices and small pictures need."""
    overwrite: bool = False
    """Replace the target where it exists; of a folder its files of the same names, others stay."""

    def main(self) -> None:
        """Check everything that can be checked, read, write beside the target, move into place."""
        ending = self._ending()
        self._check(ending)
        if self._is_motion(ending):
            self._finish(lambda draft: self._write_motion(self.source, DEFAULT_FPS, draft))
            return
        source = open_source(self.source)
        for note in source.notes:
            print(f"{source.path}: {note}")
        if ending == FOLDER:
            from . import page  # brings torch, which draws the poster

            precisely = Precisely(self.quality, self.max_bytes)
            said = page.write(self.target, source, self.motion, self.fps, precisely, self.pixels_per_metre)
            print(f"{self.target}: {said}")
        else:
            self._finish(lambda draft: self._write(source, ending, draft))
        if ending in (".mobavatar", FOLDER):
            print(size_table((self.target / AVATAR_FILE if ending == FOLDER else self.target).read_bytes()))
        if source.rights:
            print(f"  licence: {source.rights}")

    def _is_motion(self, ending: str) -> bool:
        """Whether one form of a motion is to become another."""
        return ending in pose_json.ENDINGS and self.source.name.lower().endswith(pose_json.ENDINGS)

    def _finish(self, write: Callable[[Path], str]) -> None:
        """Write beside the target, move into place, and say what `write` says."""
        draft = self.target.with_name(f".unfinished-{self.target.name}")
        try:
            said = write(draft)
            draft.replace(self.target)
        finally:
            draft.unlink(missing_ok=True)
        size = self.target.stat().st_size
        print(f"{self.target}: {said}, {f'{size / 1e6:.2f} MB' if size >= 1e5 else f'{size:,} bytes'}")

    def _write_motion(self, source: Path, usual_fps: float, draft: Path) -> str:
        """One form of a motion as another, frame numbers kept."""
        rows, frame_ids = pose_json.read_numbered(source)
        fps = pose_json.stored_fps(source)
        pose_json.write_rows(draft, rows, frame_ids, fps or 0.0)
        return f"{len(rows)} poses at {fps or usual_fps:g} frames a second"

    def _ending(self) -> str:
        ending = next((e for e in TARGETS if self.target.name.lower().endswith(e)), None)
        if self.target.is_dir() or "." not in self.target.name:
            return FOLDER
        if ending is None:
            possible = "\n".join(f"  {e:<11} {what}" for e, what in TARGETS.items())
            raise ExchangeError(f"{self.target}: expected a name with one of these endings\n{possible}")
        return ending

    def _check(self, ending: str) -> None:
        """Raise for flags that the target has no use for, and for targets that cannot be written."""
        skinned = ending == ".glb" and bool(self.motion)
        snapshot = ending in SNAPSHOTS and not skinned
        has_avatar_file = ending in (".mobavatar", FOLDER)
        flags = {
            "--pose": (self.pose is not None, snapshot, "splats"),
            "--frame": (self.frame != 0, snapshot, "splats"),
            "--motion": (bool(self.motion), ending in (".glb", FOLDER), "a .glb or a folder"),
            "--fps": (self.fps is not None, skinned or ending == FOLDER, "a .glb with --motion or a folder"),
            "--mesh": (self.mesh, skinned, "a .glb with --motion"),
            "--axes": (self.axes != "format", ending in SNAPSHOTS, "splats and .glb"),
            "--quality": (self.quality != "balanced", has_avatar_file, "a .mobavatar or a folder"),
            "--max-bytes": (self.max_bytes is not None, has_avatar_file, "a .mobavatar or a folder"),
            "--pixels-per-metre": (self.pixels_per_metre is not None, ending == FOLDER, "a folder"),
            "--input-width": (self.input_width != 73, ending == ".npz", "a .npz"),
        }
        for flag, (given, has_use, use) in flags.items():
            if given and not has_use:
                raise ExchangeError(f"{flag} is for {use}; {self.target} is none. Leave it out.")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ExchangeError(f"--fps {self.fps}: expected more than 0 and at most 1000 frames a second")
        if self.pixels_per_metre is not None and not 0 < self.pixels_per_metre < np.inf:
            raise ExchangeError(f"--pixels-per-metre {self.pixels_per_metre}: expected a positive number")
        for path in (*self.motion, *([self.pose] if self.pose else [])):
            if not path.name.endswith((".json", pose_json.ENDINGS[1])) or not path.is_file():
                found = "another format" if path.is_file() else "none"
                raise ExchangeError(
                    f"{path}: expected a motion in .pose.json or .pose.bin, found {found}; "
                    "`mobavatar convert-pose` makes one of any other."
                )
        if ending == FOLDER:
            check_output_dir(self.target, self.overwrite)
            return
        if not self.target.absolute().parent.is_dir():
            raise ExchangeError(f"{self.target}: there is no folder {self.target.absolute().parent}; make it first.")
        if self.target.exists() and not self.overwrite:
            raise ExchangeError(f"{self.target} exists; nothing was written. Choose another name or give --overwrite.")

    def _write(self, source: Source, ending: str, draft: Path) -> str:
        """Write `draft`; what it is, for the terminal."""
        a = source.arrays
        if ending == ".mobavatar":
            made = Precisely(self.quality, self.max_bytes).encode(a, source.own_poses())
            draft.write_bytes(made.data)
            return f"avatar of {len(a.position):,} Gaussians ({made.name})"
        if ending == ".npz":
            runtime_npz.write(draft, a, self.input_width)
            return f"published runtime's layout, {self.input_width} network inputs (not tried in a player)"
        if ending in pose_json.ENDINGS:
            if source.motion is None:
                raise ExchangeError(f"{source.path}: has no motion; only an exported folder has one.")
            return self._write_motion(source.motion, source.fps, draft)
        axes = SNAPSHOTS[ending]
        R = np.eye(3) if self.axes == "world" else splats.upright(source.up, axes)
        if self.motion:
            return self._write_skinned(source, R, draft)
        path = self.pose or source.motion
        pose = rest_pose() if path is None else frame_of(path, self.frame)
        taken = splats.from_posed(evaluate(a, pose)).turned(R)
        if ending == ".glb":
            splats_glb.write(draft, taken, source.rights)
        else:
            {".ply": ply.write, ".spz": spz.write, ".sog": sog.write}[ending](draft, taken)
        shown = "T-pose (no motion was given)" if path is None else f"frame {self.frame} of {path}"
        return f"{len(taken):,} splats, {shown}"

    def _write_skinned(self, source: Source, R: np.ndarray, draft: Path) -> str:
        fps = self.fps or source.fps
        clips = [
            skinned_glb.Clip(path.name.removesuffix(".json").removesuffix(".pose"), pose_sequence.read(path), fps)
            for path in self.motion
        ]
        mesh = body_mesh.open_body_mesh(source.arrays, source.path) if self.mesh else None
        skinned_glb.write(draft, source.arrays, clips, R, mesh, source.rights)
        what = "the avatar's points" if mesh is None else f"the open body ({len(mesh.vertices):,} vertices)"
        return f"55 joints, {what}, {', '.join(f'{c.name}: {len(c.poses)} frames at {fps:g}' for c in clips)}"
