"""The page that a webcam drives: Chromium's own fake camera, and MediaPipe's answers from a stub of its package."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.posing.edit import EditedPose
from nerfstudio_mobavatar.posing.ik import Skeleton
from nerfstudio_mobavatar.posing.landmarks import MARKS, Landmarks, facing, flipped, retargeted
from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from nerfstudio_mobavatar.web_export.page_folder import ExportError
from nerfstudio_mobavatar.web_export.webcam import Webcam

from .browser import NO_CHROMIUM, SOFTWARE_FLAGS, AvatarPage, avatar_page, browser, chromium, serve
from .goldens.make_landmarks import marks_of
from .goldens.make_posing import random_pose
from .synthetic_avatar import PARENTS, SyntheticAvatar, rest_joints, walking_pose

DIST = Path(__file__).parent.parent / "web_export" / "viewer" / "dist"
AVATAR = SyntheticAvatar(num_gaussians=300, num_parts=8, num_nodes=60, num_kept=40, basis_size=8, num_expressions=6)
SKELETON = Skeleton(rest_joints(), tuple(PARENTS.tolist()))
FLAGS = (*SOFTWARE_FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
ELEMENT = "document.querySelector('mobile-avatar')"
STUB = """
const answers = await (await fetch(new URL("answers.json", import.meta.url))).json();
export const FilesetResolver = { forVisionTasks: async (folder) => ({ folder }) };
const landmarker = (name) => ({
  async createFromOptions(files, { baseOptions, runningMode }) {
    const model = await fetch(baseOptions.modelAssetPath);
    if (!model.ok || runningMode !== "VIDEO" || !files.folder.endsWith("/mediapipe/wasm")) throw new Error("not so");
    let last = -1;
    return {
      detectForVideo(video, milliseconds) {
        if (!(milliseconds > last) || !video.videoWidth) throw new Error("no new picture");
        last = milliseconds;
        return answers[name];
      },
      close() { globalThis.landmarkersClosed = (globalThis.landmarkersClosed ?? 0) + 1; },
    };
  },
});
export const PoseLandmarker = landmarker("pose");
export const HandLandmarker = landmarker("hand");
export const FaceLandmarker = landmarker("face");
"""
KEEP_STREAMS = """
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.streams = [];
    navigator.mediaDevices.getUserMedia = async (about) => {
        const stream = await ask(about);
        window.streams.push(stream);
        return stream;
    };
    document.addEventListener("securitypolicyviolation", (e) => (window.refused = e.blockedURI));"""


def package(folder: Path) -> Path:
    """A stand-in for the npm package, and models beside it."""
    (folder / "wasm").mkdir(parents=True)
    (folder / "vision_bundle.mjs").write_text(STUB)
    (folder / "wasm" / "vision_wasm_internal.js").write_text("")
    for name in ("pose_landmarker_lite.task", "hand_landmarker.task"):
        (folder / name).write_bytes(b"model")
    return folder


def answers(marks: Landmarks) -> dict:
    """As MediaPipe gives them: places in the picture, and places in metres."""
    point = lambda p, v=1.0: {"x": p[0], "y": p[1], "z": p[2], "visibility": v}  # noqa: E731
    image = 0.5 + 0.3 * marks.body
    found: dict = {
        "pose": {
            "landmarks": [[point(p) for p in image.tolist()]],
            "worldLandmarks": [[point(p, v) for p, v in zip(marks.body.tolist(), marks.visibility.tolist())]],
        },
        "hand": {"landmarks": [], "worldLandmarks": []},
    }
    for side in ("right", "left"):  # MediaPipe keeps no order
        hand = getattr(marks, f"{side}_hand")
        found["hand"]["landmarks"].append([point(p) for p in (image[MARKS[f"{side}_wrist"]] + 0.01 * hand).tolist()])
        found["hand"]["worldLandmarks"].append([point(p) for p in hand.tolist()])
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "page"
    shutil.copytree(DIST, folder)
    (folder / "avatar.mobavatar").write_bytes(bundle.encode(AVATAR.build()))
    pose_sequence.write(folder / "motion.pose.json", [walking_pose(0.3, 6)], [0])
    shutil.copy(Path(__file__).parent.parent / "docs" / "sample" / "poster.jpg", folder)
    stub = package(tmp_path_factory.mktemp("npm") / "tasks-vision")
    Webcam(folder, stub, stub).main()
    page = folder / "webcam.html"
    page.write_text(page.read_text().replace("<mobile-avatar", '<mobile-avatar target-fps="1" max-pixel-ratio="0.3"'))
    return folder


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser(FLAGS) as opened:
        yield opened


def now(page: AvatarPage) -> EditedPose:
    row = page.page.evaluate(f"() => {ELEMENT}.getPose()")
    Rh, pelvis = np.array(row["Rh"]), SKELETON.rest[0]
    pose = np.array(row["pose"]).reshape(55, 3)
    pose[0] = (Rotation.from_matrix(Rh) * Rotation.from_rotvec(pose[0])).as_rotvec()
    return EditedPose(pose, np.array(row["Th"]) + Rh @ pelvis - pelvis, np.array(row["expression"]))


@pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)
def test_a_camera_drives_the_avatar_only_when_asked_and_until_stopped(chrome: Browser, site: Path) -> None:
    shown = random_pose(np.random.default_rng(8), 0.4)
    start = pose_sequence.read(site / "motion.pose.json")[0]
    stands = facing(Rotation.from_matrix(start.Rh).as_rotvec())
    marks = marks_of(SKELETON, shown, stands, face=False)
    (site / "mediapipe" / "answers.json").write_text(json.dumps(answers(marks)))
    with (
        serve(site) as url,
        avatar_page(chrome, f"{url}webcam.html", 500, 360, init_script=KEEP_STREAMS) as page,
    ):
        requests: list[str] = []
        page.page.on("request", lambda request: requests.append(request.url))
        page.wait_ready()
        assert page.page.evaluate("() => window.streams.length") == 0
        assert not [address for address in requests if "mediapipe" in address]
        before = now(page)
        page.page.uncheck("#webcam-mirror")
        page.page.click("#webcam-button")
        page.page.wait_for_selector("text=Following: body, hands")
        expected = retargeted(SKELETON, marks, before, stands)
        np.testing.assert_allclose(now(page).pose[1:], expected.pose[1:], atol=2e-3)
        np.testing.assert_allclose(now(page).transl, expected.transl, atol=2e-3)
        page.page.check("#webcam-mirror")  # the filter takes a moment to follow
        mirror = retargeted(SKELETON, flipped(marks), before, stands)
        joints = range(16, 22)
        page.wait_until(
            f"() => {json.dumps([mirror.pose[j].tolist() for j in joints])}.every((v, i) => v.every((x, k) =>"
            f" Math.abs({ELEMENT}.getPose().pose[3 * (16 + i) + k] - x) < 0.02))"
        )
        page.page.click("#webcam-button")
        assert page.page.inner_text("#webcam-status") == "The camera is off."
        assert page.page.evaluate("() => streams[0].getTracks().every((track) => track.readyState === 'ended')")
        assert page.page.is_hidden("#webcam-video") and page.page.evaluate("() => window.landmarkersClosed") == 2
        held = now(page)
        page.page.wait_for_timeout(300)
        assert (now(page).pose == held.pose).all()
        # nothing leaves the machine, and nothing could
        assert all(address.startswith((url, "blob:", "data:")) for address in requests), requests
        page.page.evaluate("() => fetch('https://example.com/log').catch(() => null)")
        page.wait_until("() => window.refused?.startsWith('https://example.com')")
        page.errors.clear()


@pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)
def test_a_model_that_is_missing_is_named(chrome: Browser, site: Path) -> None:
    model = site / "mediapipe" / "pose_landmarker.task"
    content = model.read_bytes()
    model.unlink()
    with serve(site) as url, avatar_page(chrome, f"{url}webcam.html", 500, 360, init_script=KEEP_STREAMS) as page:
        page.wait_ready()
        page.page.click("#webcam-button")
        page.page.wait_for_selector("text=expected pose_landmarker.task in /mediapipe/")
        assert page.page.evaluate("() => streams[0].getTracks().every((track) => track.readyState === 'ended')")
        assert page.page.inner_text("#webcam-button") == "Use my camera"
    model.write_bytes(content)


def test_the_command_copies_what_it_finds_and_names_what_it_misses(site: Path, tmp_path: Path) -> None:
    assert {path.name for path in (site / "mediapipe").iterdir()} >= {
        "vision_bundle.mjs", "wasm", "pose_landmarker.task", "hand_landmarker.task",
    }  # fmt: skip
    assert not (site / "mediapipe" / "face_landmarker.task").exists()
    stub = package(tmp_path / "npm")
    with pytest.raises(ExportError, match=r"avatar\.mobavatar"):
        Webcam(tmp_path, stub, stub).main()
    with pytest.raises(ExportError, match=r"vision_bundle\.mjs"):
        Webcam(site, tmp_path, stub).main()
    with pytest.raises(ExportError, match=r"pose_landmarker\.task.*--models"):
        Webcam(site, stub, tmp_path).main()
    assert not [path for path in site.iterdir() if path.name.startswith(".webcam")]
