"""Headless Chromium with WebGPU on the processor, and the page's API from Python.

Everything has a time limit; nothing leaves the machine. The flags make Chromium use SwiftShader, its own software
Vulkan driver, for WebGPU and for the canvas, so that no graphics card is needed.
"""

import base64
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from nerfstudio_mobavatar.serve import running

SOFTWARE_FLAGS = (
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
    "--use-angle=swiftshader",
)
QUIET_FLAGS = (
    "--no-sandbox",  # Chromium refuses to run as root with it, as containers do
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
)
LAUNCH_SECONDS = 60
PAGE_SECONDS = 60
"""Compiling the shaders on two busy cores takes seconds, not a minute."""

NO_CHROMIUM = "no Chromium on this machine (Debian: apt-get install chromium)"


def chromium() -> str | None:
    """The browser that tests drive: Chromium or Chrome on the PATH, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


serve = running
"""The product's own server: `with serve(folder) as url`."""


@contextmanager
def browser(flags: tuple[str, ...] = SOFTWARE_FLAGS) -> Iterator[Browser]:
    """Headless Chromium. Raises RuntimeError where there is none: ask `chromium()` first."""
    path = chromium()
    if path is None:
        raise RuntimeError(NO_CHROMIUM)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=[*QUIET_FLAGS, *flags], timeout=1000 * LAUNCH_SECONDS
        )
        try:
            yield opened
        finally:
            opened.close()


@dataclass
class AvatarPage:
    """An exported page in a tab. `errors` collects what the page threw or logged as an error."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def wait_ready(self) -> None:
        """Until the first frame is drawn; raises with the page's own message if it cannot draw."""
        script = "() => window.mobavatar.ready.then(() => '', (e) => `${e.name}: ${e.message}`)"
        problem = self.page.evaluate(script)
        if problem:
            raise RuntimeError(f"the page does not draw: {problem}")

    def wait_until(self, condition: str) -> None:
        """Until the JavaScript function `condition` gives true; a rejected promise counts as not yet."""
        script = f"""async (end) => {{
            while (!(await Promise.resolve().then({condition}).catch(() => false))) {{
                if (Date.now() > end) throw new Error("waited in vain");
                await new Promise((done) => setTimeout(done, 50));
            }}
        }}"""
        self.page.evaluate(script, 1000 * (time.time() + PAGE_SECONDS))

    def message(self) -> str:
        """Title and text that the page shows instead of the avatar; waits for it."""
        self.page.wait_for_selector("#message:not([hidden])", timeout=1000 * PAGE_SECONDS)
        return self.page.inner_text("#message")

    def screenshot(self, path: Path | None = None) -> np.ndarray:
        """[h, w, 3] uint8 rgb of the tab; also written to `path` (PNG) if given."""
        data = self.page.screenshot(timeout=1000 * PAGE_SECONDS)
        if path is not None:
            path.write_bytes(data)
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    def info(self) -> dict[str, Any]:
        """`mobavatar.info`: numGaussians, frames, fps, adapter."""
        return self.page.evaluate("() => ({...window.mobavatar.info})")

    def hold(self, pose: int | dict[str, Any] | None) -> None:
        """Show one frame (index, or a row as in `.pose.json`) and stand still; None plays on."""
        self.page.evaluate("(pose) => window.mobavatar.setPose(pose)", pose)

    def look(self, T_cam_world: np.ndarray, K: np.ndarray, width: int, height: int) -> None:
        """Look through one camera."""
        camera = {"T_cam_world": T_cam_world.tolist(), "K": K.tolist(), "width": width, "height": height}
        self.page.evaluate("(camera) => window.mobavatar.setCamera(camera)", camera)

    def open_pose(self, path: Path) -> None:
        """Open a `.pose.json` in the pose mode, as a user does."""
        self.page.keyboard.press("e")
        self.page.check("#pose-panel input[value=File]", force=True)
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#open-pose")
        chooser.value.set_files(path)
        self.page.wait_for_selector("#pose-undo[aria-disabled=false]")

    def settle(self) -> None:
        """Draw once more and wait until the browser has shown it."""
        script = """async () => {
            await window.mobavatar.renderOnce();
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        }"""
        self.page.evaluate(script)

    def read_pixels(self, width: int, height: int, background: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
        """[height, width, 4] uint8 rgba of the person alone, at the size of the camera set by `look`."""
        script = """async (background) => {
            const pixels = await window.mobavatar.readPixels(background);
            let text = "";
            for (let i = 0; i < pixels.length; i += 32768) {
                text += String.fromCharCode(...pixels.subarray(i, i + 32768));
            }
            return btoa(text);
        }"""
        data = base64.b64decode(self.page.evaluate(script, list(background)))
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)


@contextmanager
def avatar_page(
    opened: Browser, url: str, width: int = 256, height: int = 256, init_script: str = "", **context: Any
) -> Iterator[AvatarPage]:
    """A new tab on `url`. `init_script` runs before the page's own; `context` goes to Browser.new_context."""
    tab = opened.new_context(viewport={"width": width, "height": height}, **context)
    tab.set_default_timeout(1000 * PAGE_SECONDS)
    page = tab.new_page()
    result = AvatarPage(page)
    page.on("pageerror", lambda error: result.errors.append(str(error)))
    page.on("console", lambda line: result.errors.append(line.text) if line.type == "error" else None)
    if init_script:
        page.add_init_script(init_script)
    try:
        page.goto(url, timeout=1000 * PAGE_SECONDS, wait_until="domcontentloaded")
        yield result
    finally:
        tab.close()


def sample_page(folder: Path, attributes: str) -> Path:
    """`folder`/page: docs/sample with the page as it is built, at rest, with other attributes of its element. A fixed
    resolution, say: the governor would lower it where pictures are drawn in software."""
    root, site = Path(__file__).parents[1], folder / "page"
    shutil.copytree(root / "docs" / "sample", site)
    shutil.copytree(root / "web_export" / "viewer" / "dist", site, dirs_exist_ok=True)
    index = site / "index.html"
    index.write_text(index.read_text().replace("autoplay", attributes))
    return site
