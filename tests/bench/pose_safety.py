"""What clamping the pose inputs to their trained range buys on held-out poses: crop PSNR by group of frames.

    python -m tests.bench.pose_safety --load-config RUN/config.yml --groups near:40:46 far:130:154

A group is `name:first:last` (frame numbers, half open). Compared are the exported arrays without clamping, with it, and
with the mean features of training instead of any (no dependence on the pose), which says how much there is to win.

The stored figures are of a small avatar (mobavatar-tiny, 900 steps) on a capture of `mobavatar demo-data` (6 cameras,
144x192): trained on 114 procedural poses; `near`, `near2` are gaps in that motion, `far` another procedural motion with
its angles times 1.5, `cmu` real motion of the CMU data base.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from nerfstudio.utils.eval_utils import eval_setup

from nerfstudio_mobavatar import images
from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.metrics import image_metrics
from nerfstudio_mobavatar.render import rasterize, resolve_backend
from nerfstudio_mobavatar.web_export import evaluate, trained_range
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from nerfstudio_mobavatar.web_export.export import pose_of
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays
from tests.bench import common


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load-config", type=Path, required=True)
    parser.add_argument("--groups", nargs="+", required=True)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--step", type=int, default=1, help="every so many-th frame of a group")
    args = parser.parse_args()
    _, pipeline, _, step = eval_setup(args.load_config, test_mode="test")
    model: Any = pipeline.model
    free = avatar_arrays(model.avatar, {})
    train = [pose_of(model, row) for row in model.get_buffer("train_rows").tolist()]
    a = replace(free, input_range=trained_range.input_range(free, train))
    mean = np.mean([evaluate.features(a, evaluate.mlp_inputs(a, pose)) for pose in train], 0)
    variants: dict[str, Callable[[evaluate.Pose], np.ndarray]] = {
        "free": lambda pose: evaluate.features(free, evaluate.mlp_inputs(free, pose)),
        "clamped": lambda pose: evaluate.features(a, evaluate.mlp_inputs(a, pose)),
        "constant": lambda pose: mean,
    }
    results: dict[str, Any] = {}
    for group in args.groups:
        name, first, last = group.split(":")
        rows = [i for i, f in enumerate(model.capture.frames) if int(first) <= f < int(last)][:: args.step]
        poses = [pose_of(model, row) for row in rows]
        found = {f"{k}_psnr_crop_db": measure(model, a, rows, args.cameras, v) for k, v in variants.items()}
        gain = found["clamped_psnr_crop_db"] - found["free_psnr_crop_db"]
        outside = np.mean([(trained_range.joint_excess(a, p) > trained_range.TOLERANCE).any() for p in poses])
        results[name] = found | {"gain_db": gain, "frames": len(rows), "frames_outside_share": float(outside)}
        print(name, results[name], flush=True)
    about = {
        "device": common.device_name(model.device),
        "command": common.command_line().replace(str(args.load_config), "RUN/config.yml"),
        "training_step": step,
    }
    common.write("pose_safety", about | {"training_poses": len(train), "cameras": args.cameras, "groups": results})


@torch.no_grad()
def measure(model: Any, a: AvatarArrays, rows: list[int], cameras: int, features: Callable) -> float:
    """Mean crop PSNR over these rows of the fit, decibels."""
    maps, out = images.UndistortMaps(), []

    def to(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(x)).to(model.device)

    for row in rows:
        pose = pose_of(model, row)
        e = features(pose)
        posed = evaluate.posed(a, e, evaluate.node_displacements(a, e), evaluate.joint_transforms(a, pose))
        values = (posed.mean, posed.covariance, posed.color, posed.opacity)
        gaussians = PosedGaussians(*(to(x.astype(np.float32)) for x in values))
        shots = [s for s in model.capture.images if s.frame == row]
        for shot in shots[:: max(1, len(shots) // cameras)][:cameras]:
            view = images.scaled_view(model.capture.cameras[shot.camera])
            image = images.read_pixels(shot.image_path, view.width, view.height, False)
            matte = images.load_matte(shot.mask_path, view, maps)
            T, K = (to(x.astype(np.float32))[None] for x in (view.T_cam_world, view.K))
            white = torch.ones(3, device=model.device)
            backend = resolve_backend("auto", model.device)
            drawn = rasterize(gaussians, T, K, view.width, view.height, white, backend).rgb[0]
            target = to(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            out.append(image_metrics(drawn, target, to(matte[..., None]))["psnr_crop"])
    return float(np.mean(out))


if __name__ == "__main__":
    main()
