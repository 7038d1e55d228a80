"""A tiny training whose viewer is open in Chromium: what tests and the clip's recorder do with viser's page."""

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Browser, Locator, Page
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.model import MobavatarModel
from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.edit import degrees_of
from nerfstudio_mobavatar.posing.ik import world_joints
from nerfstudio_mobavatar.viewer.skeleton import VISER_PER_METRE

from .browser import SOFTWARE_FLAGS
from .test_ns_tools import free_port
from .training_runs import model_of, tiny_config
from .viser_tab import Tab

WAIT_S = 120.0
WIDTH, HEIGHT = 900, 700
FLAGS = (*SOFTWARE_FLAGS, "--enable-unsafe-swiftshader")
"""WebGL for viser's page, WebGPU for ours."""
RING_M = 0.65 * 2.5 / VISER_PER_METRE
"""Radius of the rings that viser's page draws for a gizmo of scale 2.5."""
KEEP_PICTURE = """
    const Plain = window.Worker;
    window.Worker = class extends Plain {
        constructor(...about) {
            super(...about);
            this.addEventListener("message", ({ data }) => {
                for (const message of data.messages ?? []) {
                    if (message.type === "BackgroundImageMessage") window.picture = message.rgb_bytes.slice();
                }
            });
        }
    };"""
"""viser's page gets its messages from a worker: the last picture that arrived is kept as it came."""


@dataclass
class Running:
    """A training with its viewer, in a thread of this process."""

    trainer: Any
    model: MobavatarModel
    url: str
    steps: list[int]

    @property
    def viewer(self) -> Any:
        return self.trainer.viewer_state

    @property
    def session(self) -> Any:
        return self.model.viewer_pose.session

    def clients(self) -> list[Any]:
        return list(self.viewer.viser_server.get_clients().values())


def wait(condition: Callable[[], Any], what: str, seconds: float = WAIT_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


@contextmanager
def training(data: Path, output: Path, gaussians: int = 100, prune_step: int = 4) -> Iterator[Running]:
    """Pruned early, then on and on until the context ends. Pictures are sent without loss."""
    config = tiny_config(data, output, 1_000_000)
    config.vis, config.steps_per_save = "viewer", 1_000_000
    settings: Any = config.pipeline.model
    settings.prune_fraction = prune_step / 1_000_000
    settings.warmup_fraction = 0.25 * settings.prune_fraction
    settings.avatar.num_gaussians, settings.avatar.num_nodes = gaussians, gaussians // 5
    settings.losses.perceptual_weight = 0
    config.viewer.websocket_port, config.viewer.websocket_host = free_port(), "127.0.0.1"
    config.viewer.max_num_display_images, config.viewer.image_format = 2, "png"
    config.viewer.quit_on_train_completion = True
    config.save_config()
    trainer: Any = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    steps, failed = [], []
    iterate, trainer.save_checkpoint = trainer.train_iteration, lambda step: None

    def iteration(step: int):
        steps.append(step)
        time.sleep(0.02)  # leaves the processor to the browser
        return iterate(step)

    trainer.train_iteration = iteration

    def train() -> None:
        try:
            trainer.train()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    yield Running(trainer, model_of(trainer), f"http://127.0.0.1:{config.viewer.websocket_port}", steps)
    trainer.stop_training = True
    thread.join(30)
    trainer.viewer_state.viser_server.stop()
    assert not thread.is_alive() and not failed, failed


def arrived(page: Page) -> np.ndarray:
    """[h, w, 3] uint8 rgb: the picture that came to the tab last."""
    script = """() => {
        let text = "";
        const bytes = window.picture ?? [];
        for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
        return btoa(text);
    }"""
    data = np.frombuffer(base64.b64decode(page.evaluate(script)), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1] if len(data) else np.zeros((1, 1, 3), np.uint8)


def at_rest(running: Running, page: Page) -> np.ndarray:
    """The picture in full size, when it has stopped changing."""
    size, last = running.viewer.control_panel.max_res, np.zeros((1, 1, 3), np.uint8)
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        page.wait_for_timeout(700)
        now = arrived(page)
        if max(now.shape) >= size - 8 and np.array_equal(now, last):
            return now
        last = now
    raise AssertionError(f"no picture of {size} pixels came to rest; the last is {last.shape}")


def open_tab(running: Running, chrome: Browser) -> Page:
    known = len(running.clients())
    context = chrome.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    page.set_default_timeout(1000 * WAIT_S)
    page.add_init_script(KEEP_PICTURE)
    page.route("https://**", lambda route: route.abort())  # nerfstudio's logo: nothing leaves the machine
    page.goto(running.url)
    page.get_by_role("button", name="Follow frames").wait_for()
    wait(lambda: len(running.clients()) == known + 1, "the tab to connect")
    return page


def fill(page: Page, label: str, value: object) -> None:
    """Type into the box of a labelled line of the panel."""
    labelled(page, label).fill(str(value))


def labelled(page: Page, label: str) -> Locator:
    """The box of a line of the panel."""
    box = "input[not(@type='hidden')]"
    return page.get_by_text(label, exact=True).locator(f"xpath=ancestor::*[.//{box}][1]//{box}")


def on_screen(running: Running, page: Page, point_m: np.ndarray) -> tuple[float, float]:
    """Pixel of a world point in the tab."""
    camera = running.clients()[0].camera
    R = Rotation.from_quat(np.asarray(camera.wxyz)[[1, 2, 3, 0]]).as_matrix()
    X, Y, Z = R.T @ (VISER_PER_METRE * point_m - camera.position)
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    focal = box["height"] / 2 / np.tan(camera.fov / 2)
    # the panel covers the canvas' right side, the camera looks through what is left
    return box["x"] + box["height"] * camera.aspect / 2 + focal * X / Z, box["y"] + box["height"] / 2 + focal * Y / Z


def joints(running: Running) -> np.ndarray:
    now = running.session.now()
    return world_joints(running.model.viewer_pose.skeleton(), now.pose, now.transl)[1]


def frames(page: Page, count: int = 2) -> None:
    """Wait until the page has drawn: what is under the pointer is found out by drawing."""
    page.evaluate(
        "async (n) => { for (let i = 0; i < n; i++) await new Promise((done) => requestAnimationFrame(done)); }", count
    )


def drag(
    page: Page, start: tuple[float, float], end: tuple[float, float], steps: int = 6, pause_s: float = 0.0
) -> None:
    """With the mouse, resting half-way if asked to."""
    page.mouse.move(*start)
    frames(page, 4)
    page.mouse.down()
    frames(page)
    for i in range(1, steps + 1):
        share = i / steps
        page.mouse.move(*(a + share * (b - a) for a, b in zip(start, end)))
        frames(page)
        page.wait_for_timeout(1000 * pause_s if 2 * i == steps else 25)
    page.mouse.up()


def pictured(running: Running, watching: Tab, name: str) -> np.ndarray:
    """The picture at rest that a tab gets of an output."""
    running.viewer.control_panel._output_render.value = name
    renderer = list(running.viewer.render_statemachines.values())[-1]
    before = watching.pictures
    running.viewer._trigger_rerender()
    wait(lambda: watching.pictures > before and renderer._is_sharp and renderer.next_action is None, name)
    last = b""
    while last is not watching.picture:
        last = watching.picture
        time.sleep(0.1)
    return cv2.imdecode(np.frombuffer(last, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def made_in(thread: threading.Thread) -> str:
    """Module of what a thread runs."""
    runs = getattr(thread, "function", None) or getattr(thread, "_target", None) or thread.run
    return getattr(runs, "__module__", "")


def still_for(seconds: float, value: Callable[[], Any]) -> bool:
    before = value()
    time.sleep(seconds)
    return value() == before


def seen_expression(running: Running, i: int) -> float:
    """A coefficient that training saw, which its slider lets pass."""
    low, high = running.model.viewer_pose.panel._expression_ranges()[i]
    assert low <= 0 < high
    return round(0.8 * (low if -low > high else high), 2)


def ring_drag(running: Running, degrees: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two points (metres) of the gizmo's ring that faces the camera most, `degrees` apart, and the ring's axis."""
    scene, camera = running.model.viewer_pose.skeleton_scene, running.clients()[0].camera
    R = Rotation.from_quat(np.asarray(scene.gizmo.wxyz)[[1, 2, 3, 0]]).as_matrix()
    centre = np.asarray(scene.gizmo.position) / VISER_PER_METRE
    towards = camera.position / VISER_PER_METRE - centre
    k = int(np.abs(R.T @ towards).argmax())
    u, v = R[:, (k + 1) % 3], R[:, (k + 2) % 3]  # the ring is a quarter: between the two other axes
    at = lambda angle: centre + RING_M * (np.cos(np.radians(angle)) * u + np.sin(np.radians(angle)) * v)  # noqa: E731
    return at(45.0), at(45.0 + degrees), R[:, k]


def angle(running: Running) -> float:
    """The left elbow's bend, degrees."""
    return float(degrees_of(running.session.now(), INDEX["left_elbow"])[1])


def fill_across_news(page: Page, label: str, value: float, tell: Callable[[], Any]) -> None:
    """Type into a box while what `tell` sends has reached the page, which has not come to it. The value stays."""
    threading.Timer(0.1, tell).start()
    script = """(box, value) => {
        const end = Date.now() + 600;
        while (Date.now() < end);
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(box, value);
        box.dispatchEvent(new Event("input", { bubbles: true }));
    }"""
    labelled(page, label).evaluate(script, str(value))
    page.wait_for_timeout(300)  # the page has come to its news
    wait(lambda: float(labelled(page, label).input_value()) == value, f"{label}: the page to show {value} again")
