"""Posing by hand on the exported page, in headless Chromium: with mouse, finger and keys."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.ik import Skeleton, world_joints
from nerfstudio_mobavatar.web_export import bundle, evaluate, pose_sequence

from . import renderers
from .browser import NO_CHROMIUM, AvatarPage, avatar_page, chromium, serve
from .synthetic_avatar import PARENTS, SyntheticAvatar, camera, rest_joints, walking_pose

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)

DIST = Path(__file__).parent.parent / "web_export" / "viewer" / "dist"
WIDTH, HEIGHT = 920, 480
"""Wide enough for the panel to be open."""
AVATAR = SyntheticAvatar(num_gaussians=600, num_parts=8, num_nodes=60, num_kept=80, basis_size=8, num_expressions=6)
SKELETON = Skeleton(rest_joints(), tuple(PARENTS.tolist()))
ELEMENT = "document.querySelector('mobile-avatar')"
HEARD = f"() => {{ {ELEMENT}.addEventListener('pose', (e) => (window.heard = e.detail.pose)); }}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "page"
    shutil.copytree(DIST, folder)
    page = folder / "index.html"
    # software drawing misses every target: the governor would change the size of pictures that are compared
    calm = '<mobile-avatar target-fps="1" max-pixel-ratio="0.5"'
    page.write_text(page.read_text().replace("<mobile-avatar", calm).replace('motions="motions.json"', ""))
    (folder / "avatar.mobavatar").write_bytes(bundle.encode(AVATAR.build()))
    pose_sequence.write(folder / "motion.pose.bin", [walking_pose(x, 6) for x in (0.3, 0.6)], [0, 1])
    shutil.copy(Path(__file__).parent.parent / "docs" / "sample" / "poster.jpg", folder)
    return folder


@pytest.fixture(scope="module")
def live(chrome: Browser, site: Path) -> Iterator[AvatarPage]:
    """Opened by a link whose end is missing, which the page says and goes on."""
    with serve(site) as url, avatar_page(chrome, f"{url}#pose=AQAA", WIDTH, HEIGHT, has_touch=True) as page:
        page.wait_ready()
        message = page.message()
        assert "The pose could not be loaded" in message and "copy the link again" in message
        page.page.click("#dismiss")
        page.page.evaluate(HEARD)
        yield page
        assert not page.errors


@pytest.fixture
def posing(live: AvatarPage) -> AvatarPage:
    """The mode, entered anew with the first frame of the motion."""
    if live.page.is_visible("#pose-bar"):
        live.page.click("#pose-done")
    live.page.evaluate("() => mobavatar.setCamera(null)")
    live.hold(0)
    live.page.keyboard.press("e")
    live.page.wait_for_selector("#pose-bar:not([hidden])")
    return live


def state(page: AvatarPage) -> dict:
    return page.page.evaluate(f"() => {ELEMENT}.getPose()")


def angles(page: AvatarPage) -> np.ndarray:
    """[55, 3]"""
    return np.array(state(page)["pose"]).reshape(55, 3)


def spot(page: AvatarPage, joint: str) -> np.ndarray:
    """Pixels."""
    box = page.page.locator(f"[data-joint={joint}] .dot").bounding_box()
    assert box is not None
    return np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])


def true_spot(page: AvatarPage, joint: str) -> np.ndarray:
    """Pixels where the joint of the shown pose is, by Python from the page's pose and camera."""
    row = state(page)
    matrices = page.page.evaluate(f"() => {{ const c = {ELEMENT}.scene.camera; return [c.T_cam_world, c.K]; }}")
    Rh, Th = np.array(row["Rh"]), np.array(row["Th"])
    p = world_joints(SKELETON, np.array(row["pose"]).reshape(55, 3), np.zeros(3))[1][INDEX[joint]]
    T, K = np.array(matrices[0]).reshape(4, 4), np.array(matrices[1]).reshape(3, 3)
    seen = K @ (T[:3, :3] @ (Rh @ p + Th) + T[:3, 3])
    return seen[:2] / seen[2]


def drag(page: AvatarPage, joint: str, way: tuple[float, float]) -> np.ndarray:
    """With the mouse, grabbed 3 pixels beside its middle; returns where the joint should be."""
    start, mouse = spot(page, joint), page.page.mouse
    mouse.move(*(start + 3))
    mouse.down()
    mouse.move(*(start + 3 + way), steps=4)
    mouse.up()
    return start + way


def slide(page: AvatarPage, name: str, value: float) -> None:
    """As a person moves a slider: `input` and then `change`."""
    page.page.get_by_label(name, exact=True).evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change')); }",
        str(value),
    )


def tab(page: AvatarPage, name: str) -> None:
    page.page.check(f"#pose-panel input[value={name}]", force=True)


def test_skeleton_lies_on_the_person_and_stands_still(posing: AvatarPage) -> None:
    for joint in ("left_wrist", "right_ankle", "head", "pelvis"):
        np.testing.assert_allclose(spot(posing, joint), true_spot(posing, joint), atol=1)
    before = state(posing)
    posing.page.wait_for_timeout(150)
    assert state(posing) == before and posing.page.is_hidden("#controls")
    posing.page.mouse.move(300, 60)  # nothing is there: the view turns
    posing.page.mouse.down()
    posing.page.mouse.move(360, 60, steps=3)
    posing.page.mouse.up()
    posing.settle()
    assert state(posing) == before
    np.testing.assert_allclose(spot(posing, "left_wrist"), true_spot(posing, "left_wrist"), atol=1)


def test_mouse_drags_wrist_elbow_pelvis_and_undo_takes_them_back(posing: AvatarPage) -> None:
    page, start = posing.page, state(posing)
    wanted = drag(posing, "left_wrist", (12, -70))
    np.testing.assert_allclose(true_spot(posing, "left_wrist"), wanted, atol=2)
    assert page.evaluate("() => heard") == state(posing), "the page is told"
    assert page.get_attribute("#pose-undo", "aria-disabled") == "false"
    wrist, elbow = true_spot(posing, "left_wrist"), true_spot(posing, "left_elbow")
    drag(posing, "left_elbow", (10, 25))
    np.testing.assert_allclose(true_spot(posing, "left_wrist"), wrist, atol=1)
    assert np.abs(true_spot(posing, "left_elbow") - elbow).max() > 4
    feet = [true_spot(posing, f"{side}_ankle") for side in ("left", "right")]
    wanted = drag(posing, "pelvis", (6, 14))
    np.testing.assert_allclose(true_spot(posing, "pelvis"), wanted, atol=1)
    for side, foot in zip(("left", "right"), feet):
        np.testing.assert_allclose(true_spot(posing, f"{side}_ankle"), foot, atol=2)
    for _ in range(2):
        page.keyboard.press("Control+z")
    page.click("#pose-undo")
    assert state(posing) == start
    assert page.get_attribute("#pose-undo", "aria-disabled") == "true"
    page.keyboard.press("Control+Shift+z")
    page.click("#pose-redo")
    assert state(posing) != start
    page.click("#pose-reset")
    assert state(posing) == start


def test_finger_drags_a_foot(posing: AvatarPage) -> None:
    start = spot(posing, "right_ankle")
    session = posing.page.context.new_cdp_session(posing.page)
    for kind, at in (("touchStart", start), *(("touchMove", start + np.array([-6, -8]) * i) for i in (1, 2, 3, 4))):
        points = [{"x": float(at[0]), "y": float(at[1]), "id": 0}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    np.testing.assert_allclose(true_spot(posing, "right_ankle"), start - (24, 32), atol=2)


def test_sliders_turn_a_joint_within_its_range_close_a_hand_and_smile(posing: AvatarPage) -> None:
    page = posing.page
    before = angles(posing)
    page.mouse.click(*spot(posing, "left_elbow"))
    assert np.array_equal(angles(posing), before), "a click only chooses"
    assert page.locator("#pose-panel select").evaluate("(e) => e.selectedOptions[0].textContent") == "Left elbow"
    slide(posing, "Forward, back", -95)
    changed = np.abs(angles(posing) - before).max(1) > 1e-5
    assert list(np.flatnonzero(changed)) == [INDEX["left_elbow"]]
    np.testing.assert_allclose(angles(posing)[INDEX["left_elbow"], 1], np.radians(-95), atol=1e-3)
    slide(posing, "Forward, back", 90)
    assert angles(posing)[INDEX["left_elbow"], 1] <= 1e-3, "an elbow does not bend backwards"
    tab(posing, "Hands")
    slide(posing, "Left fist", 1)
    hand = np.linalg.norm(angles(posing)[25:40], axis=1)
    assert hand.min() > 0.4 and not np.abs(angles(posing)[40:]).any()
    tab(posing, "Face")
    slide(posing, "Jaw", 20)
    np.testing.assert_allclose(angles(posing)[INDEX["jaw"]], [np.radians(20), 0, 0], atol=1e-4)
    assert page.locator("#pose-panel").get_by_label("Expression").count() == AVATAR.num_expressions
    slide(posing, "Expression 4", 2.5)
    assert state(posing)["expression"][3] == 2.5
    before = angles(posing)
    page.keyboard.press("x")
    np.testing.assert_allclose(angles(posing)[40:], before[25:40] * [1, -1, -1], atol=1e-5)


def test_a_joint_that_only_turns_follows_the_mouse_too(posing: AvatarPage) -> None:
    before = angles(posing)
    drag(posing, "head", (30, 0))
    changed = np.flatnonzero(np.abs(angles(posing) - before).max(1) > 1e-5)
    assert list(changed) == [INDEX["head"]]
    np.testing.assert_allclose(angles(posing)[INDEX["head"], 1], np.radians(15), atol=0.05)


def test_a_wrist_turns_by_its_rings(posing: AvatarPage) -> None:
    """Along the ring that faces the viewer most, which is the one about the forearm's axis least seen from its edge."""
    page, name = posing.page, "left_wrist"
    page.mouse.click(*spot(posing, name))
    before, centre = angles(posing), spot(posing, name)
    rings = page.locator(".ring").evaluate_all("(all) => all.map((e) => [e.dataset.axis, Number(e.style.opacity)])")
    axis = max(rings, key=lambda ring: ring[1])[0]
    corner = page.locator("#skeleton").bounding_box()
    assert corner is not None
    spread = "(e) => Array.from({ length: 64 }, (_, i) => e.getPointAtLength((e.getTotalLength() * i) / 64))"
    on_ring = page.locator(f".ring[data-axis={axis}]").evaluate(f"(e) => ({spread})(e).map((p) => [p.x, p.y])")
    points = np.array(on_ring) + np.array([corner["x"], corner["y"]])
    taken = lambda p: page.evaluate("([x, y]) => document.querySelector('mobile-avatar').shadowRoot"  # noqa: E731
                                    ".elementFromPoint(x, y)?.classList.contains('ring')", p.tolist())  # fmt: skip
    i = next(i for i in range(64) if taken(points[i]))
    way = points[(i + 4) % 64] - points[i]
    page.mouse.move(*points[i])
    page.mouse.down()
    page.mouse.move(*(points[i] + way), steps=4)
    page.mouse.up()
    after = angles(posing)
    assert list(np.flatnonzero(np.abs(after - before).max(1) > 1e-5)) == [INDEX[name]]
    assert 5 < np.degrees(np.linalg.norm(after - before)) < 45
    np.testing.assert_allclose(spot(posing, name), centre, atol=1)
    page.keyboard.press("Control+z")
    assert np.array_equal(angles(posing), before)


def test_keyboard_alone_poses(posing: AvatarPage) -> None:
    page = posing.page
    page.locator("[data-joint=right_wrist]").focus()
    wanted = true_spot(posing, "right_wrist")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")
    assert true_spot(posing, "right_wrist")[1] < wanted[1] - 10
    np.testing.assert_allclose(true_spot(posing, "right_wrist")[0], wanted[0], atol=2)
    page.locator("#pose-panel select").select_option(label="Neck")
    before = angles(posing)
    page.get_by_label("Twist", exact=True).focus()
    page.keyboard.press("ArrowRight")
    np.testing.assert_allclose(angles(posing)[INDEX["neck"]] - before[INDEX["neck"]], [0, np.radians(1), 0], atol=0.01)
    page.keyboard.press("Escape")
    assert page.is_hidden("#skeleton") and page.is_visible("#controls")
    assert page.evaluate(f"() => {ELEMENT}.paused"), "the pose stays"
    page.keyboard.press("e")
    page.evaluate("() => mobavatar.play()")
    page.wait_for_selector("#pose-bar", state="hidden")  # a motion that plays ends the mode


def test_everything_to_press_has_a_name(posing: AvatarPage) -> None:
    nameless = posing.page.evaluate(
        """() => [...document.querySelector("mobile-avatar").shadowRoot
            .querySelectorAll("button, input, select, [tabindex='0'], [role]")]
            .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length || e.type === "file"
                || ["message", "status"].includes(e.id)))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []


def test_saved_file_is_what_is_shown_and_opens_again(posing: AvatarPage, tmp_path: Path) -> None:
    drag(posing, "right_wrist", (20, -40))
    shown = state(posing)
    tab(posing, "File")
    with posing.page.expect_download() as download:
        posing.page.click("#save-pose")
    assert download.value.suggested_filename.endswith(".pose.json")
    path = tmp_path / "saved.pose.json"
    download.value.save_as(path)
    (saved,) = pose_sequence.read(path)
    np.testing.assert_allclose(saved.pose.ravel(), shown["pose"], atol=1e-6)
    np.testing.assert_allclose(saved.Th, shown["Th"], atol=1e-6)
    posing.page.click("#pose-reset")
    assert state(posing) != shown
    with posing.page.expect_file_chooser() as chooser:
        posing.page.click("#open-pose")
    chooser.value.set_files(path)
    text = json.dumps(json.dumps(shown, separators=(",", ":")))
    posing.wait_until(f"() => JSON.stringify({ELEMENT}.getPose()) === {text}")
    posing.page.keyboard.press("Control+z")
    assert state(posing) != shown, "opening is one step back"


def test_link_shows_the_same_picture_after_a_reload_and_a_broken_one_says_so(posing: AvatarPage) -> None:
    page = posing.page
    drag(posing, "left_wrist", (-20, -50))
    tab(posing, "File")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy-link")
    page.wait_for_selector("text=Copied")
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert "#pose=" in link and "&view=" not in link and len(link) < 500
    page.evaluate("() => mobavatar.setCamera({ yaw: 0.5, pitch: 0.25, zoom: 1.5 })")
    page.click("#copy-link")
    assert page.evaluate("() => navigator.clipboard.readText()") == link + "&view=0.500,0.250,1.500"
    view = (*camera(240, 320), 240, 320)
    posing.look(*view)
    before = posing.read_pixels(240, 320)
    page.goto("about:blank")
    page.goto(f"{link}&view=0.500,0.250,1.500")
    posing.wait_ready()
    seen = page.evaluate(f"() => {ELEMENT}.scene.view")
    assert seen == {"yaw": 0.5, "pitch": 0.25, "zoom": 1.5}
    posing.look(*view)
    after = posing.read_pixels(240, 320)
    crop = renderers.person_crop(before)
    assert renderers.psnr(before[crop], after[crop]) > 45, "the steps of a link are not to be seen"
    posing.hold(0)
    assert renderers.psnr(before[crop], posing.read_pixels(240, 320)[crop]) < 35
    page.evaluate("() => (location.hash = location.hash.slice(0, -6))")  # of the page that is there already
    assert "copy the link again" in posing.message()
    page.evaluate(HEARD)
    page.click("#dismiss")
    page.evaluate("() => history.replaceState(null, '', location.pathname)")


def test_pose_of_python_is_drawn_as_python_draws_it(live: AvatarPage, site: Path, tmp_path: Path) -> None:
    pose = walking_pose(1.0, 6)
    pose_sequence.write(tmp_path / "one.pose.json", [pose], [0])
    (row,) = json.loads((tmp_path / "one.pose.json").read_text())
    shot = renderers.Shot(evaluate.Pose(pose.pose, pose.Rh, pose.Th, pose.expression), *camera(240, 320), 240, 320)
    live.hold(row)
    live.look(shot.T_cam_world, shot.K, 240, 320)
    page = live.read_pixels(240, 320)[..., :3]
    torch = renderers.draw_torch((site / "avatar.mobavatar").read_bytes(), shot)
    crop = renderers.person_crop(torch)
    assert renderers.psnr(page[crop], torch[crop]) > 35
