"""What keeping an avatar inside of what training saw buys on held-out poses: crop PSNR by group of frames.

    python -m tests.bench.pose_safety --load-config RUN/config.yml \\
        --groups near:40:46 near2:80:86 far:120:144 cmu:144:168

A group is `name:first:last` (frame numbers, half open). Compared are the exported arrays

- `free`: as they are;
- `clamped`: network inputs clamped to the range of each in training;
- `softened`: after that, inputs of regions unlike training drawn to the region's mean (`trained_poses`; what hosts do);
- `part_clamped`: each part's features clamped to their own range over the training poses;
- `part_softened`: each part's features drawn towards their mean over training, the more the further the joints that
  move this part are from every trained pose;
- `constant`: the mean features of training (no dependence on the pose), which says how much there is to win.

The run: `tests.bench.pose_safety_capture` says how it is made (mobavatar-tiny, 900 steps). `near`, `near2` are gaps in
the training motion, `far` another procedural motion with its angles times 1.5, `cmu` real motion of the CMU data base.
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

from nerfstudio_mobavatar import images, trained_poses
from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.metrics import image_metrics
from nerfstudio_mobavatar.render import rasterize, resolve_backend
from nerfstudio_mobavatar.web_export import evaluate, trained_range
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from nerfstudio_mobavatar.web_export.export import pose_of
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays
from tests.bench import common

PART_RADIUS = 0.3
"""Radians around trained poses in which `part_softened` changes nothing (0.1 cost 0.1 dB on poses between them)."""


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
    a = trained_range.with_training(free, train)
    variants = make_variants(free, a, train)
    results: dict[str, Any] = {}
    for group in args.groups:
        name, first, last = group.split(":")
        rows = [i for i, f in enumerate(model.capture.frames) if int(first) <= f < int(last)][:: args.step]
        poses = [pose_of(model, row) for row in rows]
        found = {f"{k}_psnr_crop_db": measure(model, a, rows, args.cameras, v) for k, v in variants.items()}
        gain = {
            f"{k}_gain_db": round(found[f"{k}_psnr_crop_db"] - found["free_psnr_crop_db"], 4)
            for k in variants
            if k != "free"
        }
        outside = np.mean([max(trained_range.pose_distance(a, p).values()) > trained_range.TOLERANCE for p in poses])
        results[name] = found | gain | {"frames": len(rows), "frames_outside_share": float(outside)}
        print(name, results[name], flush=True)
    about = {
        "device": common.device_name(model.device),
        "command": common.command_line().replace(str(args.load_config), "RUN/config.yml"),
        "training_step": step,
    }
    common.write("pose_safety", about | {"training_poses": len(train), "cameras": args.cameras, "groups": results})


def make_variants(
    free: AvatarArrays, softened: AvatarArrays, train: list[evaluate.Pose]
) -> dict[str, Callable[[evaluate.Pose], np.ndarray]]:
    """Local features [P, 2K] of a pose, by what is done to keep them sane."""
    inputs = np.stack([evaluate.raw_inputs(free, pose) for pose in train])
    seen = np.stack([evaluate.features(free, x) for x in inputs])
    low, high, mean = seen.min(0), seen.max(0), seen.mean(0)
    near, clamped = neighbourhoods(free), replace(softened, trained_regions=())
    joints = inputs[:, : free.num_pose_inputs].reshape(len(inputs), -1, 3)

    def raw(pose: evaluate.Pose) -> np.ndarray:
        return evaluate.features(free, evaluate.raw_inputs(free, pose))

    def inside(pose: evaluate.Pose, a: AvatarArrays) -> np.ndarray:
        return evaluate.features(a, evaluate.mlp_inputs(a, pose))

    def part_softened(pose: evaluate.Pose) -> np.ndarray:
        x = evaluate.raw_inputs(free, pose)[: free.num_pose_inputs].reshape(1, -1, 3)
        beyond = np.maximum(distances(x, joints, near)[0] - PART_RADIUS, 0) / trained_poses.SOFTNESS
        return mean + np.exp(-0.5 * beyond**2)[:, None] * (inside(pose, clamped) - mean)

    return {
        "free": raw,
        "clamped": lambda pose: inside(pose, clamped),
        "softened": lambda pose: inside(pose, softened),
        "part_clamped": lambda pose: np.clip(raw(pose), low, high),
        "part_softened": part_softened,
        "constant": lambda pose: mean,
    }


def neighbourhoods(a: AvatarArrays) -> np.ndarray:
    """[P, 21] bool: the joints that move a part: those it is skinned to, their parents and their children."""
    parts = len(a.mlp_weights[0])
    weight = np.zeros((parts, 55))
    np.add.at(weight, (a.part[:, None], a.skin_index), a.skin_weight)
    used = weight > 0.05 * weight.sum(1, keepdims=True)
    near = used.copy()
    for j, parent in enumerate(a.joint_parent):
        if parent >= 0:
            near[:, j] |= used[:, parent]
            near[:, parent] |= used[:, j]
    return near[:, 1:22]


def distances(x: np.ndarray, trained: np.ndarray, near: np.ndarray) -> np.ndarray:
    """[n, P] radians from each pose [n, 21, 3] to the nearest trained one, over the joints that move a part (the
    largest of them)."""
    d = np.linalg.norm(x[:, None] - trained[None], axis=3)
    return np.stack([np.where(mask, d, 0).max(2).min(1) if mask.any() else np.zeros(len(x)) for mask in near], 1)


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
