"""A browser's hands on the avatar in nerfstudio's viewer, while it trains: real Chromium, real viser server."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nerfstudio.viewer.utils import get_camera
from playwright.sync_api import Browser, Page
from viser import _messages

from nerfstudio_mobavatar.model import opencv_cameras
from nerfstudio_mobavatar.motion import pose_json
from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing import limits
from nerfstudio_mobavatar.posing.edit import EditedPose, mirrored, turned
from nerfstudio_mobavatar.posing.ik import LIMBS, world_joints
from nerfstudio_mobavatar.posing.limits import conjugate, multiply, quaternion, rotation_vector, turn
from nerfstudio_mobavatar.viewer import threads, views
from nerfstudio_mobavatar.viewer.session import GESTURE_SECONDS, same
from nerfstudio_mobavatar.viewer.skeleton import ROOT, VISER_PER_METRE
from nerfstudio_mobavatar.web_export.export import write_bundle
from nerfstudio_mobavatar.web_export.quality import Precisely

from . import renderers
from .browser import NO_CHROMIUM, avatar_page, browser, chromium, serve
from .viewer_training import (
    FLAGS,
    HEIGHT,
    WIDTH,
    Running,
    angle,
    at_rest,
    drag,
    fill,
    fill_across_news,
    joints,
    labelled,
    made_in,
    on_screen,
    open_tab,
    pictured,
    ring_drag,
    seen_expression,
    still_for,
    training,
    wait,
)  # fmt: skip
from .viser_tab import Tab

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
    elbow = running.model.viewer_pose.panel._angle_handles[1]
    wait(lambda: abs(elbow.value - before) < 0.1, "the slider to follow")
    told = elbow.value
    wait(lambda: float(labelled(tab, "left elbow y").input_value()) == told, "the page to show it")
    for degrees in (-90, told):  # what it was told a moment ago is a hand's value as any other
        fill(tab, "left elbow y", degrees)
        wait(lambda degrees=degrees: abs(angle(running) - degrees) < 0.1, f"{degrees} degrees")
    fill_across_news(tab, "left elbow y", -70, lambda: running.session.edit(mirrored))
    assert abs(angle(running) + 70) < 0.1
    tab.get_by_role("button", name="Follow frames").click()
    wait(lambda: running.session.shown is None, "frames to be followed")


def test_a_page_never_answers_what_its_sliders_are_told(running: Running, tab: Page):
    """So whatever comes from a page is a hand's doing. viser's pages: ask anew when they are others."""
    panel, heard = running.model.viewer_pose.panel, []
    scrub, ours = panel.scrub and panel.scrub.handle, {slider._impl.id for slider in panel.sliders.handles}
    server = running.viewer.viser_server._websock_server
    handle = server._handle_incoming_message

    def listen(client: Any, message: Any) -> None:
        if isinstance(message, _messages.GuiUpdateMessage) and message.id in ours:
            heard.append(message)
        handle(client, message)

    server._handle_incoming_message = listen
    try:
        for share in (0.25, 0.5, 0.37):  # the last one off their steps
            for slider in panel.sliders.handles:
                slider.value = int(10 * share) % 3 if slider is scrub else slider.value + share
            tab.wait_for_timeout(150)
        box = labelled(tab, "left elbow y")
        wait(lambda: float(box.input_value()) == panel._angle_handles[1].value, "the page to show it")
        tab.wait_for_timeout(300)  # a page waits 50 ms with what it says
        assert not heard
        box.fill("-30")
        wait(lambda: heard and heard[-1].updates == {"value": -30}, "a hand to be heard")
        joint, said = INDEX["left_elbow"], len(heard)
        low, bone = limits.LIMITS.low[joint], limits.LIMITS.bone[joint]
        beyond = rotation_vector(limits.from_angles(low - [0, 10, 0], bone))
        running.session.edit(lambda e: turned(e, joint, beyond, use_limits=False))
        wait(lambda: float(box.input_value()) == low[1], "the slider's end to be shown")
        box.click()
        box.blur()
        tab.wait_for_timeout(200)
        assert len(heard) == said, "a click moves what is beyond the slider's end"
    finally:
        server._handle_incoming_message = handle
    running.session.follow_frames()


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
    wait(lambda: (joints(running)[LIMBS["left_hand"].end] - wrist)[1] > 0.14, "all of the wrist's 15 cm")
    changed = np.abs(running.session.now().pose - pose).max(1) > 1e-6
    assert set(np.flatnonzero(changed)) <= set(LIMBS["left_hand"][:3])
    wait(
        lambda: np.abs(handle.position / VISER_PER_METRE - joints(running)[LIMBS["left_hand"].end]).max() < 1e-3,
        "the handle to settle",
    )
    wait(lambda: not running.session.is_pressed, "the pointer to go up")
    running.session.undo()  # one step, in spite of the pause
    assert np.abs(joints(running) - before).max() < 1e-6


def test_two_tabs_see_the_same_and_a_closed_one_does_no_harm(running: Running, tab: Page, chrome: Browser):
    other = open_tab(running, chrome)
    fill(other, "left elbow y", -80)
    wait(lambda: abs(angle(running) + 80) < 0.1, "the other tab's slider")
    other.context.close()
    wait(lambda: len(running.clients()) == 1, "the tab to go")
    wait(lambda: abs(float(labelled(tab, "left elbow y").input_value()) + 80) < 0.1, "it to show that")
    step = running.steps[-1]
    fill(tab, "left elbow y", -60)
    wait(lambda: abs(angle(running) + 60) < 0.1, "the first tab's slider")
    wait(lambda: running.steps[-1] > step + 2, "the training to go on")


def test_every_output_gives_a_picture_of_its_own(running: Running, tab: Page):
    """As a tab gets them; side by side with the plain one, too."""
    control, panel = running.model.viewer_pose, running.viewer.control_panel
    running.trainer.training_state, size = "paused", panel._max_res.value
    panel._max_res.value = 128
    watching = Tab(running.url)
    wait(lambda: len(running.clients()) == 2, "the second tab")
    try:
        control.session.edit(lambda e: turned(e, INDEX["right_shoulder"], np.array([0.0, -0.6, 1.2])))
        names = ("rgb", "accumulation", "depth", *views.NAMES)
        wait(lambda: set(panel._output_render.options) == set(names), "the panel to offer them")
        pictures = {name: pictured(running, watching, name) for name in names}
        for name, picture in pictures.items():
            assert picture.std() > 3, f"{name} is empty"
            others = [other for other in names if other != name and np.array_equal(picture, pictures[other])]
            assert not others, f"{name} looks like {others}"
        panel._split.value, panel._split_output_render.value = True, "parts"
        half = pictured(running, watching, "rgb")
        middle = half.shape[1] // 2
        assert np.array_equal(half[:, : middle - 2], pictures["rgb"][:, : middle - 2])
        assert np.array_equal(half[:, middle + 2 :], pictures["parts"][:, middle + 2 :])
    finally:
        panel._split.value, panel._output_render.value, panel._max_res.value = False, "rgb", size
        watching.close()
        running.trainer.training_state = "training"
    wait(lambda: len(running.clients()) == 1, "the second tab to go")


def test_another_shape_is_tried_and_taken_back(running: Running, tab: Page):
    shape = running.model.viewer_pose.shape
    tab.get_by_role("tab", name="Shape").click()
    fill(tab, "Shape 1", 2)
    wait(lambda: shape.values[0] == 2, "the first coefficient")
    fill(tab, "Shape 2", -1)
    wait(lambda: shape.values[1] == -1, "the second one")
    assert shape.avatar() is not running.model.avatar
    for button, expected in (
        ("Undo", (2, 0)),
        ("Undo", (0, 0)),
        ("Redo", (2, 0)),
        ("Captured", (0, 0)),
        ("Undo", (2, 0)),
    ):
        tab.get_by_role("button", name=f"{button} shape").click()
        wait(lambda expected=expected: tuple(shape.values[:2]) == expected, f"{button}: {expected}")
    tried = running.model.viewer_pose.panel.shape_tab
    fill_across_news(tab, "Shape 1", 1, lambda: tried.do(tried.history.undo))
    assert tuple(shape.values[:2]) == (1, 0)
    tab.get_by_role("button", name="Captured shape").click()
    wait(lambda: shape.avatar() is running.model.avatar, "the captured shape")


def test_frames_are_copied_mirrored_and_scrubbed(running: Running, tab: Page):
    control, session, fit = running.model.viewer_pose, running.session, running.model.get_buffer("fit_pose")
    player = control.panel.player
    tab.get_by_role("tab", name="Pose", exact=True).click()
    fill(tab, "Frame to copy", 2)
    wait(lambda: control.panel._copy_row.value == 2, "the frame's number")
    tab.get_by_role("button", name="Copy pose from frame").click()
    wait(lambda: np.abs(session.now().pose - fit[2].numpy()).max() < 1e-6, "the frame's pose")
    tab.get_by_role("button", name="Mirror", exact=True).click()
    wait(lambda: same(session.now(), mirrored(control.frame_pose(2))), "the mirrored pose")
    tab.get_by_role("tab", name="Motion").click()
    fill(tab, "Frame of motion", 3)
    wait(lambda: player.row == 3 and np.abs(session.now().pose - fit[3].numpy()).max() < 1e-6, "the third frame")
    fill_across_news(tab, "Frame of motion", 2, lambda: player.seek(1))
    assert player.row == 2 and np.abs(session.now().pose - fit[2].numpy()).max() < 1e-6
    fill(tab, "Speed", 2.5)
    tab.get_by_role("checkbox", name="Loop").uncheck()
    wait(lambda: player.speed == 2.5 and not player.loop, "speed and loop")
    tab.get_by_role("button", name="Play", exact=True).click()
    wait(lambda: not player.playing and player.row == len(fit) - 1, "the motion to end at its last frame")
    fill(tab, "Speed", 1)
    tab.get_by_role("checkbox", name="Loop").check()
    wait(lambda: player.speed == 1 and player.loop, "speed and loop as they were")
    text = control.panel.status.content
    assert "Posed by hand" in text and "stage 2" in text and "l1" in text and "kept" in text, text
    tab.get_by_text("stage 2: fine-tuning after pruning").wait_for()


def test_a_storm_of_moves_leaves_nothing_behind(running: Running, tab: Page):
    """As fast as a socket takes them, of a gizmo and of a slider: what is drawn is less, nothing queues up, and the
    last one is seen."""
    control, name = running.model.viewer_pose, "left_hand"
    running.session.edit(lambda e: EditedPose(np.vstack([e.pose[:1], np.zeros((54, 3))]), e.transl, e.expression))
    wrist, stands = joints(running)[LIMBS[name].end], quaternion(running.session.now().pose[0])
    way = turn(stands, np.array([-0.1, 0.1, 0.1]))  # inwards, up and to the front: within the arm's reach
    machine = next(iter(running.viewer.render_statemachines.values()))
    edits, drawn, edit, draw = [], [], running.session.edit, machine._drawn
    running.session.edit = lambda *about: edits.append(1) or edit(*about)
    machine._drawn = lambda *about: drawn.append(running.session.shown) or draw(*about)
    storm, interval = Tab(running.url), sys.getswitchinterval()
    try:
        wait(lambda: len(running.clients()) == 2, "the second tab")
        moves, smile = 300, seen_expression(running, 0)
        slider = next(h for h in control.panel.sliders.handles if h._impl.label == "Expression 1")
        waiting = running.viewer.viser_server._websock_server._thread_executor._work_queue.qsize

        def move(share: float) -> None:
            x, y, z = (float(v) for v in VISER_PER_METRE * (wrist + share * way))
            storm.send(_messages.TransformControlsUpdateMessage(f"{ROOT}/drag_{name}", (1.0, 0.0, 0.0, 0.0), (x, y, z)))
            storm.send(_messages.GuiUpdateMessage(slider._impl.id, {"value": share * smile}))

        sys.setswitchinterval(1e-5)  # threads overtake one another
        for i in range(moves):
            move((i + 1) / moves)
        wait(lambda: len(edits) > 0, "the storm's first move")
        wait(lambda: still_for(0.5, lambda: (len(edits), waiting())), "the storm to be over")
        missed = np.linalg.norm(joints(running)[LIMBS[name].end] - wrist - way)
        assert missed < 0.5 * np.linalg.norm(way) / moves, "it is not where the last move was"
        assert running.session.now().expression[0] == smile
        wait(lambda: machine._is_sharp and machine.next_action is None, "the picture of the last move")
        assert drawn[-1] is running.session.shown and len(edits) <= 2 * moves and len(drawn) <= len(edits) + 3
        assert waiting() == 0
        ours = {thread for thread in threading.enumerate() if made_in(thread).startswith("nerfstudio_mobavatar.viewer")}
        assert ours and ours <= set(threads._running), "they would be cut off when the program ends"
    finally:
        sys.setswitchinterval(interval)
        running.session.edit, machine._drawn = edit, draw
        storm.close()
    wait(lambda: len(running.clients()) == 1, "the second tab to go")


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


def test_from_gizmo_to_exported_page(running: Running, tab: Page, chrome: Browser, tmp_path: Path):
    """An elbow by its ring, a wrist by its arrow, a smile, a motion, saved and opened on the exported page: one
    picture."""
    control, session = running.model.viewer_pose, running.session
    tab.get_by_role("tab", name="Pose", exact=True).click()
    tab.get_by_role("button", name="Rest", exact=True).click()
    tab.get_by_label("Skeleton").check()
    tab.get_by_label("Drag hands and feet").uncheck()
    control.look(running.clients()[0])
    tab.wait_for_timeout(800)
    fill(tab, "right elbow y" if control.panel._joint == INDEX["right_elbow"] else "left elbow y", 0)

    # click a joint: it gets the gizmo and the sliders
    tab.mouse.click(*on_screen(running, tab, joints(running)[INDEX["right_elbow"]]))
    wait(lambda: control.skeleton_scene.joint == INDEX["right_elbow"], "the elbow to be chosen")
    wait(lambda: control.panel.joint.value == "right_elbow", "the panel to follow")
    tab.get_by_text("right elbow y").wait_for()

    # turn it by its ring, as far as its range lets it
    tab.wait_for_timeout(800)
    before = session.now()
    q = world_joints(control.skeleton(), before.pose, before.transl)[0][INDEX["right_elbow"]]
    sign = max((-1.0, 1.0), key=lambda s: bend(running, ring_drag(running, 35 * s), q))
    start, end, axis = ring_drag(running, 35 * sign)
    wanted = bend(running, (start, end, axis), q)
    drag(tab, on_screen(running, tab, start), on_screen(running, tab, end))
    turned_by = lambda: np.degrees(np.linalg.norm(session.now().pose - before.pose))  # noqa: E731
    wait(lambda: turned_by() > 10, "the elbow to turn")
    tab.wait_for_timeout(500)
    assert abs(turned_by() - wanted) < 8, (turned_by(), wanted)
    changed = np.abs(session.now().pose - before.pose).max(1) > 1e-6
    assert list(np.flatnonzero(changed)) == [INDEX["right_elbow"]]

    # a wrist by its arrow
    tab.get_by_label("Skeleton").uncheck()
    tab.get_by_label("Drag hands and feet").check()
    tab.wait_for_timeout(800)
    wrist, up = joints(running)[INDEX["left_wrist"]], np.array([0.0, 1.0, 0.0])
    drag(tab, on_screen(running, tab, wrist + 0.1 * up), on_screen(running, tab, wrist + 0.2 * up))
    wait(lambda: (joints(running)[INDEX["left_wrist"]] - wrist)[1] > 0.05, "the wrist to rise")

    tab.get_by_role("tab", name="Face, hands").click()
    smile = seen_expression(running, 1)
    fill(tab, "Expression 2", smile)
    wait(lambda: session.now().expression[1] == smile, "the expression")
    shown = session.now()

    # the motion plays over it, and undo brings the pose back
    tab.get_by_role("tab", name="Motion").click()
    tab.get_by_label("Camera follows the pelvis").check()
    eye, pelvis = running.clients()[0].camera.position, joints(running)[0]
    tab.get_by_role("button", name="Play", exact=True).click()
    rows: set[int] = set()
    wait(lambda: rows.add(control.panel.player.row) or len(rows) > 2, "the motion to play")
    tab.get_by_role("button", name="Pause", exact=True).click()
    wait(lambda: not control.panel.player.playing and control.panel.player.join(1.0), "the motion to stop")
    moved = lambda: running.clients()[0].camera.position - eye - VISER_PER_METRE * (joints(running)[0] - pelvis)  # noqa: E731
    wait(lambda: np.abs(moved()).max() < 1e-3, "the camera to follow the pelvis")
    tab.get_by_label("Camera follows the pelvis").uncheck()
    tab.get_by_role("tab", name="Pose", exact=True).click()
    tab.get_by_role("button", name="Undo", exact=True).click()
    wait(lambda: same(session.now(), shown), "the pose from before the motion")
    tab.get_by_role("button", name="Redo", exact=True).click()
    wait(lambda: not same(session.now(), shown), "the motion's again")
    tab.get_by_role("button", name="Undo", exact=True).click()
    tab.get_by_label("Drag hands and feet").uncheck()

    # down to the browser's machine, and up again
    tab.get_by_role("tab", name="Files").click()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download pose").click()
    path = tmp_path / "downloaded.pose.json"
    download.value.save_as(path)
    session.follow_frames()
    with tab.expect_file_chooser() as chooser:
        tab.get_by_role("button", name="Upload pose").click()
    chooser.value.set_files(path)
    wait(lambda: np.abs(session.now().pose[1:] - shown.pose[1:]).max() < 2e-5, "the upload")
    np.testing.assert_allclose(session.now().expression, shown.expression, atol=1e-4)

    # the same avatar, exported while the training waits
    tab.get_by_role("button", name="Pause Training").click()
    wait(lambda: running.trainer.training_state == "paused", "the training to pause")
    camera = running.clients()[0].camera
    camera.position = camera.position + np.array([1.0, 1.5, 0.5])  # told to the tab, which tells where it looks from
    picture = at_rest(running, tab)
    height, width = picture.shape[:2]
    state = running.viewer.get_camera_state(running.clients()[0])
    T, K, *_ = opencv_cameras(get_camera(state, height, width), "cpu")
    folder = tmp_path / "page"
    with running.trainer.train_lock:
        write_bundle(running.model.eval(), folder, 64, precisely=Precisely("high"))
        running.model.train()
    with serve(folder) as url, avatar_page(chrome, url, 900, 700) as page:
        page.wait_ready()
        page.open_pose(path)
        page.look(T[0].numpy(), K[0].numpy(), width, height)
        drawn = page.read_pixels(width, height, (1, 1, 1))[..., :3]
    crop = renderers.person_crop(255 - picture)
    found = renderers.psnr(picture[crop], drawn[crop])
    assert found >= 35, f"viewer and page differ: {found:.1f} dB"
    assert renderers.psnr(picture[crop], np.full_like(picture[crop], 255)) < 25, "there is nobody to be seen"

    tab.get_by_role("button", name="Resume Training").click()
    step = running.steps[-1]
    wait(lambda: running.steps[-1] > step + 2, "the training to go on")


def bend(running: Running, ring: tuple[np.ndarray, np.ndarray, np.ndarray], q: np.ndarray) -> float:
    """Degrees by which the right elbow turns where its gizmo turns from `ring`'s first point to its second."""
    start, end, axis = ring
    centre = np.asarray(running.model.viewer_pose.skeleton_scene.gizmo.position) / VISER_PER_METRE
    a, b = start - centre, end - centre
    angle = np.arctan2(np.cross(a, b) @ axis, a @ b)
    now, skeleton = running.session.now(), running.model.viewer_pose.skeleton()
    up = world_joints(skeleton, now.pose, now.transl)[0][skeleton.parents[INDEX["right_elbow"]]]
    local = multiply(conjugate(up), multiply(quaternion(angle * axis), q))
    after = turned(now, INDEX["right_elbow"], rotation_vector(local))
    return float(np.degrees(np.linalg.norm(after.pose - now.pose)))
