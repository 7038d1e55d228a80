"""`<mobile-avatar>` in headless Chromium: several on a page, its controls, and what would leave a page black."""

import base64
import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser

from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from nerfstudio_mobavatar.web_export.detail import Level

from .browser import NO_CHROMIUM, AvatarPage, avatar_page, chromium, serve
from .synthetic_avatar import SyntheticAvatar, walking_pose

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)

DIST = Path(__file__).parent.parent / "web_export" / "viewer" / "dist"
SIZE = 192
TALL = 480
POSES = [walking_pose(2 * np.pi * i / 10) for i in range(11)]
MOTIONS = [
    {"name": "Walking", "file": "motion.pose.json", "frames": 11, "fps": 30},
    {"name": "Waving", "file": "wave.pose.json", "frames": 4, "fps": 15},
]
LEVEL = Level(1000, 1.2, 40.0)
"""Of the 2,000 Gaussians; in the first view, SIZE x TALL, a metre of the person is 108 pixels, 27 in the furthest."""
# software drawing misses every target: the governor would change the size of pictures
ELEMENT = """<mobile-avatar src="avatar.mobavatar" motion="motion.pose.json" motions="motions.json" poster="poster.jpg"
    loop controls target-fps="1"></mobile-avatar>"""
FIRST = "document.querySelector('mobile-avatar')"
KEEP_DEVICES = """
    window.devices = [];
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...options) {
        const device = await request.apply(this, options);
        window.devices.push(device);
        return device;
    };"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site") / "page"
    shutil.copytree(DIST, root)
    avatar = dataclasses.replace(SyntheticAvatar().build(), levels=(LEVEL,))
    (root / "avatar.mobavatar").write_bytes(bundle.encode(avatar))
    pose_sequence.write(root / "motion.pose.json", POSES, list(range(len(POSES))))
    pose_sequence.write(root / "wave.pose.json", POSES[2:6], list(range(4)))
    (root / "motions.json").write_text(json.dumps(MOTIONS))
    assert cv2.imwrite(str(root / "poster.jpg"), np.full((96, 72, 3), (160, 40, 200), np.uint8))
    write_page(root, "index.html", ELEMENT)
    (root / "half.css").write_text("mobile-avatar { position: static; width: 96px; height: 96px; float: left }")
    write_page(root, "two.html", '<link rel="stylesheet" href="half.css">' + 2 * ELEMENT)
    return root


def write_page(root: Path, name: str, body: str) -> None:
    page = (DIST / "index.html").read_text()
    start, end = page.index("<mobile-avatar"), page.index("</mobile-avatar>") + len("</mobile-avatar>")
    (root / name).write_text(page[:start] + body + page[end:])


@contextmanager
def opened(chrome: Browser, site: Path, script: str = "", name: str = "", height: int = TALL) -> Iterator[AvatarPage]:
    with serve(site) as url, avatar_page(chrome, f"{url}{name}", SIZE, height, init_script=script) as page:
        yield page


@pytest.fixture(scope="module")
def live(chrome: Browser, site: Path) -> Iterator[AvatarPage]:
    with opened(chrome, site) as page:
        page.wait_ready()
        yield page
        assert not page.errors


def test_two_elements_share_device_and_download(chrome: Browser, site: Path) -> None:
    count = """
        window.asked = [];
        const real = fetch;
        window.fetch = (url, ...options) => (asked.push(String(url)), real(url, ...options));"""
    both = "Promise.all([...document.querySelectorAll('mobile-avatar')].map((e) => e.complete))"
    with opened(chrome, site, KEEP_DEVICES + count, "two.html") as page:
        page.wait_until(f"() => {both}.then(() => true)")
        assert page.page.evaluate("() => devices.length") == 1
        assert page.page.evaluate("() => asked.filter((u) => u.endsWith('.mobavatar')).length") == 1
        page.page.wait_for_timeout(800)  # the posters fade
        picture = page.screenshot().astype(int)
        left, right = picture[30:60, :96], picture[30:60, 96:192]
        assert np.abs(left - right).max() <= 2 and left.std() > 5, "both draw the same first frame"
        page.page.evaluate(f"() => {FIRST}.remove()")
        page.page.wait_for_timeout(200)
        assert page.page.evaluate(f"() => {FIRST}.scene.render().then(() => true)"), "the other one goes on"
        page.page.evaluate(f"() => {FIRST}.remove()")
        page.wait_until("() => devices[0].lost.then(() => true)")  # the last one gives the device back
        assert not page.errors


def test_people_outside_of_the_picture_are_not_drawn(live: AvatarPage) -> None:
    script = f"""async (x) => {{
        const added = await {FIRST}.scene.add("avatar.mobavatar", {{position: [x, 0, 0], autoplay: false}});
        {FIRST}.setCamera({{yaw: 0, pitch: 0, zoom: 1}});
        await {FIRST}.scene.render();
        const before = {FIRST}.stats;
        added.place({{position: [0.3, 0, 0]}});
        await {FIRST}.scene.render();
        const after = {FIRST}.stats;
        added.dispose();
        return [before, after, {FIRST}.stats.avatars];
    }}"""
    before, after, left = live.page.evaluate(script, 500)
    assert (before["avatars"], before["splats"], after["avatars"], left) == (2, 4000, 2, 1)
    assert after["culledAvatars"] == 0
    assert before["culledAvatars"] >= 1


def test_menu_by_keyboard_motion_speed_background(live: AvatarPage) -> None:
    page = live.page
    page.keyboard.press("?")
    assert page.is_visible("#menu") and page.get_attribute("#menu-button", "aria-expanded") == "true"
    page.check("input[name=motion][value='1']", force=True)
    live.wait_until(f"() => {FIRST}.info.frames === 4 && {FIRST}.info.fps === 15")
    assert page.inner_text("#status") == "Motion: Waving"
    page.check("input[name=speed][value='2']", force=True)
    assert page.evaluate(f"() => {FIRST}.scene.avatars[0].speed") == 2
    page.check("input[name=background][value='#000000']", force=True)
    live.settle()
    assert live.screenshot()[2:8, 2:20].max() < 10, "the room is black"
    page.keyboard.press("Escape")
    assert not page.is_visible("#menu")
    page.evaluate(f"() => {{ {FIRST}.background = 'stage'; return {FIRST}.setMotion('motion.pose.json'); }}")
    page.keyboard.press("End")
    assert page.evaluate(f"() => {FIRST}.frame") == 10
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(f"() => [{FIRST}.frame, {FIRST}.paused]") == [9, True]


def test_everything_to_press_has_a_name(live: AvatarPage) -> None:
    nameless = live.page.evaluate(
        f"""() => [...{FIRST}.shadowRoot.querySelectorAll("button, input, canvas, [role=dialog]")]
            .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length || e.type === "file"))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []


def test_statistics_say_what_drawing_costs(live: AvatarPage) -> None:
    live.page.wait_for_function(f"() => {FIRST}.stats.fragments > {SIZE}")  # the person is that tall at least
    live.page.click("#readout")
    table = live.page.inner_text("#stats")
    for row in ("Pictures a second", "GPU", "Splats drawn", "Fragments", "Governor", "On the GPU", "Body: sticks"):
        assert row in table
    live.page.wait_for_timeout(400)
    live.settle()
    stats = live.page.evaluate(f"() => {FIRST}.stats")
    assert stats["width"] == SIZE and stats["height"] == TALL and stats["splats"] == 2000
    live.page.click("#readout")
    assert not live.page.is_visible("#stats")


def test_badge_says_how_many_splats_are_drawn(live: AvatarPage) -> None:
    """Also of somebody who stands still: the last picture may come right after the badge was written."""
    for zoom, splats in ((4, "1,000 of 2,000 splats"), (1, "2,000 splats"), (4, "1,000 of 2,000 splats")):
        live.page.evaluate(f"(zoom) => {FIRST}.setCamera({{zoom}})", zoom)
        live.page.wait_for_function(
            f"(text) => {FIRST}.shadowRoot.querySelector('#readout').textContent === text", arg=splats
        )
    live.page.evaluate(f"() => {FIRST}.setCamera(null)")


def test_screenshot_is_the_picture(live: AvatarPage) -> None:
    script = f"""async () => {{
        const blob = await {FIRST}.screenshot({{width: 60, height: 80}});
        return [blob.type, btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())))];
    }}"""
    kind, text = live.page.evaluate(script)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    assert kind == "image/png" and picture.shape == (80, 60, 3)
    assert picture.std() > 5


def drop(page: AvatarPage, name: str, data: bytes) -> None:
    script = f"""([name, text]) => {{
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
        const event = (type) => new DragEvent(type, {{dataTransfer: transfer, bubbles: true, cancelable: true}});
        for (const type of ["dragover", "drop"]) {FIRST}.dispatchEvent(event(type));
    }}"""
    page.page.evaluate(script, [name, base64.b64encode(data).decode()])


def test_dropped_files_are_opened_and_bad_ones_leave_the_picture(live: AvatarPage, site: Path) -> None:
    drop(live, "my_wave.pose.json", (site / "wave.pose.json").read_bytes())
    live.wait_until(f"() => {FIRST}.info.frames === 4 && {FIRST}.motionList.at(-1).name === 'my wave'")
    drop(live, "broken.mobavatar", b"no avatar at all")
    assert "broken.mobavatar: not an avatar file" in live.message()
    assert live.page.is_visible("#canvas") and live.page.evaluate(f"() => {FIRST}.info.numGaussians") == 2000
    live.page.click("#dismiss")
    assert not live.page.is_visible("#message")
    small = bundle.encode(SyntheticAvatar(num_gaussians=500).build())
    drop(live, "small.mobavatar", small)
    live.wait_until(f"() => {FIRST}.info.numGaussians === 500 && {FIRST}.info.frames === 4")
    assert live.page.evaluate(f"() => {FIRST}.scene.avatars.length") == 1


def test_rotation_and_resize_change_the_picture(live: AvatarPage) -> None:
    live.page.set_viewport_size({"width": TALL, "height": SIZE})
    live.wait_until(f"() => {FIRST}.scene.render().then(() => {FIRST}.stats.width === {TALL})")
    live.page.set_viewport_size({"width": SIZE, "height": TALL})
    live.wait_until(f"() => {FIRST}.scene.render().then(() => {FIRST}.stats.height === {TALL})")


def test_hidden_tab_neither_skips_nor_lowers(chrome: Browser, site: Path) -> None:
    gate = """
        window.isHidden = false;
        const frame = requestAnimationFrame;
        window.requestAnimationFrame = (run) => {
            const wait = (now) => (window.isHidden ? setTimeout(wait, 20) : frame(run));
            return frame(wait);
        };"""
    with opened(chrome, site, gate) as page:
        page.wait_ready()
        script = f"""async () => {{
            {FIRST}.play();
            {FIRST}.scene.avatars[0].speed = 0.25;
            isHidden = true;
            await new Promise((done) => setTimeout(done, 200));
            const before = {FIRST}.frame;
            await new Promise((done) => setTimeout(done, 3000));
            isHidden = false;
            await new Promise((done) => {FIRST}.addEventListener("frame", done, {{once: true}}));
            {FIRST}.pause();
            return [before, {FIRST}.frame, {FIRST}.stats.scale];
        }}"""
        before, after, scale = page.page.evaluate(script)
        assert scale == 1
        # a gap counts as a quarter of a second, about two frames at this speed; three seconds would be 22
        assert 0 <= after - before <= 6


def test_slow_network_shows_poster_then_neutral_avatar_then_all(chrome: Browser, site: Path) -> None:
    data = (site / "avatar.mobavatar").read_bytes()
    length = int.from_bytes(data[12:16], "little")
    sections = json.loads(data[20 : 20 + length])["sections"]
    cut = 20 + length + next(s["offset"] for s in sections if s["name"] == "rotation_index")
    slow = f"""
        const real = fetch;
        window.gates = [1, 2].map(() => Promise.withResolvers());
        window.fetch = async (url, options) => {{
            if (!String(url).endsWith(".mobavatar")) return real(url, options);
            const bytes = new Uint8Array(await (await real(url)).arrayBuffer());
            const body = new ReadableStream({{async start(controller) {{
                await gates[0].promise;
                controller.enqueue(bytes.slice(0, {cut}));
                await gates[1].promise;
                controller.enqueue(bytes.slice({cut}));
                controller.close();
            }}}});
            return new Response(body, {{headers: {{"content-length": bytes.length}}}});
        }};"""
    with opened(chrome, site, slow) as page:
        page.page.wait_for_selector("#progress:not([hidden])")
        assert page.page.is_visible("#poster") and page.page.inner_text("#progress-text") == "Loading the avatar"
        np.testing.assert_allclose(page.screenshot()[200:260, 60:130].reshape(-1, 3).mean(0), (200, 40, 160), atol=6)
        page.page.evaluate("() => gates[0].resolve()")
        page.wait_until(f"() => {FIRST}.ready.then(() => true)")
        page.hold(3)
        page.page.evaluate("() => mobavatar.setCamera({yaw: 0, pitch: 0, zoom: 1})")
        neutral = page.read_pixels(SIZE, TALL)
        assert (neutral[..., :3].max(-1) > 20).mean() > 0.02, "a person is drawn"
        page.page.evaluate("() => gates[1].resolve()")
        page.wait_ready()
        whole = page.read_pixels(SIZE, TALL)
        assert not np.array_equal(neutral, whole), "the corrections have come"
        assert not page.errors


def test_too_little_memory_for_the_avatar_is_said(chrome: Browser, site: Path) -> None:
    full = """
        const pop = GPUDevice.prototype.popErrorScope;
        GPUDevice.prototype.popErrorScope = async function () {
            await pop.call(this);
            return window.isFull ? new GPUOutOfMemoryError("no memory left") : null;
        };
        window.isFull = true;"""
    with opened(chrome, site, full) as page:
        text = page.message()
        assert "Not enough graphics memory" in text and "no memory left" in text and page.page.is_visible("#poster")
        page.page.evaluate("() => { window.isFull = false; }")
        page.page.click("#retry")
        page.wait_until(f"() => {FIRST}.complete.then(() => true)")
        assert not page.page.is_visible("#message") and page.page.is_visible("#controls")


def test_memory_that_ends_while_drawing_lowers_once_then_says_so(chrome: Browser, site: Path) -> None:
    end = """() => {
        const error = new GPUOutOfMemoryError("used up");
        devices.at(-1).dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", {error, cancelable: true}));
    }"""
    with opened(chrome, site, KEEP_DEVICES) as page:
        page.wait_ready()
        assert page.page.evaluate(f"() => {FIRST}.stats.drawnSplats") == 2000
        page.page.evaluate(end)
        page.wait_until(f"() => {FIRST}.scene.render().then(() => {FIRST}.stats.width === {SIZE // 2})")
        # half the pixels are 54 for a metre, half of the detail is what 27 need
        assert page.page.evaluate(f"() => {FIRST}.stats.drawnSplats") == LEVEL.count
        assert not page.page.is_visible("#message")
        page.page.evaluate(end)
        assert "Not enough graphics memory" in page.message() and page.page.is_visible("#poster")
        assert page.page.evaluate(f"() => {FIRST}.error.code") == "out-of-memory"
