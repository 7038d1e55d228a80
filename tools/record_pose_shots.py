"""Takes the pictures of docs/pose.md: nerfstudio's viewer while a small avatar trains, and the page of the sample.

`python -m tools.record_pose_shots` trains on a synthetic capture for some minutes, poses the person in headless
Chromium with the mouse, and writes docs/pose/*.webp.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro
from PIL import Image
from playwright.sync_api import Page

from nerfstudio_mobavatar.motion.joint_names import INDEX
from tests.browser import avatar_page, browser, sample_page, serve
from tests.fixtures import make_mini_capture
from tests.viewer_training import FLAGS, Running, drag, fill, joints, on_screen, open_tab, training, wait

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Shots:
    """Take all pictures."""

    out: Path = ROOT / "docs" / "pose"
    steps: int = 600
    """Of training before the first picture."""
    gaussians: int = 3000
    width: int = 640
    """Pixels of the files."""
    quality: int = 55
    """WebP's, 0 to 100."""
    minutes: float = 30.0
    """Most time for the training."""
    parts: tuple[Literal["viewer", "page"], ...] = ("viewer", "page")
    """nerfstudio's viewer with its training, and the exported sample."""

    def main(self) -> None:
        """Train, pose, shoot; then the exported sample."""
        self.out.mkdir(parents=True, exist_ok=True)
        if "viewer" in self.parts:
            self._train()
        if "page" in self.parts:
            self._page()

    def _train(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            data = make_mini_capture(Path(folder) / "demo" / "mini", width=144, height=192, frames=12)
            with (
                training(data, Path(folder) / "runs", self.gaussians, self.steps) as running,
                browser(FLAGS) as chrome,
            ):
                page = open_tab(running, chrome)
                wait(lambda: len(running.steps) > self.steps + 20, "the training", 60 * self.minutes)
                self._viewer(running, page)
                page.context.close()

    def _page(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            site = sample_page(Path(folder), 'target-fps="1" max-pixel-ratio="0.8"')
            with browser() as chrome, serve(site) as url, avatar_page(chrome, url, 900, 600) as tab:
                tab.wait_ready()
                tab.page.keyboard.press("e")
                box = tab.page.locator("[data-joint=left_wrist] .dot").bounding_box()
                assert box is not None
                drag(tab.page, (box["x"] + 5, box["y"] + 5), (box["x"] - 25, box["y"] - 120))
                tab.settle()
                self._save(tab.page, "page-rings")

    def _viewer(self, running: Running, page: Page) -> None:
        page.get_by_label("Skeleton").check()
        page.mouse.click(*on_screen(running, page, joints(running)[INDEX["left_elbow"]]))
        page.wait_for_timeout(1500)
        fill(page, "left elbow y", -95)
        page.wait_for_timeout(1500)
        self._save(page, "elbow")
        page.get_by_label("Skeleton").uncheck()
        page.get_by_label("Drag hands and feet").check()
        page.wait_for_timeout(1000)
        wrist, up = joints(running)[INDEX["right_wrist"]], np.array([0.0, 1.0, 0.0])
        drag(page, on_screen(running, page, wrist + 0.1 * up), on_screen(running, page, wrist + 0.5 * up))
        page.wait_for_timeout(2000)
        self._save(page, "wrist")
        page.get_by_label("Drag hands and feet").uncheck()
        for tab in ("Face, hands", "Shape", "Motion"):
            page.get_by_role("tab", name=tab).click()
            if tab == "Shape":
                fill(page, "Shape 1", 2.5)
            if tab == "Motion":
                page.get_by_role("button", name="Play", exact=True).click()
                page.wait_for_timeout(1500)
                page.get_by_role("button", name="Pause", exact=True).click()
            page.wait_for_timeout(2500)
            self._save(page, tab.split(",")[0].lower())

    def _save(self, page: Page, name: str) -> None:
        data = np.frombuffer(page.screenshot(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
        size = (self.width, round(self.width * picture.shape[0] / picture.shape[1]))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        Image.fromarray(small).save(self.out / f"{name}.webp", "WEBP", quality=self.quality, method=6)


if __name__ == "__main__":
    tyro.cli(Shots).main()
