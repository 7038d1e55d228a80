"""Records docs/posing.webp: the exported page, posed by hand, in headless Chromium.

`python -m tools.record_pose_clip` serves docs/sample with the page as it is built, plays a script of drags and clicks
on it, takes a picture of the tab after each step, and writes an animated WebP.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tyro
from PIL import Image
from playwright.sync_api import Page

from tests.browser import AvatarPage, avatar_page, browser, sample_page, serve

ROOT = Path(__file__).parents[1]
POINTER = """
    addEventListener("DOMContentLoaded", () => {
        const dot = document.createElement("div");
        dot.style.cssText = `position: fixed; left: -11px; top: -11px; width: 22px; height: 22px; border-radius: 50%;
            background: rgb(240 140 46 / 55%); border: 2px solid #fff; pointer-events: none; z-index: 9;
            box-shadow: 0 1px 5px rgb(0 0 0 / 40%);`;
        document.body.append(dot);
        const move = (e) => { dot.style.transform = `translate(${e.clientX}px, ${e.clientY}px)`; };
        for (const type of ["pointermove", "pointerdown"]) addEventListener(type, move, true);
        addEventListener("pointerdown", () => { dot.style.background = "rgb(240 140 46 / 95%)"; }, true);
        addEventListener("pointerup", () => { dot.style.background = "rgb(240 140 46 / 55%)"; }, true);
    });"""
"""Headless pictures have no pointer of their own."""


@dataclass
class Recorder:
    """The tab, and its pictures so far."""

    tab: AvatarPage
    pictures: list[np.ndarray] = field(default_factory=list)
    at: np.ndarray = field(default_factory=lambda: np.array([420.0, 300.0]))

    @property
    def page(self) -> Page:
        return self.tab.page

    def take(self, count: int = 1, is_drawn: bool = False) -> None:
        """The picture as it is now, shown for `count` frames; `is_drawn`: the person moved, wait for the drawing."""
        if is_drawn:
            self.tab.settle()
        self.pictures += [self.tab.screenshot()] * count

    def glide(self, to: np.ndarray, steps: int) -> Iterator[None]:
        """Moves the pointer, slow at both ends."""
        start = self.at
        for i in range(1, steps + 1):
            share = 0.5 - 0.5 * np.cos(np.pi * i / steps)
            self.at = start + share * (to - start)
            self.page.mouse.move(*self.at)
            yield

    def go(self, to: np.ndarray, steps: int = 3, is_drawn: bool = False) -> None:
        for _ in self.glide(to, steps):
            self.take(is_drawn=is_drawn)

    def drag(self, way: tuple[float, float], steps: int = 6) -> None:
        self.page.mouse.down()
        self.go(self.at + way, steps, is_drawn=True)
        self.page.mouse.up()
        self.take(3, is_drawn=True)

    def middle(self, selector: str) -> np.ndarray:
        box = self.page.locator(selector).bounding_box()
        if box is None:
            raise RuntimeError(f"{selector} is not on the page")
        return np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])

    def joint(self, name: str, way: tuple[float, float], steps: int = 6) -> None:
        self.go(self.middle(f"[data-joint={name}] .dot"))
        self.drag(way, steps)

    def ring(self, way: tuple[float, float]) -> None:
        """Turns the chosen joint by the ring that faces the viewer most."""
        place = """(rings) => {
            const ring = rings.reduce((best, e) => (Number(e.style.opacity) > Number(best.style.opacity) ? e : best));
            const box = ring.ownerSVGElement.getBoundingClientRect();
            const { x, y } = ring.getPointAtLength(0.85 * ring.getTotalLength());
            return [box.x + x, box.y + y];
        }"""
        self.go(np.array(self.page.locator(".ring").evaluate_all(place)))
        self.drag(way, 6)

    def click(self, selector: str) -> None:
        self.go(self.middle(selector))
        self.page.mouse.down()
        self.take()
        self.page.mouse.up()
        self.take(4, is_drawn=True)

    def slide(self, name: str, share: float) -> None:
        """Drags a slider's thumb from where it is to a share of its length."""
        slider = self.page.get_by_label(name, exact=True)
        box = slider.bounding_box()
        if box is None:
            raise RuntimeError(f"no slider {name}")
        low, high, value = (float(x) for x in slider.evaluate("(e) => [e.min, e.max, e.value]"))
        thumb = 13.0  # pixels, which the track is shorter by
        place = lambda x: np.array([box["x"] + thumb / 2 + x * (box["width"] - thumb), box["y"] + box["height"] / 2])  # noqa: E731
        self.go(place((value - low) / (high - low)))
        self.drag(tuple(place(share) - self.at), 5)


def script(recorder: Recorder) -> None:
    """What the clip shows."""
    tab = "#pose-panel label:has-text('{}')"
    recorder.take(4)
    recorder.click("#pose-button")
    recorder.joint("left_wrist", (-18, -118))
    recorder.joint("left_elbow", (34, 14), 8)
    recorder.joint("right_wrist", (-78, -46))
    recorder.joint("left_ankle", (46, -44))
    recorder.joint("pelvis", (-4, 26), 5)
    recorder.joint("head", (38, 4), 5)
    recorder.click(tab.format("Hands"))
    recorder.slide("Left fist", 1.0)
    recorder.click(tab.format("Face"))
    recorder.slide("Jaw", 0.8)
    recorder.slide("Expression 1", 0.9)
    recorder.click("#pose-mirror")
    recorder.go(recorder.middle("[data-joint=right_wrist] .dot"))
    recorder.click("[data-joint=right_wrist] .dot")
    recorder.ring((26, -30))
    recorder.go(np.array([120.0, 160.0]))
    recorder.drag((110, -8), 6)
    recorder.click("#pose-undo")
    recorder.click("#pose-done")
    recorder.take(8)


@dataclass(frozen=True)
class Clip:
    """Record the clip of the README."""

    out: Path = ROOT / "docs" / "posing.webp"
    width: int = 800
    """Pixels of the tab."""
    height: int = 600
    shrink: float = 0.8
    """Of the pictures."""
    fps: float = 6.0
    quality: int = 75
    """WebP's, 0 to 100."""

    def main(self) -> None:
        """Serve, play, write."""
        with tempfile.TemporaryDirectory() as folder:
            site = sample_page(Path(folder), 'target-fps="1" max-pixel-ratio="0.7"')
            with browser() as opened, serve(site) as url:
                with avatar_page(opened, url, self.width, self.height, init_script=POINTER) as tab:
                    tab.wait_ready()
                    tab.page.wait_for_timeout(800)  # the poster fades
                    recorder = Recorder(tab)
                    script(recorder)
        size = (round(self.shrink * self.width), round(self.shrink * self.height))
        pictures = [Image.fromarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA)) for p in recorder.pictures]
        first, *rest = pictures
        shown = {"append_images": rest, "duration": round(1000 / self.fps), "loop": 0}
        first.save(self.out, "WEBP", save_all=True, quality=self.quality, method=4, **shown)
        print(
            f"{self.out}: {len(pictures)} pictures, {len(pictures) / self.fps:.1f} s, {self.out.stat().st_size} bytes"
        )


if __name__ == "__main__":
    tyro.cli(Clip).main()
