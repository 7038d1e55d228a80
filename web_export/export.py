"""`ns-export mobavatar`: from a training run to a folder that any static web server can serve."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar import __version__, durable
from nerfstudio_mobavatar.capture import Capture

from . import bundle, pose_sequence
from .evaluate import Pose
from .fine_tune import FineTune
from .from_avatar import avatar_arrays
from .levels import describe_levels, views_of, with_levels
from .motions import given_motions, page_motion, poses_of, rig_of, training_motion
from .page_folder import ExportError, check_output_dir, write_folder
from .poster import HEIGHT, as_jpeg, drawing, poster, stand
from .precision import Quality
from .quality import BALANCED, Precisely, table
from .rights import read_license
from .trained_range import describe, with_training


@dataclass
class ExportMobavatar:
    """Write the avatar, its training motion and the WebGPU viewer into one self-contained folder."""

    load_config: Path
    """The config.yml that training wrote."""
    output_dir: Path
    """Folder to write; it must be empty or absent unless --overwrite is given."""
    overwrite: bool = False
    """Replace the files of an earlier export in a folder that is not empty; other files stay."""
    poster_height: int = HEIGHT
    """Height of the poster picture, pixels (3:4 portrait)."""
    pose_safety: bool = True
    """Store what training saw of each region of the body, so that corrections are not extrapolated to other poses."""
    motion: tuple[Path, ...] = ()
    """Motions to play instead of the training motion, which comes last then: files of AMASS, GVHMR, WHAM, TRAM, EMAGE,
    BVH, .pose.json, smpl_params.npz, or SMPLer-X's folders. Where a wrong format, rate or up axis is detected,
    convert the file with `mobavatar convert-pose` and its flags first."""
    license: str = ""
    """Your licence for the avatar, as text or as the path of a text file; stored in it, shown by README.txt and
    `mobavatar info`. docs/rights.md says what the body under the avatar asks for besides."""
    quality: Quality = "balanced"
    """Precision of the avatar file: `high` cannot be told from the checkpoint, `balanced` takes half of it and still
    looks the same, `small` is for slow networks."""
    max_bytes: int | None = None
    """Most bytes that the avatar file may have; the finest precision that fits is taken, `--quality` or coarser."""
    fine_tune_steps: int = 0
    """Steps of training with the rounding in place, towards the checkpoint's own pictures: nearer to them in as many
    bytes. Worth a try from `--quality small` on; 1000 steps take a GPU about a minute."""

    def main(self) -> None:
        """Check the folder first, then load the run, write to a temporary folder, move into place."""
        check_output_dir(self.output_dir, self.overwrite)
        for path in self.motion:
            if not path.exists():
                raise ExportError(f"{path}: expected a motion for --motion, found no such file; nothing was written")
        if self.fine_tune_steps < 0:
            raise ExportError(f"--fine-tune-steps {self.fine_tune_steps}: expected 0 or more; nothing was written")
        license_text = read_license(self.license)
        from nerfstudio.utils.rich_utils import CONSOLE

        from nerfstudio_mobavatar.run_config import open_run

        _, pipeline, checkpoint, step = open_run(self.load_config)
        model: Any = pipeline.model
        if not hasattr(model, "avatar"):
            raise ExportError(f"{self.load_config}: trained by {type(model).__name__}; expected a mobavatar run")
        CONSOLE.log(f"Exporting {checkpoint.name} (step {step})")
        if not model.avatar.is_pruned and model.config.correctives:
            CONSOLE.log(
                "This checkpoint is from before pruning: every Gaussian keeps its correctives, the file is large."
            )
        written = Precisely(self.quality, self.max_bytes)
        try:
            sizes = write_bundle(
                model,
                self.output_dir,
                self.poster_height,
                self.motion,
                self.pose_safety,
                license_text,
                written,
                self.fine_tune_steps,
            )
        except OSError as error:
            if error.errno not in durable.CANNOT_WRITE:
                raise
            raise ExportError(f"nothing was written: {durable.reason(error, self.output_dir)}") from error
        for name, size in sizes.items():
            CONSOLE.print(f"  {name:<20} {size:>12,} bytes")
        CONSOLE.print(
            f"Done: serve {self.output_dir} with any web server, for example: mobavatar view {self.output_dir}"
        )


def write_bundle(
    model: Any,
    folder: Path,
    poster_height: int,
    motions: Sequence[Path] = (),
    pose_safety: bool = True,
    license_text: str = "",
    precisely: Precisely = BALANCED,
    fine_tune_steps: int = 0,
) -> dict[str, int]:
    """Write the folder, whole or not at all (`page_folder.write_folder`). Returns bytes by file name."""
    capture: Capture = model.capture
    rows = model.get_buffer("train_rows").tolist()
    rig, training = rig_of(model), training_motion(model, rows)
    given = given_motions(motions, training, rig)
    training_poses = [pose_of(model, r) for r in rows]
    arrays = avatar_arrays(model.avatar, {})
    meta = {
        "generator": f"nerfstudio-mobavatar {__version__}",
        "up": list(capture.up),
        **stand(arrays, training_poses[0], capture.up),
        "fps": capture.fps,
        "body": model.body_name,
        "body_license": model.body_license,
        **({"license": license_text} if license_text else {}),
        "training_frames": [int(capture.frames[r]) for r in (rows[0], rows[-1])],
    }
    arrays = replace(arrays, meta=meta)
    if pose_safety:
        arrays = with_training(arrays, training_poses)
    for named, report in given:
        print(report)
        if pose_safety:
            print(f"  {describe(arrays, poses_of(named, rig))}")
    fineness = training_pixels_per_metre(model, rows)
    views = views_of([training_poses[0], training_poses[len(rows) // 2]], meta)
    arrays = with_levels(arrays, views, fineness, model.device)
    for line in describe_levels(arrays):
        print(line)
    tune = FineTune(training_poses, fine_tune_steps, model.device) if fine_tune_steps else None
    made = precisely.encode(arrays, training_poses, tune)
    shown = [training_poses[i] for i in np.linspace(0, len(rows) - 1, min(len(rows), 3)).round().astype(int)]
    print(table(arrays, made, training_poses, drawing(shown, meta, min(poster_height, 512), model.device)))
    picture = poster(bundle.decode(made.data), training_poses[0], meta, poster_height, model.device)
    played = [page_motion(named, rig) for named in (*(named for named, _ in given), training)]
    return write_folder(folder, arrays, made.data, played, as_jpeg(picture))


def pose_of(model: Any, row: int) -> Pose:
    """The pose of one row of the fit."""
    pelvis = model.avatar.get_buffer("joint_rest")[0].cpu().numpy().astype(np.float64)
    pose, transl, expression = (
        model.get_buffer(f"fit_{name}")[row].cpu().numpy() for name in ("pose", "transl", "expression")
    )
    return pose_sequence.from_smplx(pose, transl, expression, pelvis)


def training_pixels_per_metre(model: Any, rows: Sequence[int]) -> float:
    """Pixels that a metre had at the person in the training pictures: the median over cameras and training frames."""
    metadata = model.kwargs["metadata"]
    transl, pelvis = model.get_buffer("fit_transl").cpu().numpy()[list(rows)], model.avatar.get_buffer("joint_rest")[0]
    found = []
    for number in sorted({image.camera for image in metadata["images"]}):
        view = metadata["views"][number]
        depth = (transl + pelvis.cpu().numpy()) @ view.T_cam_world[2, :3] + view.T_cam_world[2, 3]
        found.append(view.K[0, 0] / depth)
    return float(np.median(found))
