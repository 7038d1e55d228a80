"""`mobavatar demo-data`: writes the synthetic capture to disk in the AvatarReX layout."""

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nerfstudio_mobavatar.capture import CaptureCamera, CaptureError
from nerfstudio_mobavatar.demo.clothed import Outfit
from nerfstudio_mobavatar.demo.folds import Folds
from nerfstudio_mobavatar.demo.motion import Motion, load_motion, procedural_motion
from nerfstudio_mobavatar.demo.scene import RenderedFrame, Scene, dome_cameras, stand_on_ground
from nerfstudio_mobavatar.demo.shading import Lighting

JPEG_QUALITY = 95
README = """SYNTHETIC capture, made by `mobavatar demo-data`. Nobody was filmed.

Layout: AvatarReX (calibration_full.json, CAM/%08d.jpg, CAM/mask/pha/%08d.jpg, smpl_params.npz).
Geometry: the open body of nerfstudio-mobavatar, derived from MakeHuman assets (CC0). Not SMPL-X, not AvatarReX data.
Body parameters: axis-angle, flat_hand_mean=True, betas and expression of the open body; y up, metres, 30 fps.
"""
_MARKER = "SYNTHETIC capture, made by `mobavatar demo-data`"


@dataclass
class DemoData:
    """Render a synthetic capture: a clothed person with pose-dependent folds in a dome of calibrated cameras."""

    output: Annotated[Path, tyro.conf.Positional]
    """Folder to write. Must be empty or not exist yet."""
    frames: int = 200
    """Number of frames."""
    cameras: int = 12
    """Number of cameras around the person."""
    width: int = 384
    """Image width in pixels."""
    height: int = 512
    """Image height in pixels."""
    lighting: Lighting = "dome"
    """`dome`: even light from all sides, as in a capture dome. `key`: a lamp with hard shadows, much harder to fit."""
    folds: Folds = "plain"
    """`rich`: six more folds at every joint, each driven by an angle of its own; much harder to fit."""
    outfit: Outfit = "trousers"
    """`skirt`: loose clothing that no body surface describes (docs/clothing.md)."""
    motion: Path | None = None
    """Motion file with the arrays of `smpl_params.npz` (y up, 30 fps); procedural motion if not given."""
    frame_step: int = 1
    """Use every so many-th frame of the 30 fps motion."""
    seed: int = 0
    """Seed of motion, body shape, cameras and sensor noise. The same seed gives the same bytes on the same device."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to render; `auto` takes CUDA if there is one and says so."""
    workers: int = 0
    """CPU processes (on CUDA: threads that write files). 0: one per core."""
    overwrite: bool = False
    """Replace an earlier synthetic capture in `output`. Other files are never deleted."""

    def main(self) -> None:
        """Write the capture. Raises `CaptureError` for settings or folders that cannot be used."""
        self._check()
        device = self._resolve_device()
        recipe = self.recipe(device)
        _prepare_folder(self.output, self.overwrite)
        _write_metadata(self.output, recipe)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            task = progress.add_task(f"rendering on {device}", total=self.frames * self.cameras)
            render = _render_on_cpu if device == "cpu" else _render_on_cuda
            for _ in render(recipe, self.output, self._num_workers(device)):
                progress.advance(task, self.cameras)
        print(f"{self.frames} frames x {self.cameras} cameras ({self.width}x{self.height}) in {self.output}")

    def recipe(self, device: str = "cpu") -> "Recipe":
        """Everything that decides the pictures, without touching the disk: `recipe().scene()` renders in memory."""
        if self.motion is None:
            motion = procedural_motion(self.frames, self.frame_step, self.seed)
        else:
            motion = load_motion(self.motion, self.frames, self.frame_step)
        return self.recipe_of(motion, device)

    def recipe_of(self, motion: Motion, device: str = "cpu") -> "Recipe":
        """The same person, cameras and light with a motion made elsewhere."""
        betas = _person(self.seed)
        motion = stand_on_ground(motion, betas)
        cameras = dome_cameras(motion, betas, self.cameras, self.width, self.height, self.seed)
        return Recipe(betas, motion, cameras, self.lighting, self.seed, device, self.folds, self.outfit)

    def _check(self) -> None:
        for name, low in (("frames", 1), ("cameras", 1), ("width", 16), ("height", 16), ("frame_step", 1)):
            if getattr(self, name) < low:
                raise CaptureError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected at least {low}")
        if self.workers < 0:
            raise CaptureError(f"--workers {self.workers}: expected 0 (one per core) or more")

    def _resolve_device(self) -> str:
        available = torch.cuda.is_available()
        if self.device == "cuda" and not available:
            raise CaptureError("--device cuda: torch finds no CUDA device; use --device cpu")
        return "cuda" if available and self.device != "cpu" else "cpu"

    def _num_workers(self, device: str) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(self.workers or cores, self.frames if device == "cpu" else 32)


@dataclass(frozen=True, eq=False)
class Recipe:
    """A scene before anything heavy is built; small, and sent to worker processes as it is."""

    betas: ndarray
    motion: Motion
    cameras: tuple[CaptureCamera, ...]
    lighting: Lighting
    seed: int
    device: str
    folds: Folds
    outfit: Outfit = "trousers"

    def scene(self) -> Scene:
        """Build the person (about a second)."""
        device = torch.device(self.device)
        return Scene(self.betas, self.cameras, self.lighting, self.seed, device, self.folds, self.outfit)

    def render(self, scene: Scene, row: int) -> RenderedFrame:
        """All cameras' pictures of frame `row`."""
        motion = self.motion
        return scene.render(motion.pose[row], motion.transl[row], motion.expression[row], row)


def _person(seed: int) -> ndarray:
    """Body shape of this seed: an ordinary adult."""
    return np.random.default_rng(seed + 7).normal(0, 0.5, 10).astype(np.float32)


def _prepare_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise CaptureError(f"{folder}: expected a folder, found a file; give another output")
    if folder.is_dir() and any(folder.iterdir()):
        readme = folder / "README.txt"
        ours = readme.is_file() and _MARKER in readme.read_text(errors="replace")
        if not overwrite:
            raise CaptureError(f"{folder} is not empty; give another output folder, or --overwrite to replace it")
        if not ours:
            raise CaptureError(
                f"{folder} holds something else than a synthetic capture; nothing was deleted. Empty it "
                "yourself or give another output folder"
            )
        for name in json.loads((folder / "calibration_full.json").read_text()):
            shutil.rmtree(folder / name, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.txt").write_text(README)
    except OSError as error:
        raise CaptureError(f"{folder}: cannot write there ({error}); give another output folder") from error


def _write_metadata(folder: Path, recipe: Recipe) -> None:
    calibration = {}
    for camera in recipe.cameras:
        K = camera.K.copy()
        K[:2, 2] -= 0.5  # the file has OpenCV's pixel centres at integers
        calibration[camera.name] = {
            "K": K.ravel().tolist(),
            "R": camera.T_cam_world[:3, :3].ravel().tolist(),
            "T": camera.T_cam_world[:3, 3].tolist(),
            "distCoeff": camera.distortion.tolist(),
            "imgSize": [camera.width, camera.height],
            "rectifyAlpha": 0.0,
        }
        (folder / camera.name / "mask" / "pha").mkdir(parents=True)
    (folder / "calibration_full.json").write_text(json.dumps(calibration, indent=1))
    pose, frames = recipe.motion.pose, len(recipe.motion.pose)
    np.savez(
        folder / "smpl_params.npz",
        betas=recipe.betas[None],
        global_orient=pose[:, 0],
        transl=recipe.motion.transl,
        body_pose=pose[:, 1:22].reshape(frames, 63),
        jaw_pose=pose[:, 22],
        expression=recipe.motion.expression,
        left_hand_pose=pose[:, 25:40].reshape(frames, 45),
        right_hand_pose=pose[:, 40:55].reshape(frames, 45),
    )
    (folder / "missing_img_files.txt").write_text("")


def _render_on_cpu(recipe: Recipe, folder: Path, workers: int) -> Iterator[int]:
    """Yields rows as they are written. One torch thread per process: faster, and the same bytes for any number."""
    rows = range(len(recipe.motion.pose))
    if workers == 1:
        with _one_thread():
            scene = recipe.scene()
            for row in rows:
                _write_frame(folder, row, recipe.cameras, recipe.render(scene, row))
                yield row
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(recipe, folder))
    try:
        futures: list[Future[int]] = [pool.submit(_work, row) for row in rows]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _render_on_cuda(recipe: Recipe, folder: Path, workers: int) -> Iterator[int]:
    """Yields rows as they are written; encoding overlaps with the rendering of the next frames."""
    scene = recipe.scene()
    pool = ThreadPoolExecutor(workers)
    pending: list[tuple[int, list[Future[None]]]] = []
    try:
        for row in range(len(recipe.motion.pose)):
            frame = recipe.render(scene, row)
            pending.append(
                (
                    row,
                    [
                        pool.submit(_write_image, folder, row, c.name, frame.rgb[k], frame.alpha[k])
                        for k, c in enumerate(recipe.cameras)
                    ],
                )
            )
            while len(pending) > 4:
                yield _finish(*pending.pop(0))
        while pending:
            yield _finish(*pending.pop(0))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finish(row: int, writes: list[Future[None]]) -> int:
    for write in writes:
        write.result()
    return row


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Worker:
    """State of one worker process."""

    def __init__(self) -> None:
        self.job: tuple[Recipe, Path] | None = None
        self.scene: Scene | None = None


@lru_cache(maxsize=1)
def _worker() -> _Worker:
    return _Worker()


def _start_worker(recipe: Recipe, folder: Path) -> None:
    torch.set_num_threads(1)
    _worker().job = (recipe, folder)


def _work(row: int) -> int:
    """One frame in a worker process. The scene is built here and not on start, so that its errors reach the parent."""
    worker = _worker()
    if worker.job is None:
        raise RuntimeError("worker was not started with a job")
    recipe, folder = worker.job
    if worker.scene is None:
        worker.scene = recipe.scene()
    _write_frame(folder, row, recipe.cameras, recipe.render(worker.scene, row))
    return row


def _write_frame(folder: Path, row: int, cameras: tuple[CaptureCamera, ...], frame: RenderedFrame) -> None:
    for k, camera in enumerate(cameras):
        _write_image(folder, row, camera.name, frame.rgb[k], frame.alpha[k])


def _write_image(folder: Path, row: int, name: str, rgb: UInt8[ndarray, "h w 3"], alpha: UInt8[ndarray, "h w"]) -> None:
    image, mask = folder / name / f"{row:08d}.jpg", folder / name / "mask" / "pha" / f"{row:08d}.jpg"
    for path, content in ((image, rgb), (mask, alpha)):
        # colour at full resolution: at small sizes halved chroma would be the largest error of all
        Image.fromarray(content).save(path, quality=JPEG_QUALITY, subsampling=0)
