"""Speed of the synthetic capture: `python -m tests.bench.demo_speed [--device cuda] [--width 768 --height 1024]`.

Merges into results/demo_speed.json under device, size and lighting; small pictures on CUDA are also compared with
the CPU's.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.demo.in_memory import render_in_memory
from nerfstudio_mobavatar.demo.scene import RenderedFrame
from tests.bench.common import command_line, device_name, write


def _against_cpu(shape: dict, frame: RenderedFrame) -> dict[str, float]:
    """How far the CPU's picture of the first frame is away; sensor noise differs between devices (1.5 of 255 each)."""
    recipe = DemoData(Path("unused"), **shape).recipe("cpu")
    reference = recipe.render(recipe.scene(), 0)
    inside = (frame.alpha == 255) & (reference.alpha == 255)
    gap = np.abs(frame.rgb.astype(int) - reference.rgb)[inside]
    return {
        "cpu_cuda_mean_difference_of_255": float(gap.mean()),
        "cpu_cuda_alpha_mismatch": float((frame.alpha != reference.alpha).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--lighting", default="dome", choices=["dome", "key"])
    a = parser.parse_args()
    shape = {"frames": a.frames, "cameras": a.cameras, "width": a.width, "height": a.height, "lighting": a.lighting}
    result = {"device": device_name(a.device), "torch": torch.__version__, "command": command_line(), **shape}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        DemoData(Path(folder) / "capture", device=a.device, workers=16 if a.device == "cuda" else 1, **shape).main()
        result["seconds_per_image_with_start"] = (time.perf_counter() - start) / (a.frames * a.cameras)
    recipe = DemoData(Path("unused"), **shape).recipe(a.device)
    scene = recipe.scene()
    frame = recipe.render(scene, 0)
    torch.set_num_threads(1)
    start, used = time.perf_counter(), time.process_time()
    for row in range(1, a.frames):
        recipe.render(scene, row)
    pictures = max(1, (a.frames - 1) * a.cameras)
    result["seconds_per_image_in_memory"] = (time.perf_counter() - start) / pictures
    result["processor_seconds_per_image_in_memory"] = (time.process_time() - used) / pictures  # on a busy machine
    start = time.perf_counter()
    drawn = render_in_memory(recipe)
    result["images_per_second_with_start_kept_on_device"] = a.frames * a.cameras / (time.perf_counter() - start)
    result["bytes_per_image_kept_on_device"] = drawn.num_bytes() / (a.frames * a.cameras)
    if a.device == "cuda":
        again = recipe.render(scene, 0)
        result["cuda_repeats_exactly"] = bool((again.rgb == frame.rgb).all() and (again.alpha == frame.alpha).all())
        if a.width <= 256:
            result |= _against_cpu(shape, frame)
    write("demo_speed", {f"{a.device} {a.width}x{a.height} {a.lighting}": result})


if __name__ == "__main__":
    main()
