"""A browser's hands on the avatar in nerfstudio's viewer, while it trains: real Chromium, real viser server."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from nerfstudio_mobavatar.motion import pose_json
from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.edit import degrees_of
from nerfstudio_mobavatar.posing.ik import LIMBS
from nerfstudio_mobavatar.viewer.session import GESTURE_SECONDS
from nerfstudio_mobavatar.viewer.skeleton import VISER_PER_METRE

from .browser import NO_CHROMIUM, browser, chromium
from .viewer_training import (
    FLAGS,
    HEIGHT,
    WIDTH,
    Running,
    drag,
    fill,
    joints,
    on_screen,
    open_tab,
    training,
    wait,
)

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)


@pytest.fixture(scope="module")
def running(mini_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with training(mini_capture, tmp_path_factory.mktemp("posing")) as started:
        yield started


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser(FLAGS) as opened:
        yield opened


@pytest.fixture(scope="module")
def tab(running: Running, chrome: Browser) -> Iterator[Page]:
    page = open_tab(running, chrome)
    yield page
    page.context.close()


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
    way = [on_screen(running, tab, wrist + height * up) for height in (0.1, 0.25)]
    drag(tab, way[0], way[1], pause_s=2 * GESTURE_SECONDS)
    wait(lambda: running.session.shown is not None, "the drag to arrive")
    wait(lambda: (joints(running)[LIMBS["left_hand"].end] - wrist)[1] > 0.08, "the wrist to rise")
    changed = np.abs(running.session.now().pose - pose).max(1) > 1e-6
    assert set(np.flatnonzero(changed)) <= set(LIMBS["left_hand"][:3])
    # the handle comes back onto the wrist when the drag rests
    wait(
        lambda: np.abs(handle.position / VISER_PER_METRE - joints(running)[LIMBS["left_hand"].end]).max() < 1e-3,
        "the handle to settle",
    )
    assert not running.session.is_pressed
    running.session.undo()  # one step, in spite of the pause
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


def seen_expression(running: Running, i: int) -> float:
    """A coefficient that training saw, which its slider lets pass."""
    low, high = running.model.viewer_pose.panel._expression_ranges()[i]
    assert low <= 0 < high
    return round(0.8 * (low if -low > high else high), 2)


def test_expressions_motions_and_files(running: Running, tab: Page, tmp_path: Path):
    tab.get_by_role("tab", name="Face, hands").click()
    smile = seen_expression(running, 0)
    fill(tab, "Expression 1", smile)
    wait(lambda: running.session.now().expression[0] == smile, "the expression")
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
