"""`ns-export mobavatar`: from a training run to a folder that any static web server can serve."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from nerfstudio_mobavatar import __version__, durable
from nerfstudio_mobavatar.capture import Capture

from . import bundle, pose_sequence
from .cameras import front_camera
from .evaluate import Pose, evaluate
from .from_avatar import avatar_arrays
from .levels import describe_levels, views_of, with_levels
from .motions import given_motions, poses_of, rig_of, training_motion, write_motions
from .precision import Quality
from .quality import BALANCED, Draw, Precisely, table
from .reference import draw
from .rights import UNSTATED, read_license
from .trained_range import describe, with_training

AVATAR_FILE, POSTER_FILE, README_FILE = "avatar.mobavatar", "poster.jpg", "README.txt"

VIEWER_LINE = "index.html, *.js    the viewer"
"""Of the README; a gallery, which has one viewer for all, replaces it."""
README = """This folder is a web page that shows an animatable avatar. Copy it to any web server and open index.html
(over https, or on localhost: browsers offer WebGPU nowhere else). Opening the file from disk does not work.

avatar.mobavatar    the avatar ({gaussians:,} Gaussians; format: FORMAT.md of nerfstudio-mobavatar)
motion.pose.bin     {frames} poses at {fps:g} frames a second: {name}
motions.json        list of this and further motions (*.pose.bin)
poster.jpg          picture shown while the avatar loads
{viewer_line}

Licence of the avatar: {license}
Body model: {body}. {body_license}
Made with nerfstudio-mobavatar {version}.
"""


class ExportError(RuntimeError):
    """Nothing was written; the message says why and what to do."""


@dataclass
class ExportMobavatar:
    """Write the avatar, its training motion and the WebGPU viewer into one self-contained folder."""

    load_config: Path
    """The config.yml that training wrote."""
    output_dir: Path
    """Folder to write; it must be empty or absent unless --overwrite is given."""
    overwrite: bool = False
    """Replace the files of an earlier export in a folder that is not empty; other files stay."""
    poster_height: int = 960
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

    def main(self) -> None:
        """Check the folder first, then load the run, write to a temporary folder, move into place."""
        check_output_dir(self.output_dir, self.overwrite)
        for path in self.motion:
            if not path.exists():
                raise ExportError(f"{path}: expected a motion for --motion, found no such file; nothing was written")
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
                model, self.output_dir, self.poster_height, self.motion, self.pose_safety, license_text, written
            )
        except OSError as error:
            if error.errno not in durable.CANNOT_WRITE:
                raise
            raise ExportError(f"nothing was written: {durable.reason(error, self.output_dir)}") from error
        for name, size in sizes.items():
            CONSOLE.print(f"  {name:<20} {size / 1e6:8.2f} MB")
        CONSOLE.print(
            f"Done: serve {self.output_dir} with any web server, for example: mobavatar view {self.output_dir}"
        )


def check_output_dir(folder: Path, overwrite: bool) -> None:
    """Raise `ExportError` if the folder cannot be written or has files that were not asked to be replaced."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file; expected a folder to write into")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ExportError(f"{folder} is not empty; nothing was written. Choose another folder or give --overwrite")
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not os.access(existing, os.W_OK):
        raise ExportError(f"{existing} is not writable; nothing was written. Choose another folder")


def write_bundle(
    model: Any,
    folder: Path,
    poster_height: int,
    motions: Sequence[Path] = (),
    pose_safety: bool = True,
    license_text: str = "",
    precisely: Precisely = BALANCED,
) -> dict[str, int]:
    """Write every file to a temporary folder first and move them in at the end (`durable.staging`). Returns bytes by
    file name."""
    capture: Capture = model.capture
    rows = model.get_buffer("train_rows").tolist()
    rig, training = rig_of(model), training_motion(model, rows)
    given = given_motions(motions, training, rig)
    played = [*(named for named, _ in given), training]
    center, radius, front = person_sphere(model, rows[0])
    meta = {
        "generator": f"nerfstudio-mobavatar {__version__}",
        "up": list(capture.up),
        "front": front.tolist(),
        "center": center.tolist(),
        "radius": radius,
        "fps": capture.fps,
        "body": model.body_name,
        "body_license": model.body_license,
        **({"license": license_text} if license_text else {}),
        "training_frames": [int(capture.frames[r]) for r in (rows[0], rows[-1])],
    }
    arrays = avatar_arrays(model.avatar, meta)
    if pose_safety:
        arrays = with_training(arrays, [pose_of(model, r) for r in rows])
    for named, report in given:
        print(report)
        if pose_safety:
            print(f"  {describe(arrays, poses_of(named, rig))}")
    training_poses = [pose_of(model, r) for r in rows]
    fineness = training_pixels_per_metre(model, rows)
    views = views_of([training_poses[0], training_poses[len(rows) // 2]], meta)
    arrays = with_levels(arrays, views, fineness, model.device)
    for line in describe_levels(arrays):
        print(line)
    made = precisely.encode(arrays, training_poses)
    shown = [training_poses[i] for i in np.linspace(0, len(rows) - 1, min(len(rows), 3)).round().astype(int)]
    print(table(arrays, made, training_poses, drawing(shown, meta, min(poster_height, 512), model.device)))
    data = made.data
    with durable.staging(folder) as staging:
        (staging / AVATAR_FILE).write_bytes(data)
        write_motions(staging, played, rig)
        picture = poster(bundle.decode(data), pose_of(model, rows[0]), meta, poster_height, model.device)
        done, jpeg = cv2.imencode(".jpg", picture[..., ::-1])
        if not done:
            raise ExportError(f"{POSTER_FILE} could not be encoded by this OpenCV; nothing was written")
        (staging / POSTER_FILE).write_bytes(jpeg.tobytes())
        text = README.format(
            viewer_line=VIEWER_LINE,
            gaussians=len(arrays.position),
            frames=len(played[0].motion),
            fps=capture.fps,
            name=played[0].name,
            body=model.body_name,
            body_license=model.body_license,
            license=license_text or UNSTATED,
            version=__version__,
        )
        (staging / README_FILE).write_text(text)
        copy_viewer(staging)
        sizes = {file.name: file.stat().st_size for file in sorted(staging.iterdir())}
    return sizes


def copy_viewer(folder: Path) -> None:
    """The built page, as it ships inside this package."""
    with as_file(files("nerfstudio_mobavatar.web_export") / "viewer" / "dist") as dist:
        if not (dist / "index.html").is_file():
            raise ExportError(f"{dist} has no built viewer; run 'npm ci && npm run build' in web_export/viewer")
        for file in sorted(dist.iterdir()):
            shutil.copyfile(file, folder / file.name)


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


def person_sphere(model: Any, row: int) -> tuple[np.ndarray, float, np.ndarray]:
    """Centre [3] and radius (metres) of the person in one frame, and the horizontal direction it faces [3]."""
    with torch.no_grad():
        fit = (model.get_buffer(f"fit_{name}")[row] for name in ("pose", "transl", "expression"))
        means = model.avatar(*fit, False).gaussians.means.cpu().numpy()
    center = 0.5 * (means.min(0) + means.max(0))
    radius = float(np.linalg.norm(means - center, axis=1).max())
    up = np.array(model.capture.up)
    root = pose_sequence.rotation_matrices(model.get_buffer("fit_pose")[row, 0].cpu().numpy().astype(np.float64))
    front = root[:, 2] - up * (root[:, 2] @ up)
    if np.linalg.norm(front) < 0.1:  # lying down: any horizontal direction will do
        front = np.roll(up, 1)
    return center, radius, front / np.linalg.norm(front)


def drawing(poses: Sequence[Pose], meta: dict[str, Any], height: int, device: torch.device) -> Draw:
    """Posters of an avatar in these poses: what roundings are judged by."""
    return lambda arrays: [poster(arrays, pose, meta, height, device) for pose in poses]


def poster(
    arrays: bundle.AvatarArrays, pose: Pose, meta: dict[str, Any], height: int, device: torch.device
) -> np.ndarray:
    """[h, w, 3] uint8 rgb: what the exported file looks like, not what the training model does."""
    width = height * 3 // 4
    T, K = front_camera(meta, width, height)
    rgb, _ = draw(evaluate(arrays, pose), T, K, width, height, np.full(3, 0.94), arrays.pixels_per_metre, device)
    return np.rint(255 * rgb).astype(np.uint8)
