"""An avatar in other formats: size, how long writing takes, and how close its picture is in other people's readers.

    python -m tests.bench.exchange --bundle docs/sample --size 512 --frames 3

Pictures are drawn by the torch rasteriser, from what was read and from the avatar file, and compared on the person's
crop. splat-transform reads `.ply`, `.sog` and `.spz`, pygltflib `.glb`; `.npz` is read back by our own reader (the
tests have an independent one). Seconds are those of the whole command, start of Python included, median of three.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.web_export import bundle, page_folder, pose_sequence
from nerfstudio_mobavatar.web_export.evaluate import evaluate
from nerfstudio_mobavatar.web_export.exchange import runtime_npz
from tests.exchange_readers import gaussians_of_gltf, gaussians_of_table, read_csv, splat_transform, turned
from tests.renderers import Shot, person_crop, psnr

from . import common, parity

ENDINGS = (".npz", ".ply", ".sog", ".spz", ".glb")
THEIR_AXES = np.diag([1.0, -1.0, -1.0])
"""splat-transform turns what it reads of an `.spz` to right, down, front."""
REPEATS = 3


def draw(g: dict[str, np.ndarray], shot: Shot) -> np.ndarray:
    """[height, width, 3] uint8."""

    def tensor(x: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.asarray(x, np.float32))

    gaussians = PosedGaussians(*(tensor(g[key]) for key in ("mean", "covariance", "color", "opacity")))
    T, K = tensor(shot.T_cam_world)[None], tensor(shot.K)[None]
    with torch.no_grad():
        drawn = rasterize(gaussians, T, K, shot.width, shot.height, tensor(np.array(shot.background)), "torch")
    return (drawn.rgb[0].clamp(0, 1) * 255).round().byte().numpy()


def convert(folder: Path, target: Path, *flags: str) -> float:
    """Seconds that `mobavatar convert` takes."""
    command = [sys.executable, "-m", "nerfstudio_mobavatar.cli", "convert", str(folder), str(target), "--overwrite"]
    started = time.monotonic()
    subprocess.run([*command, *flags], check=True, capture_output=True)
    return time.monotonic() - started


def read(target: Path, shot: Shot) -> dict[str, np.ndarray]:
    """The Gaussians of the file in the world's axes."""
    if target.suffix == ".npz":
        return vars(evaluate(runtime_npz.read(target)[0], shot.pose))
    if target.suffix == ".glb":
        return gaussians_of_gltf(target)
    table = target.with_suffix(".csv")
    splat_transform(target, table)
    found = gaussians_of_table(read_csv(table))
    return turned(found, THEIR_AXES) if target.suffix == ".spz" else found


def measure(folder: Path, size: int, frames: int) -> dict[str, Any]:
    """One entry per ending."""
    avatar = bundle.load(folder / page_folder.AVATAR_FILE)
    views = parity.shots(folder, size, frames)
    chosen = np.linspace(0, len(pose_sequence.read(pose_sequence.motion_of(folder))) - 1, frames).round().astype(int)
    ours = [draw(vars(evaluate(avatar, shot.pose)), shot) for shot in views]
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for ending in ENDINGS:
            target, decibels = Path(temporary) / f"avatar{ending}", []
            for frame, shot, expected in zip(chosen, views, ours):
                flags = () if ending == ".npz" else ("--frame", str(frame), "--axes", "world")
                convert(folder, target, *flags)
                crop = person_crop(expected, shot.background)
                decibels.append(psnr(draw(read(target, shot), shot)[crop], expected[crop]))
            seconds = statistics.median(convert(folder, target) for _ in range(REPEATS))
            result[ending.removeprefix(".")] = {
                "size_mb": round(target.stat().st_size / 1e6, 3),
                "psnr_crop_worst_db": round(min(*decibels, 120.0), 2),
                "convert_s": round(seconds, 2),
            }
        for name, flags in (("skinned_glb", ()), ("skinned_body_glb", ("--mesh",))):
            target = Path(temporary) / f"{name}.glb"
            seconds = convert(folder, target, "--motion", str(pose_sequence.motion_of(folder)), *flags)
            result[name] = {"size_mb": round(target.stat().st_size / 1e6, 3), "convert_s": round(seconds, 2)}
    return result


def main() -> None:
    """Measure and write results/exchange.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("docs/sample"))
    parser.add_argument("--size", type=int, default=512, help="height of the pictures, pixels")
    parser.add_argument("--frames", type=int, default=3, help="poses, spread over the motion")
    args = parser.parse_args()
    avatar = args.bundle / page_folder.AVATAR_FILE
    common.write(
        "exchange",
        {
            "device": common.device_name("cpu"),
            "command": common.command_line(),
            "gaussians": len(bundle.load(avatar).position),
            "picture_height_px": args.size,
            "poses": args.frames,
            "avatar_file_mb": round(avatar.stat().st_size / 1e6, 3),
            "formats": measure(args.bundle, args.size, args.frames),
        },
    )


if __name__ == "__main__":
    main()
