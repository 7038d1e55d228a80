"""What refinement of the body fit buys on a real capture, and that it leaves a right one alone.

    python -m tests.bench.refine overlap --data DIR
    python -m tests.bench.refine gain --data DIR --method mobavatar --steps 2500 --work DIR
    python -m tests.bench.refine perfect --method mobavatar-tiny --steps 200 --work DIR

Keys of results/captures.json: overlap of the body mesh with the masks (`real4cam_iou_before`, `_after`: mean over the
training cameras and every frame), crop PSNR on the held-out camera, its calibration left as it is on disk, with
refinement minus without (`refine_gain_db`), and on a generated capture with an exact fit (`perfect_capture_change_db`).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nerfstudio.utils.eval_utils import eval_setup

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig
from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.demo.mesh_raster import rasterize
from nerfstudio_mobavatar.images import PERSON_THRESHOLD, UndistortMaps, load_matte, scaled_view
from nerfstudio_mobavatar.refine import RefineConfig, refine, refined_pose
from nerfstudio_mobavatar.silhouette_fit import Corrections, corrected

from . import common, road

SIDE = 256
"""Pixels of the longer side at which masks are compared."""


def overlap_by_camera(capture: Any, body: Any, change: Corrections, rows: list[int]) -> dict[str, float]:
    """Mean intersection over union of the body mesh and the mask, per camera."""
    fit = capture.fit
    betas = torch.from_numpy(fit.betas) + change.betas
    pose = refined_pose(torch.from_numpy(fit.pose).float(), change)[rows]
    transl = (torch.from_numpy(fit.transl).float() + change.transl)[rows]
    vertices = body.vertices(pose, transl, betas, torch.from_numpy(fit.expression).float()[rows])
    T = torch.from_numpy(np.stack([c.T_cam_world for c in capture.cameras])).float()
    T = corrected(T, change.camera)
    values: dict[str, list[float]] = {camera.name: [] for camera in capture.cameras}
    for image in capture.images:
        if image.frame not in rows:
            continue
        view = scaled_view(capture.cameras[image.camera], 1.0, SIDE)
        mask = load_matte(image.mask_path, view, UndistortMaps()) >= PERSON_THRESHOLD
        x = vertices[rows.index(image.frame)] @ T[image.camera, :3, :3].T + T[image.camera, :3, 3]
        hits = rasterize(x, body.faces, torch.from_numpy(view.K).float(), view.width, view.height)
        drawn = np.zeros(mask.size, bool)
        drawn[hits.pixel.numpy()] = True
        drawn = drawn.reshape(mask.shape)
        values[view.name].append(float((drawn & mask).sum() / max((drawn | mask).sum(), 1)))
    return {name: round(float(np.mean(v)), 4) for name, v in values.items()}


def overlap(args: argparse.Namespace) -> None:
    parser = AutoDataParserConfig(data=args.data).setup()
    metadata = parser.get_dataparser_outputs("train").metadata
    capture, body = metadata["capture"], load_body(args.body)
    cameras = sorted({image.camera for image in metadata["images"]})
    result = refine(body, capture, cameras, metadata["train_frames"], RefineConfig())
    print(result.report)
    rows = list(range(0, len(capture.frames), args.every))
    nothing = Corrections.zeros(len(capture.frames), len(capture.fit.betas), len(capture.cameras), "cpu")
    before, after = (overlap_by_camera(capture, body, change, rows) for change in (nothing, result.corrections))
    names = [capture.cameras[c].name for c in cameras]
    values = {
        "real4cam_iou_before": round(float(np.mean([before[n] for n in names])), 4),
        "real4cam_iou_after": round(float(np.mean([after[n] for n in names])), 4),
        "real4cam_iou_by_camera": {n: [before[n], after[n]] for n in before},
        "real4cam_iou_held_out_cameras": [n for n in before if n not in names],
        "real4cam_iou_report": result.report,
        "real4cam_iou_command": command(args),
        "real4cam_iou_device": common.device_name("cpu"),
    }
    common.write("captures", values)


def command(args: argparse.Namespace) -> str:
    """The command that is running, without the folders of this machine."""
    places = {str(value) for value in vars(args).values() if isinstance(value, Path)}
    return " ".join("DIR" if word in places else word for word in common.command_line().split(" "))


def evaluate(config: Path) -> dict[str, dict[str, float]]:
    """Metrics by split of a trained run; and, where it corrected held-out cameras, again with their calibration as it
    was on disk."""
    _, pipeline, _, _ = eval_setup(config, test_mode="test")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline.eval().to(device)
    result: dict[str, Any] = {"as_trained": pipeline.get_average_eval_image_metrics()}
    model: Any = pipeline.model
    if model.corrections is not None:
        trained = {image.camera for image in model.kwargs["metadata"]["images"]}
        held_out = [c for c in range(len(model.capture.cameras)) if c not in trained]
        model.corrections.get_buffer("camera")[held_out] = 0
        result["held_out_cameras_as_on_disk"] = pipeline.get_average_eval_image_metrics()
    return {k: {m: round(float(x), 4) for m, x in v.items() if "/" in m} for k, v in result.items()}


def train_both(args: argparse.Namespace, data: Path, name: str) -> dict[str, dict[str, dict[str, float]]]:
    """Train without and with refinement on one machine; metrics by variant."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    out = {}
    for variant in ("off", "silhouettes"):
        road.nerfstudio(
            "train", args.method, "--data", str(data), "--output-dir", str(args.work), "--experiment-name",
            f"{name}-{variant}", "--timestamp", "run", "--vis", "tensorboard", "--machine.device-type", device,
            "--max-num-iterations", str(args.steps), "--steps-per-eval-image", "0",
            "--pipeline.model.refine", variant, *args.extra,
        )  # fmt: skip
        out[variant] = evaluate(args.work / f"{name}-{variant}" / args.method / "run" / "config.yml")
    return out


def gain_db(results: dict[str, dict[str, dict[str, float]]], key: str, second: str = "as_trained") -> float:
    """`key` with refinement minus without."""
    return round(results["silhouettes"][second][key] - results["off"]["as_trained"][key], 3)


def facts(args: argparse.Namespace) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "method": args.method,
        "steps": args.steps,
        "device": common.device_name(device),
        "command": command(args),
    }


def gain(args: argparse.Namespace) -> None:
    results = train_both(args, args.data, "real")
    values = {
        "held_out_camera_db": gain_db(results, "novel_view/psnr_crop"),
        "held_out_camera_db_calibration_as_on_disk": gain_db(
            results, "novel_view/psnr_crop", "held_out_cameras_as_on_disk"
        ),
        "held_out_frames_db": gain_db(results, "novel_pose/psnr_crop"),
        "results": results,
        **facts(args),
    }
    strict = values["held_out_camera_db_calibration_as_on_disk"]
    common.write("captures", {"refine_gain_db": strict, args.key: values})


def perfect(args: argparse.Namespace) -> None:
    data = args.work / "perfect"
    DemoData(data, frames=40, cameras=6, width=192, height=256, frame_step=5, overwrite=True).main()
    results = train_both(args, data, "perfect")
    values = {
        "held_out_camera_db": gain_db(results, "novel_view/psnr_crop"),
        "held_out_frames_db": gain_db(results, "novel_pose/psnr_crop"),
        "results": results,
        **facts(args),
    }
    common.write("captures", {"perfect_capture_change_db": values["held_out_camera_db"], "perfect_capture": values})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("overlap")
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--body", default="open")
    p.add_argument("--every", type=int, default=2, help="compare every n-th frame")
    p.set_defaults(run=overlap)
    for name, run in (("gain", gain), ("perfect", perfect)):
        p = commands.add_parser(name)
        p.add_argument("--method", default="mobavatar")
        p.add_argument("--steps", type=int, required=True)
        p.add_argument("--work", type=Path, required=True)
        p.add_argument("extra", nargs="*", help="after --: more options for ns-train")
        p.set_defaults(run=run)
        if name == "gain":
            p.add_argument("--data", type=Path, required=True)
            p.add_argument("--key", default="real4cam_refine")
    args = parser.parse_args(sys.argv[1:])
    args.run(args)


if __name__ == "__main__":
    main()
