"""The page's drawing part by itself in Chromium: within the promised limits, checked at the start, no idle work."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from nerfstudio_mobavatar.web_export import bundle, layout, pose_sequence
from nerfstudio_mobavatar.web_export.detail import Level

from .browser import NO_CHROMIUM, browser, chromium, serve
from .synthetic_avatar import SyntheticAvatar, camera, walking_pose

VIEWER = Path(__file__).parent.parent / "web_export" / "viewer"
SIZE = 64
LEVELS = (Level(500, 2.0, 10.0), Level(1000, 1.4, 20.0))
SECONDS = 120
pytestmark = [
    pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM),
    pytest.mark.skipif(
        shutil.which("node") is None or not (VIEWER / "node_modules" / "esbuild").is_dir(),
        reason="no Node or no esbuild to build the viewer's sources with (make viewer-packages)",
    ),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The harness (test/gpu.ts) with an avatar, two poses and `scene`, shared because compiling takes seconds."""
    folder = tmp_path_factory.mktemp("gpu")
    command = ["node", "build.mjs", "--harness", str(folder)]
    subprocess.run(command, cwd=VIEWER, check=True, capture_output=True, timeout=SECONDS)
    (folder / "index.html").write_text('<!doctype html><meta charset="utf-8"><script src="gpu.js"></script>')
    (folder / "avatar.mobavatar").write_bytes(bundle.encode(replace(SyntheticAvatar().build(), levels=LEVELS)))
    pose_sequence.write(folder / "motion.pose.json", [walking_pose(0.0), walking_pose(1.5)], [0, 1])
    T, K = (x.ravel().tolist() for x in camera(SIZE, SIZE))
    errors: list[str] = []
    with browser() as chrome, serve(folder) as url:
        opened = chrome.new_page()
        opened.set_default_timeout(1000 * SECONDS)
        opened.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        opened.goto(url)
        view = {"T_cam_world": T, "K": K, "width": SIZE, "height": SIZE}
        opened.evaluate("async (camera) => { window.scene = await gpu.makeScene(camera); }", view)
        yield opened
    assert not [text for text in errors if "404" not in text]


def test_device_has_the_promised_limits_and_no_more(page: Page) -> None:
    """Chromium checks every call against the limits that were asked for, so this is what all other tests run in."""
    limits = page.evaluate("""() => {
        const { limits } = scene.context.device;
        return Object.fromEntries(Object.keys(GPUSupportedLimits.prototype).map((key) => [key, limits[key]]));
    }""")
    upper = {k: v for k, v in layout.DEFAULT_LIMITS.items() if k.startswith("max-storage") or "compute" in k}
    promised = {"".join([k.split("-")[0], *(word.title() for word in k.split("-")[1:])]): v for k, v in upper.items()}
    assert {name: limits[name] for name in promised} == promised
    assert promised["maxStorageBuffersPerShaderStage"] == 8
    assert not page.evaluate("() => [...scene.context.device.features].filter((f) => /f16|subgroup/.test(f))")


def test_driver_that_sorts_wrongly_is_refused(page: Page) -> None:
    """The other tests' scene shows that a sound one is not."""
    change = {"shader": "sort_scatter.wgsl", "from": "before += values[i];", "to": "before += 2u * values[i];"}
    tried = "gpu.makeContext(change).then(() => '', (error) => `${error.code}: ${error.message}`)"
    problem = page.evaluate(f"(change) => {tried}", change)
    assert problem.startswith("broken-gpu: ") and "expected" in problem


def test_work_is_skipped_where_nothing_changed(page: Page) -> None:
    """Which parts were timed on the GPU, step by step; the canvas is drawn anew every time."""
    found = page.evaluate("""async () => {
        const { camera, model, poses, renderer } = scene;
        const [first, second] = [new gpu.AvatarInstance(model), new gpu.AvatarInstance(model)];
        const steps = {};
        const step = async (name, people, view) => { steps[name] = await gpu.present(scene, people, view); };
        first.setPose(poses[0]);
        second.setPose(poses[1]);
        await step("first", [first]);
        await step("again", [first]);
        first.setPose(poses[1]);
        await step("pose", [first]);
        await step("camera", [first], { ...camera, K: camera.K.map((x, i) => (i === 0 ? 1.1 * x : x)) });
        await step("back", [first]);
        first.transform = first.transform.map((x, i) => (i === 3 ? 0.1 : x));
        await step("place", [first]);
        first.level = 0;
        await step("level", [first]);
        first.level = model.levels.length - 1;
        await step("person", [first, second]);
        await step("still", [first, second]);
        second.visible = false;
        await step("gone", [first, second]);
        await renderer.readPixels([second, first], camera, [0, 0, 0]);
        await step("read", [first]);
        return steps;
    }""")
    if not found["first"]:
        pytest.skip("this Chromium gives no timestamps")
    still = {"again", "still", "read"}
    assert found == {name: ["draw"] if name in still else ["compute", "draw"] for name in found}


def test_a_level_draws_fewer_and_larger_splats(page: Page) -> None:
    """Fewer are drawn, yet most of the whole is covered: they are enlarged (without that, a third is)."""
    found = page.evaluate("""async () => {
        const { camera, model, poses, renderer } = scene;
        const person = new gpu.AvatarInstance(model);
        person.setPose(poses[0]);
        const shown = [];
        for (const level of model.levels.keys()) {
            person.level = level;
            const pixels = await renderer.readPixels([person], camera, [0, 0, 0]);
            shown.push([(await renderer.stats()).splats, pixels.reduce((sum, x, i) => sum + (i % 4 < 3 ? x : 0), 0)]);
        }
        return shown;
    }""")
    counts, light = zip(*found)
    assert counts == (500, 1000, 2000)
    assert light[0] > 0.55 * light[2] and light[1] > 0.75 * light[2] and len(set(light)) == 3


def test_a_skipped_picture_is_the_same_picture(page: Page) -> None:
    pictures = page.evaluate("""async () => {
        const { camera, model, poses, renderer } = scene;
        const person = new gpu.AvatarInstance(model);
        const read = async (light) => Array.from(await renderer.readPixels([person], camera, [light, light, light]));
        person.setPose(poses[0]);
        const still = [await read(0), await read(0)];
        person.setPose(poses[1]);
        return [...still, await read(0), await read(1)];
    }""")
    first, again, moved, white = (np.array(p).reshape(SIZE, SIZE, 4) for p in pictures)
    assert first[..., :3].max() > 100, "the person is in the picture"
    assert np.array_equal(first, again)
    assert not np.array_equal(first, moved)
    assert white[0, 0].tolist() == [255, 255, 255, 255] and moved[0, 0].tolist() == [0, 0, 0, 255]
