"""The exported page in headless Chromium, drawn by software: it plays, it can be steered, it says what is wrong."""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser

from nerfstudio_mobavatar.web_export import bundle, pose_sequence, trained_range

from . import renderers
from .browser import NO_CHROMIUM, QUIET_FLAGS, AvatarPage, avatar_page, chromium, serve
from .synthetic_avatar import SyntheticAvatar, camera, rest_pose, walking_pose

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)

DIST = Path(__file__).parent.parent / "web_export" / "viewer" / "dist"
AVATAR, MOTION = "avatar.mobavatar", "motion.pose.bin"
SIZE = 256
TALL = 2 * SIZE
"""Window height where a message must leave the poster's middle free."""
POSTER_RGB = (200, 40, 160)
"""A colour that nothing else on the page has."""
FOLDER = "some/sub folder"
INDEX = "motions.json"
MOTIONS = [
    {"name": "Walking", "file": MOTION, "frames": 11, "fps": 30},
    {"name": "Waving", "file": "wave.pose.json", "frames": 4, "fps": 15},
]
STATS = "document.querySelector('mobile-avatar').stats"
POSES = [walking_pose(2 * np.pi * i / 10) for i in range(11)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's root with an exported page in a subfolder."""
    root = tmp_path_factory.mktemp("site")
    folder = root / FOLDER
    shutil.copytree(DIST, folder)
    page = folder / "index.html"
    # software drawing misses every target: the governor would lower the size of pictures that are compared
    page.write_text(page.read_text().replace("<mobile-avatar", '<mobile-avatar target-fps="1"'))
    # trained on less than half of the walk: what the three renderers have to agree on includes the clamping
    avatar = SyntheticAvatar().build()
    small = [dataclasses.replace(pose, pose=0.4 * pose.pose) for pose in POSES]
    (folder / AVATAR).write_bytes(bundle.encode(trained_range.with_training(avatar, small)))
    pose_sequence.write(folder / MOTION, POSES, list(range(len(POSES))))
    pose_sequence.write(folder / "wave.pose.json", POSES[2:6], list(range(4)))
    (folder / INDEX).write_text(json.dumps(MOTIONS))
    assert cv2.imwrite(str(folder / "poster.jpg"), np.full((96, 72, 3), POSTER_RGB[::-1], np.uint8))
    return root


@pytest.fixture(scope="module")
def live(chrome: Browser, site: Path) -> Iterator[AvatarPage]:
    """A page that draws; loading takes seconds, so tests share it and set the state that they need."""
    with serve(site) as url, avatar_page(chrome, f"{url}{FOLDER}/", SIZE, SIZE, has_touch=True) as page:
        asked: list[str] = []
        page.page.on("request", lambda request: asked.append(request.url))
        page.wait_ready()
        yield page
        assert not page.errors
        assert not [address for address in asked if not address.startswith(url.rstrip("/"))], asked


@pytest.fixture
def still(live: AvatarPage) -> AvatarPage:
    """The page in its first view, first frame, standing still."""
    live.page.evaluate("() => window.mobavatar.setCamera(null)")
    live.page.keyboard.press("r")
    live.hold(0)
    live.settle()
    return live


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of the pixels, 0..255."""
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).mean())


def person(page: AvatarPage) -> np.ndarray:
    """[h, w] where the person is, through the page's own camera."""
    page.settle()
    return page.read_pixels(SIZE, SIZE)[..., :3].max(-1) > 20


def middle(mask: np.ndarray) -> np.ndarray:
    """Column and row of the mask's centre."""
    return np.argwhere(mask).mean(0)[::-1]


def test_draws_the_person_and_nothing_else_is_missing(still: AvatarPage) -> None:
    picture = still.screenshot()
    shirt = (picture[..., 0].astype(int) - picture[..., 2] > 60).mean()
    assert 0.01 < shirt < 0.3, "the red shirt is in view"
    wall = picture[:10, :100]  # above the readout
    assert wall.min() > 200 and wall.max() < 250, "the wall is light grey"
    told = {"numGaussians": 2000, "frames": 11, "fps": 30, "body": "sticks", "bodyLicense": "none"}
    assert told.items() <= still.info().items()
    assert still.page.is_visible("#controls") and "2,000 splats" in still.page.inner_text("#readout")


def test_a_pose_outside_of_training_is_told(still: AvatarPage, site: Path) -> None:
    """In the stats as evaluate.py has it, and in words where people look. The page was trained on 0.4 of the walk."""
    avatar = bundle.load(site / FOLDER / AVATAR)
    frames = pose_sequence.read(site / FOLDER / MOTION)
    for frame in (0, 3):
        still.hold(frame)
        found = still.page.evaluate(f"() => {STATS}.poseDistance")
        expected = trained_range.pose_distance(avatar, frames[frame])
        assert list(found) == list(expected)
        np.testing.assert_allclose(list(found.values()), np.rad2deg(list(expected.values())), atol=1e-3)
    worst = [name for name in sorted(expected, key=lambda name: -expected[name]) if np.rad2deg(expected[name]) > 5]
    assert worst
    more = f" and {len(worst) - 2} more" if len(worst) > 2 else ""
    words = "pose outside of training: " + ", ".join(worst[:2]) + more
    still.page.wait_for_timeout(1100)  # the readout is written once a second
    still.page.evaluate("() => window.mobavatar.renderOnce()")
    still.page.wait_for_function("words => document.querySelector('mobile-avatar').shadowRoot"
                                 ".querySelector('#readout').textContent.endsWith(words)", arg=words)  # fmt: skip
    still.page.keyboard.press("i")
    assert f"outside of training: {worst[0]} " in still.page.inner_text("#stats")
    still.page.keyboard.press("i")


def test_canvas_shows_what_read_pixels_reads(still: AvatarPage) -> None:
    black, white = (still.read_pixels(SIZE, SIZE, (x, x, x))[..., :3].astype(int) for x in (0.0, 1.0))
    opaque = np.abs(black - white).max(-1) == 0
    opaque[:100] = opaque[180:] = False  # behind the readout and the controls
    assert opaque.sum() > 500
    shown = still.screenshot().astype(int)
    off = np.abs(shown - black)[opaque]
    # every splat is rounded into the 8-bit picture, over another backdrop: of 6,204 values 18 were off by 1, one by 2
    assert off.max() <= 3 and off.mean() < 0.1


def test_plays(still: AvatarPage) -> None:
    before = still.screenshot()
    still.hold(None)
    deadline = time.monotonic() + 30
    moved = 0.0
    while moved < 0.5 and time.monotonic() < deadline:
        moved = difference(before, still.screenshot())
    assert moved >= 0.5, "30 s of playing changed nothing"


def test_button_stops_and_scrub_bar_goes_to_a_frame(still: AvatarPage) -> None:
    still.hold(None)
    still.page.click("#play")
    assert still.page.get_attribute("#play", "aria-label") == "Play"
    still.look(*camera(SIZE, SIZE), SIZE, SIZE)  # the orbit would follow the person softly
    still.page.eval_on_selector("#scrub", "(bar) => { bar.value = '4'; bar.dispatchEvent(new Event('input')); }")
    scrubbed = still.read_pixels(SIZE, SIZE)
    still.hold(4)
    assert np.array_equal(scrubbed, still.read_pixels(SIZE, SIZE))
    still.hold(0)
    assert difference(scrubbed, still.read_pixels(SIZE, SIZE)) > 0.5
    still.hold(None)
    still.page.click("#play")
    assert still.page.get_attribute("#play", "aria-label") == "Pause"


def test_mouse_turns_zooms_and_shifts(still: AvatarPage) -> None:
    mouse = still.page.mouse
    first = person(still)
    before = still.screenshot()
    mouse.move(100, 100)
    mouse.down()
    mouse.move(160, 100, steps=3)
    mouse.up()
    still.settle()
    assert difference(before, still.screenshot()) > 1, "dragging turns"
    still.page.mouse.dblclick(100, 100)
    still.settle()
    assert np.array_equal(person(still), first), "a double click goes back"
    mouse.wheel(0, -300)
    still.page.wait_for_timeout(100)
    assert person(still).sum() > 1.3 * first.sum(), "the wheel zooms"
    still.page.keyboard.press("r")
    mouse.move(100, 100)
    mouse.down(button="right")
    mouse.move(130, 90, steps=3)
    mouse.up(button="right")
    np.testing.assert_allclose(middle(person(still)) - middle(first), [30, -10], atol=3)  # perspective, cut-off


def swipe(page: AvatarPage, *fingers: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Each finger goes down at its first point, moves to its second, goes up."""
    session = page.page.context.new_cdp_session(page.page)
    for kind, points in (
        ("touchStart", [a for a, _ in fingers]),
        ("touchMove", [b for _, b in fingers]),
        ("touchEnd", []),
    ):
        spots = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})
    session.detach()


def test_fingers_turn_pinch_and_shift(still: AvatarPage) -> None:
    first, before = person(still), still.screenshot()
    swipe(still, ((100, 100), (160, 100)))
    still.settle()
    assert difference(before, still.screenshot()) > 1, "one finger turns"
    still.page.keyboard.press("r")
    swipe(still, ((108, 128), (98, 128)), ((148, 128), (158, 128)))
    assert person(still).sum() > 1.3 * first.sum(), "two fingers apart zoom in"
    still.page.keyboard.press("r")
    swipe(still, ((108, 128), (138, 118)), ((148, 128), (178, 118)))
    np.testing.assert_allclose(middle(person(still)) - middle(first), [30, -10], atol=3)


def test_same_picture_as_wgpu_and_torch(live: AvatarPage, site: Path) -> None:
    avatar = (site / FOLDER / AVATAR).read_bytes()
    view = camera(SIZE, SIZE)
    shots = [
        renderers.Shot(walking_pose(1.0), *view, SIZE, SIZE, (0.2, 0.4, 0.6)),
        renderers.Shot(rest_pose(), *camera(SIZE, SIZE, 1.2, 2.0), SIZE, SIZE),
    ]
    in_page = [renderers.draw_chromium(live, shot) for shot in shots]
    for shot, found in zip(shots, in_page):
        crop = renderers.person_crop(found, shot.background)
        # measured 64 and 66 dB; halves in the accumulation and 16-bit depth keys are what differs
        assert renderers.psnr(found[crop], renderers.draw_torch(avatar, shot)[crop]) >= 45
    icd = renderers.swiftshader_icd()
    if icd is None:
        pytest.skip("Chromium's SwiftShader driver was not found: no common driver for wgpu-py and the page")
    for shot, found, expected in zip(shots, in_page, renderers.draw_wgpu(avatar, shots, icd)):
        crop = renderers.person_crop(found, shot.background)
        assert renderers.psnr(found[crop], expected[crop]) >= 70  # measured 95 dB and equal


def broken(site: Path, folder: Path, change: Callable[[Path], None]) -> Path:
    """A copy of the exported page that `change` has damaged."""
    shutil.copytree(site / FOLDER, folder)
    change(folder)
    return folder


def edit(name: str, change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(change(bytearray((folder / name).read_bytes())))

    return apply


def newer(data: bytearray) -> bytearray:
    data[8] = 9
    return data


def flipped(data: bytearray) -> bytearray:
    data[len(data) // 2] ^= 1
    return data


BAD_FOLDERS = {
    "truncated": (edit(AVATAR, lambda d: d[: len(d) // 2]), "avatar.mobavatar: truncated: expected "),
    "newer": (edit(AVATAR, newer), "avatar.mobavatar: made by a newer version (format 9, this page reads up to 2)"),
    "damaged": (edit(AVATAR, flipped), "is damaged (checksum differs); copy or export the file again"),
    "other file": (edit(AVATAR, lambda d: b"<html>"), 'not an avatar file: it starts with "<html>"'),
    "no avatar": (lambda f: (f / AVATAR).unlink(), "avatar.mobavatar: the server answered 404"),
    "no motion": (lambda f: (f / MOTION).unlink(), "motion.pose.bin: the server answered 404"),
    "bad motion": (edit(MOTION, lambda d: b'[{"pose":[1]}]'), "motion.pose.bin: frame 0 needs pose[165]"),
}


def assert_poster_behind(page: AvatarPage) -> None:
    page.page.wait_for_timeout(500)  # the poster fades back in
    above_message = page.screenshot()[120:220, 100:156].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(above_message, POSTER_RGB, atol=6)  # JPEG


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_bad_files_are_named(chrome: Browser, site: Path, tmp_path: Path, name: str) -> None:
    change, words = BAD_FOLDERS[name]
    with serve(broken(site, tmp_path / "page", change)) as url, avatar_page(chrome, url, SIZE, TALL) as page:
        text = page.message()
        what = "motion" if name == "bad motion" else "avatar"
        assert f"The {what} could not be loaded" in text and words in text
        assert_poster_behind(page)
        with pytest.raises(RuntimeError, match="the page does not draw"):
            page.wait_ready()


NO_GPU = {
    "no WebGPU": ("Object.defineProperty(navigator, 'gpu', {value: undefined})", "This browser has no WebGPU"),
    "no adapter": ("GPU.prototype.requestAdapter = async () => null", "No graphics adapter"),
    "insecure": ("Object.defineProperty(window, 'isSecureContext', {value: false})", "This address is not secure"),
    "no device": (
        "GPUAdapter.prototype.requestDevice = async () => { throw new Error('out of devices'); }",
        "The graphics device could not be opened",
    ),
    "broken driver": (
        """const create = GPUDevice.prototype.createShaderModule;
        GPUDevice.prototype.createShaderModule = function (module) {
            const code = module.code.replace("before += values[i];", "before += 2u * values[i];");
            return create.call(this, { ...module, code });
        };""",
        "This graphics driver computes wrongly",
    ),
}


@pytest.mark.parametrize("name", NO_GPU)
def test_missing_webgpu_is_explained(chrome: Browser, site: Path, name: str) -> None:
    script, title = NO_GPU[name]
    with serve(site) as url, avatar_page(chrome, f"{url}{FOLDER}/", SIZE, TALL, init_script=script) as page:
        assert title in page.message()
        assert_poster_behind(page)
        assert not page.page.is_visible("#controls") and not page.page.is_visible("#progress")


def test_a_gpu_that_the_browser_blocks_is_explained(chrome: Browser, site: Path) -> None:
    """As on a blocklist: WebGPU is there and gives no adapter, neither of the card nor of software."""
    blocked = [*QUIET_FLAGS, "--disable-gpu", "--disable-software-rasterizer"]
    other = chrome.browser_type.launch(executable_path=chromium(), args=blocked)
    try:
        with serve(site) as url, avatar_page(other, f"{url}{FOLDER}/", SIZE, TALL) as page:
            assert "No graphics adapter" in page.message()
            assert "Turn on hardware acceleration" in page.message()
            assert_poster_behind(page)
    finally:
        other.close()


def test_page_opened_from_disk_asks_for_a_server(chrome: Browser, site: Path) -> None:
    with avatar_page(chrome, (site / FOLDER / "index.html").as_uri(), SIZE, TALL) as page:
        assert "This page needs a web server" in page.message()
        assert_poster_behind(page)


def test_lost_device_comes_back_twice_then_with_less_then_says_so(chrome: Browser, site: Path) -> None:
    keep = """const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = async function (...options) {
            window.device = await request.apply(this, options);
            window.devices = (window.devices ?? 0) + 1;
            return window.device;
        };"""
    with serve(site) as url, avatar_page(chrome, f"{url}{FOLDER}/", SIZE, TALL, init_script=keep) as page:
        page.wait_ready()
        page.hold(3)
        before = page.read_pixels(SIZE, TALL)
        for devices in (2, 3, 4):
            page.page.evaluate("() => window.device.destroy()")
            size = SIZE if devices < 4 else SIZE // 2
            drawn = f"window.mobavatar.renderOnce().then(() => {STATS}.width === {size})"
            page.wait_until(f"() => window.devices === {devices} && {drawn}")
            assert not page.page.is_visible("#message")
            if devices == 2:
                assert np.array_equal(page.read_pixels(SIZE, TALL), before)
        page.page.evaluate("() => window.device.destroy()")
        assert "The graphics device was lost" in page.message()
        assert_poster_behind(page)
        page.page.click("#retry")
        page.wait_until(f"() => window.devices === 5 && window.mobavatar?.renderOnce().then(() => {STATS}.width > 0)")
        assert not page.page.is_visible("#message")
