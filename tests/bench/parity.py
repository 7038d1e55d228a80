"""One exported folder through three renderers, in decibels on the person's crop; see `road.py parity`."""

from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.web_export import bundle, cameras, page_folder, pose_sequence
from tests import browser, renderers


def shots(folder: Path, size: int, frames: int) -> list[renderers.Shot]:
    """`frames` poses spread over the motion, seen by the camera of the poster; `size` is the height in pixels."""
    meta = bundle.load(folder / page_folder.AVATAR_FILE).meta
    poses = pose_sequence.read(pose_sequence.motion_of(folder))
    width = size * 3 // 4
    T, K = cameras.front_camera(meta, width, size)
    chosen = np.linspace(0, len(poses) - 1, frames).round().astype(int)
    return [renderers.Shot(poses[i], T, K, width, size) for i in chosen]


def measure(folder: Path, size: int, frames: int) -> dict[str, float]:
    """Worst pair over the poses: torch, wgpu-py and Chromium, the last two on Chromium's own software driver."""
    avatar = (folder / page_folder.AVATAR_FILE).read_bytes()
    views = shots(folder, size, frames)
    pictures = {
        "torch": [renderers.draw_torch(avatar, shot) for shot in views],
        "wgpu": renderers.draw_wgpu(avatar, views, renderers.swiftshader_icd()),
    }
    with browser.serve(folder) as url, browser.browser() as opened, browser.avatar_page(opened, url, 600, 800) as page:
        page.wait_ready()
        pictures["chromium"] = [renderers.draw_chromium(page, shot) for shot in views]
    result = {}
    for a, b in (("torch", "wgpu"), ("torch", "chromium"), ("wgpu", "chromium")):
        decibels = []
        for i, shot in enumerate(views):
            crop = renderers.person_crop(pictures["torch"][i], shot.background)
            decibels.append(renderers.psnr(pictures[a][i][crop], pictures[b][i][crop]))
        result[f"{a}_{b}"] = round(min(*decibels, 120.0), 2)  # equal pictures would be infinite
    return result
