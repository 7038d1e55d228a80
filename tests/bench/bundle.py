"""The avatar file: bytes and picture losses of the presets, and how long a page takes to read it.

    python -m tests.bench.bundle losses --avatar SAMPLE.mobavatar
    python -m tests.bench.bundle fine-tune --avatar SAMPLE.mobavatar
    python -m tests.bench.bundle load

The sample was trained on frames 0 to 107 of a generated capture (120 frames, 10 cameras), which is made here: losses
are in decibels to its pictures of frames that training never saw, against those of the avatar before rounding.
`losses` and `fine-tune` (for a GPU) want the avatar before rounding, `load` the file that a page reads.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.losses import composite, person_box
from nerfstudio_mobavatar.metrics import psnr, ssim
from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from nerfstudio_mobavatar.web_export.evaluate import Pose, evaluate
from nerfstudio_mobavatar.web_export.fine_tune import FineTune
from nerfstudio_mobavatar.web_export.precision import PRESETS, ladder
from nerfstudio_mobavatar.web_export.quality import Precisely, network_inputs
from nerfstudio_mobavatar.web_export.reference import draw
from tests.bench.common import command_line, device_name, write

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "sample"
VIEWER = Path(bundle.__file__).parent / "viewer"
HELD_OUT, CAMERAS = (108, 112, 116, 119), (0, 3, 7)
"""Frames after the last trained one, and cameras."""
TUNED = ("small", "small / 2", "small / 4")
WIDTH, HEIGHT = 768, 1024


def held_out(avatars: dict[str, bundle.AvatarArrays], device: str) -> dict[str, np.ndarray]:
    """(PSNR, SSIM) to pictures that training never saw and PSNR to the first avatar's, on the person's crop: means over
    frames and cameras."""
    recipe = DemoData(Path("unused"), frames=120, cameras=10, width=WIDTH, height=HEIGHT, frame_step=3).recipe()
    scene, m = recipe.scene(), recipe.motion
    found = {name: [] for name in avatars}
    first = next(iter(avatars.values()))
    pelvis = first.joint_rest[0].astype(np.float64)
    for row in HELD_OUT:
        truth = recipe.render(scene, row)
        pose = pose_sequence.from_smplx(m.pose[row], m.transl[row], m.expression[row], pelvis)
        for camera in CAMERAS:
            mask = torch.from_numpy(truth.alpha[camera])[..., None]
            target = composite(torch.from_numpy(truth.rgb[camera])[None], mask[None], torch.ones(3))[0]
            box, exact = person_box(mask), None
            for name, a in avatars.items():
                view = recipe.cameras[camera]
                shown = box.cut(picture(a, pose, view.T_cam_world, view.K, device))
                exact = shown if exact is None else exact
                to_exact = psnr(shown, exact) if shown is not exact else np.inf
                found[name].append((psnr(shown, box.cut(target)), ssim(shown, box.cut(target)), to_exact))
    return {name: np.mean(values, 0) for name, values in found.items()}


def losses(avatar: Path, motion: Path) -> dict[str, object]:
    """Of the presets."""
    exact = bundle.load(avatar)
    poses = pose_sequence.read(motion)
    made = {name: bundle.encode(exact, p, network_inputs(exact, poses)) for name, p in PRESETS.items()}
    mean = held_out({"exact": exact} | {name: bundle.decode(data) for name, data in made.items()}, "cpu")
    result: dict[str, object] = {
        "exact_mb": round(avatar.stat().st_size / 1e6, 3),
        "exact_psnr_db": round(mean["exact"][0], 3),
    }
    for name, data in made.items():
        result[f"{name}_mb"] = round(len(data) / 1e6, 3)
        result[f"{name}_psnr_loss_db"] = round(mean["exact"][0] - mean[name][0], 4)
        result[f"{name}_perceptual_loss"] = round(mean["exact"][1] - mean[name][1], 5)
    sections = bundle.read_header(made["balanced"])[0]["sections"]
    return result | {
        "perceptual": "1 - SSIM on the person's crop (no LPIPS weights on this machine)",
        "sections": [{"name": e["name"], "bytes": e["stored_bytes"]} for e in sections],
        "pictures": len(HELD_OUT) * len(CAMERAS),
        "losses_device": device_name("cpu"),
        "losses_command": "python -m tests.bench.bundle losses --avatar AVATAR_BEFORE_ROUNDING",
    }


def fine_tune(avatar: Path, motion: Path, steps: int) -> dict[str, object]:
    """What `--fine-tune-steps` is worth from `small` on. A tuned file that grew is compared with a plain one as
    large."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    exact, poses = bundle.load(avatar), pose_sequence.read(motion)
    inputs, rows, files = network_inputs(exact, poses), [], {}
    for name, precision in ladder():
        if name not in TUNED:
            continue
        plain = bundle.encode(exact, precision, inputs)
        start = time.perf_counter()
        tuned = bundle.encode(exact, precision, inputs, FineTune(poses, steps, device))
        rows.append({"precision": name, "fine_tune_s": round(time.perf_counter() - start, 1)})
        if len(tuned) > len(plain):
            plain = Precisely("balanced", len(tuned)).encode(exact, poses).data
        files |= {f"{name}, plain": plain, f"{name}, tuned": tuned}
    mean = held_out({"exact": exact} | {key: bundle.decode(data) for key, data in files.items()}, device)
    for row in rows:
        for kind in ("plain", "tuned"):
            key = f"{row['precision']}, {kind}"
            row[f"{kind}_mb"] = round(len(files[key]) / 1e6, 3)
            row[f"{kind}_psnr_loss_db"] = round(mean["exact"][0] - mean[key][0], 4)
            row[f"{kind}_perceptual_loss"] = round(mean["exact"][1] - mean[key][1], 5)
            row[f"{kind}_to_exact_psnr_db"] = round(mean[key][2], 2)
    return {
        "fine_tune": rows,
        "fine_tune_steps": steps,
        "fine_tune_device": device_name(device),
        "fine_tune_command": "python -m tests.bench.bundle fine-tune --avatar AVATAR_BEFORE_ROUNDING",
    }


def picture(a: bundle.AvatarArrays, pose: Pose, T: np.ndarray, K: np.ndarray, device: str) -> torch.Tensor:
    """[h, w, 3] over white."""
    rgb, _ = draw(evaluate(a, pose), T, K, WIDTH, HEIGHT, np.ones(3), a.pixels_per_metre, device)
    return torch.from_numpy(np.asarray(rgb, np.float32)).clamp(0, 1)


LOAD_SCRIPT = """
async (url) => {
  const bytes = await (await fetch(url)).arrayBuffer();
  window.context ??= await load.prepare();
  const gaps = [];
  let [last, isRunning] = [performance.now(), true];
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    gaps.push(performance.now() - last);
    last = performance.now();
    if (isRunning) port2.postMessage(0);
  };
  port2.postMessage(0);
  const times = await load.read(window.context, bytes);
  isRunning = false;
  return { ...times, longest_task: Math.max(...gaps) };
}
"""
"""A message that is sent again and again waits for whatever task the page is busy with: the longest wait is one."""


def load(avatar: Path, repeats: int) -> dict[str, object]:
    """In headless Chromium, medians; on one core where the command is pinned to one."""
    from tests import browser

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["node", "build.mjs", "--load", folder], cwd=VIEWER, check=True, capture_output=True, timeout=120
        )
        (Path(folder) / "a.mobavatar").write_bytes(avatar.read_bytes())
        (Path(folder) / "index.html").write_text('<!doctype html><script src="load.js"></script>')
        runs = []
        with browser.serve(Path(folder)) as url, browser.browser() as opened:
            for _ in range(repeats):
                page = opened.new_page()
                page.goto(url)
                page.evaluate(LOAD_SCRIPT, "a.mobavatar")  # warm
                runs.append(page.evaluate(LOAD_SCRIPT, "a.mobavatar"))
                page.close()
    median = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
    return {
        "load_ms_1core": round(median["filled"], 1),
        "load_decoded_ms": round(median["decoded"], 1),
        "load_neutral_ms": round(median["neutral"], 1),
        "longest_task_ms": round(median["longest_task"], 1),
        "load_file_mb": round(avatar.stat().st_size / 1e6, 3),
        "load_device": f"headless Chromium, {device_name('cpu')}",
        "load_command": f"taskset -c 0 {command_line()}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("losses", "fine-tune", "load"))
    parser.add_argument("--avatar", type=Path, default=SAMPLE / "avatar.mobavatar")
    parser.add_argument("--motion", type=Path, default=SAMPLE / "motion.pose.bin")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    args = parser.parse_args()
    parts = {
        "losses": lambda: losses(args.avatar, args.motion),
        "fine-tune": lambda: fine_tune(args.avatar, args.motion, args.steps),
        "load": lambda: load(args.avatar, args.repeats),
    }
    found = parts[args.part]()
    write("bundle", json.loads(json.dumps(found)))


if __name__ == "__main__":
    main()
