"""A browser's hands on the avatar in nerfstudio's viewer, while it trains: real Chromium, real viser server."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from nerfstudio_mobavatar.model import MobavatarModel
from nerfstudio_mobavatar.motion import pose_json
from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.edit import degrees_of
from nerfstudio_mobavatar.posing.ik import LIMBS, world_joints
from nerfstudio_mobavatar.viewer.skeleton import VISER_PER_METRE

from .browser import NO_CHROMIUM, browser, chromium
from .test_ns_tools import free_port
from .training_runs import model_of, tiny_config

WAIT_S = 60.0
WIDTH, HEIGHT = 900, 700
FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)


class StopError(Exception):
    """Ends the training at once."""


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


def wait(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def running(mini_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Pruned after four steps, then on and on until told to stop."""
    config = tiny_config(mini_capture, tmp_path_factory.mktemp("posing"), 1_000_000)
    config.vis, config.steps_per_save = "viewer", 1_000_000
    settings: Any = config.pipeline.model
    settings.prune_fraction = 4 / 1_000_000
    settings.losses.perceptual_weight = 0
    config.viewer.websocket_port, config.viewer.websocket_host = free_port(), "127.0.0.1"
    config.viewer.max_num_display_images = 2
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    stop, steps, failed = threading.Event(), [], []
    iterate = trainer.train_iteration

    def iteration(step: int):
        if stop.is_set():
            raise StopError
        steps.append(step)
        time.sleep(0.02)  # leaves the processor to the browser
        return iterate(step)

    trainer.train_iteration = iteration

    def train() -> None:
        try:
            trainer.train()
        except StopError:
            return
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    yield Running(trainer, model_of(trainer), f"http://127.0.0.1:{config.viewer.websocket_port}", steps)
    stop.set()
    thread.join(30)
    trainer.viewer_state.viser_server.stop()
    assert not thread.is_alive() and not failed, failed


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser(FLAGS) as opened:
        yield opened


@pytest.fixture(scope="module")
def tab(running: Running, chrome: Browser) -> Iterator[Page]:
    page = open_tab(running, chrome)
    yield page
    page.context.close()


def open_tab(running: Running, chrome: Browser) -> Page:
    known = len(running.clients())
    context = chrome.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    page.set_default_timeout(1000 * WAIT_S)
    page.route("https://**", lambda route: route.abort())  # nerfstudio's logo: nothing leaves the machine
    page.goto(running.url)
    page.get_by_role("button", name="Follow frames").wait_for()
    wait(lambda: len(running.clients()) == known + 1, "the tab to connect")
    return page


def fill(page: Page, label: str, value: object) -> None:
    """Type into the box of a labelled line of the panel."""
    box = "input[not(@type='hidden')]"
    page.get_by_text(label, exact=True).locator(f"xpath=ancestor::*[.//{box}][1]//{box}").fill(str(value))


def on_screen(running: Running, page: Page, point_m: np.ndarray) -> tuple[float, float]:
    """Pixel of a world point in the tab."""
    camera = running.clients()[0].camera
    w, x, y, z = camera.wxyz
    R = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    X, Y, Z = R.T @ (VISER_PER_METRE * point_m - camera.position)
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    focal = box["height"] / 2 / np.tan(camera.fov / 2)
    # the panel covers the canvas' right side, the camera looks through what is left
    return box["x"] + box["height"] * camera.aspect / 2 + focal * X / Z, box["y"] + box["height"] / 2 + focal * Y / Z


def joints(running: Running) -> np.ndarray:
    now = running.session.now()
    return world_joints(running.model.viewer_pose.skeleton(), now.pose, now.transl)[1]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float], steps: int = 12) -> None:
    page.mouse.move(*start)
    page.wait_for_timeout(150)
    page.mouse.down()
    for i in range(1, steps + 1):
        share = i / steps
        page.mouse.move(*(a + share * (b - a) for a, b in zip(start, end)))
        page.wait_for_timeout(30)
    page.mouse.up()


def angle(running: Running) -> float:
    """The left elbow's bend, degrees."""
    return float(degrees_of(running.session.now(), INDEX["left_elbow"])[1])


def test_the_tab_looks_at_the_person(running: Running, tab: Page):
    def inside() -> bool:
        places = [on_screen(running, tab, joint) for joint in joints(running)[[15, 20, 21, 10, 11]]]
        return all(0 < x < WIDTH - 300 and 60 < y < HEIGHT for x, y in places)

    wait(inside, "the camera to turn to the person")


def test_a_slider_bends_the_elbow_and_undo_takes_it_back(running: Running, tab: Page):
    before = angle(running)
    fill(tab, "left elbow y", -100)
    wait(lambda: abs(angle(running) + 100) < 0.1, "the elbow to bend")
    tab.get_by_role("button", name="Undo", exact=True).click()
    wait(lambda: abs(angle(running) - before) < 0.1, "undo")
    tab.get_by_role("button", name="Follow frames").click()
    wait(lambda: running.session.shown is None, "frames to be followed")


def test_the_mouse_drags_the_wrist_and_the_arm_follows(running: Running, tab: Page):
    tab.get_by_text("Drag hands and feet", exact=True).scroll_into_view_if_needed()
    tab.get_by_label("Skeleton").check()
    tab.get_by_label("Drag hands and feet").check()
    handle = running.model.viewer_pose.skeleton_scene.handles["left_hand"]
    wait(lambda: handle.visible, "the handle")
    tab.wait_for_timeout(500)
    before, pose = joints(running), running.session.now().pose
    wrist, up = before[LIMBS["left_hand"].end], np.array([0.0, 1.0, 0.0])
    drag(tab, on_screen(running, tab, wrist + 0.1 * up), on_screen(running, tab, wrist + 0.25 * up))
    wait(lambda: running.session.shown is not None, "the drag to arrive")
    wait(lambda: (joints(running)[LIMBS["left_hand"].end] - wrist)[1] > 0.08, "the wrist to rise")
    changed = np.abs(running.session.now().pose - pose).max(1) > 1e-6
    assert set(np.flatnonzero(changed)) <= set(LIMBS["left_hand"][:3])
    # the handle comes back onto the wrist when the drag rests
    wait(
        lambda: np.abs(handle.position / VISER_PER_METRE - joints(running)[LIMBS["left_hand"].end]).max() < 1e-3,
        "the handle to settle",
    )
    # one step, or a few where the machine is so slow that the moves seem to be several drags
    for _ in range(12):
        running.session.undo()
        if np.abs(joints(running) - before).max() < 1e-6:
            break
    assert np.abs(joints(running) - before).max() < 1e-6


def test_two_tabs_see_the_same_and_a_closed_one_does_no_harm(running: Running, tab: Page, chrome: Browser):
    other = open_tab(running, chrome)
    fill(other, "left elbow y", -80)
    wait(lambda: abs(angle(running) + 80) < 0.1, "the other tab's slider")
    other.context.close()
    wait(lambda: len(running.clients()) == 1, "the tab to go")
    step = running.steps[-1]
    fill(tab, "left elbow y", -60)
    wait(lambda: abs(angle(running) + 60) < 0.1, "the first tab's slider")
    wait(lambda: running.steps[-1] > step + 2, "the training to go on")


def test_expressions_motions_and_files(running: Running, tab: Page, tmp_path: Path):
    tab.get_by_role("tab", name="Face, hands").click()
    fill(tab, "Expression 1", 1.5)
    wait(lambda: running.session.now().expression[0] == 1.5, "the expression")
    tab.get_by_role("tab", name="Motion").click()
    player = running.model.viewer_pose.panel.player
    tab.get_by_role("button", name="Play", exact=True).click()
    rows = set()
    wait(lambda: rows.add(player.row) or len(rows) > 2, "the motion to play")
    tab.get_by_role("button", name="Pause", exact=True).click()
    wait(lambda: not player.playing and player.join(1.0), "the motion to stop")
    fit = running.model.get_buffer("fit_transl")[player.row].numpy()
    assert np.abs(running.session.now().transl - fit).max() < 1e-6
    path = tmp_path / "a.pose.json"
    tab.get_by_role("tab", name="Files").click()
    fill(tab, "Pose file", path)
    tab.get_by_role("button", name="Save pose", exact=True).click()
    wait(path.exists, "the file")
    np.testing.assert_allclose(pose_json.read_rows(path)[0].pose[1:], running.session.now().pose[1:], atol=1e-5)
    tab.get_by_role("tab", name="Pose", exact=True).click()
    tab.get_by_role("button", name="Rest", exact=True).click()
    wait(lambda: abs(angle(running)) < 1e-6, "the rest pose")
    tab.get_by_role("tab", name="Files").click()
    tab.get_by_role("button", name="Load pose", exact=True).click()
    wait(lambda: abs(running.session.now().transl - fit).max() < 1e-4, "the pose to come back")
    fill(tab, "Pose file", tmp_path / "none.pose.json")
    tab.get_by_role("button", name="Load pose", exact=True).click()
    tab.get_by_text("Not done").wait_for()
