"""One avatar file, pose and camera through three renderers: torch, wgpu-py and Chromium; and how far apart they are.

wgpu-py draws in a process of its own (a driver may abort it), where the Vulkan driver can be chosen:

    VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json python -m tests.renderers SHOTS.npz PICTURES.npy
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.web_export import bundle, evaluate
from nerfstudio_mobavatar.web_export.reference import draw

from .browser import AvatarPage

SWIFTSHADER_ICDS = (
    "/usr/lib/chromium/vk_swiftshader_icd.json",
    "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
    "/opt/google/chrome/vk_swiftshader_icd.json",
)
DRAW_SECONDS = 120


@dataclass(frozen=True)
class Shot:
    """What to draw: a pose through a camera over a plain background."""

    pose: evaluate.Pose
    T_cam_world: np.ndarray
    K: np.ndarray
    width: int
    height: int
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)


def swiftshader_icd() -> str | None:
    """Chromium's own software Vulkan driver, so that wgpu-py and Chromium can be compared on the same one."""
    return next((path for path in SWIFTSHADER_ICDS if Path(path).is_file()), None)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels between two uint8 pictures; infinite where they are equal."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def person_crop(picture: np.ndarray, background: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> tuple[slice, slice]:
    """Rows and columns of the box around everything that is not background. Raises ValueError on an empty picture."""
    plain = np.rint(255 * np.array(background))
    person = (np.abs(picture[..., :3] - plain) > 2).any(-1)
    if not person.any():
        raise ValueError("the picture shows nothing but background")
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def draw_torch(avatar: bytes, shot: Shot) -> np.ndarray:
    """[height, width, 3] uint8: decoded file, numpy evaluator, torch rasteriser."""
    arrays = bundle.decode(avatar)
    posed = evaluate.evaluate(arrays, shot.pose)
    background = np.array(shot.background)
    rgb, _ = draw(posed, shot.T_cam_world, shot.K, shot.width, shot.height, background, arrays.pixels_per_metre)
    return np.rint(255 * rgb).astype(np.uint8)


def draw_wgpu(avatar: bytes, shots: list[Shot], icd: str | None = None) -> list[np.ndarray]:
    """[height, width, 3] uint8 each, by wgpu-py on the Vulkan driver `icd` (None: the loader's choice)."""
    environment = dict(os.environ) | ({"VK_ICD_FILENAMES": icd, "VK_DRIVER_FILES": icd} if icd else {})
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "shots.npz", Path(folder) / "pictures.npz"
        arrays = {"avatar": np.frombuffer(avatar, np.uint8)}
        for i, s in enumerate(shots):
            values = (s.pose.pose, s.pose.Rh, s.pose.Th, s.pose.expression, s.T_cam_world, s.K)
            arrays |= {f"{i}_{j}": np.asarray(v) for j, v in enumerate(values)}
            arrays[f"{i}_frame"] = np.array([s.width, s.height, *s.background])
        np.savez(source, **arrays)  # type: ignore[arg-type]
        command = [sys.executable, "-m", "tests.renderers", str(source), str(target)]
        root = Path(__file__).parent.parent
        done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=DRAW_SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"wgpu-py failed with status {done.returncode}: {done.stderr[-2000:]}")
        with np.load(target) as pictures:
            return [pictures[str(i)] for i in range(len(shots))]


def draw_chromium(page: AvatarPage, shot: Shot) -> np.ndarray:
    """[height, width, 3] uint8, by a page that shows the avatar."""
    p = shot.pose
    row = {"pose": p.pose.ravel(), "Rh": p.Rh, "Th": p.Th, "expression": p.expression}
    page.hold({key: np.asarray(value, np.float64).tolist() for key, value in row.items()})
    page.look(shot.T_cam_world, shot.K, shot.width, shot.height)
    return page.read_pixels(shot.width, shot.height, shot.background)[..., :3]


def _draw_in_this_process(source: Path, target: Path) -> None:
    from nerfstudio_mobavatar.web_export.wgpu_renderer import WgpuRenderer

    with np.load(source) as given:
        renderer = WgpuRenderer(given["avatar"].tobytes())
        pictures = {}
        for i in range(sum(key.endswith("_frame") for key in given)):
            pose, Rh, Th, expression, T, K = (given[f"{i}_{j}"] for j in range(6))
            width, height, *background = given[f"{i}_frame"].tolist()
            shot = (evaluate.Pose(pose, Rh, Th, expression), T, K, int(width), int(height), np.array(background))
            pictures[str(i)] = renderer.render(*shot)
    np.savez(target, **pictures)


if __name__ == "__main__":
    _draw_in_this_process(Path(sys.argv[1]), Path(sys.argv[2]))
