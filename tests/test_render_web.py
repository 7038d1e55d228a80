"""Pictures and videos without a browser: the same as the torch twin's, and clear words where nothing can be drawn."""

import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from nerfstudio_mobavatar import cli
from nerfstudio_mobavatar.web_export import bundle, evaluate, page_folder, pose_sequence, render_web, wgpu_renderer

from .renderers import Shot, draw_torch, person_crop, psnr
from .synthetic_avatar import SyntheticAvatar, rest_joints, rest_pose, walking_pose

WIDTH, HEIGHT = 72, 96
SECONDS = 300
POSES = [walking_pose(phase) for phase in (0.0, 0.7, 1.4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / page_folder.AVATAR_FILE).write_bytes(bundle.encode(SyntheticAvatar().build()))
    pose_sequence.write(folder / "motion.pose.json", POSES, [0, 1, 2])
    return folder


def run(*arguments: str | Path) -> str:
    """The command in a process of its own, which a driver may end; what it printed."""
    size = ["--width", str(WIDTH), "--height", str(HEIGHT)]
    command = [sys.executable, "-m", "nerfstudio_mobavatar.cli", "render-web", *map(str, arguments), *size]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def twin(folder: Path, poses: list[evaluate.Pose], frame: int, yaw: float, background: float) -> np.ndarray:
    """The picture that the torch rasteriser draws of `poses[frame]` through the camera for all `poses`."""
    avatar = (folder / page_folder.AVATAR_FILE).read_bytes()
    T, K = render_web.motion_camera(bundle.decode(avatar), poses, WIDTH, HEIGHT, yaw)
    return draw_torch(avatar, Shot(poses[frame], T, K, WIDTH, HEIGHT, (background, background, background)))


def test_picture_is_the_torch_twins(folder: Path, tmp_path: Path) -> None:
    out, motion = tmp_path / "a.png", tmp_path / "other.pose.json"
    pose_sequence.write(motion, [rest_pose(), walking_pose(2.0)], [0, 1])
    pose = pose_sequence.read(motion)[1]
    options = ["--frame", "1", "--yaw", "130", "--background", "0.2", "0.2", "0.2"]
    assert "frame 1, 72 x 96, drawn by " in run(folder, "--out", out, "--pose", motion, *options)
    expected = twin(folder, [pose], 0, yaw=130.0, background=0.2)
    found = cv2.imread(str(out))[..., ::-1]
    crop = person_crop(expected, (0.2, 0.2, 0.2))
    assert psnr(found[crop], expected[crop]) > 45  # 60 on lavapipe: halves in the blended sum
    assert [path.name for path in tmp_path.glob("*.png")] == ["a.png"]


def test_video_shows_every_frame_of_the_motion(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    assert "3 frames" in run(folder, "--out", out, "--fps", "12.5")
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate, stream.pix_fmt) == ("h264", 12.5, "yuv420p")
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    poses = pose_sequence.read(folder / "motion.pose.json")
    expected = [twin(folder, poses, i, yaw=0.0, background=0.94) for i in range(3)]
    assert [picture.shape for picture in shown] == [(HEIGHT, WIDTH, 3)] * 3
    closeness = np.array([[psnr(a, b) for b in expected] for a in shown])
    assert closeness.diagonal().min() > 25, "halved colour resolution costs that much at this size"
    assert list(closeness.argmax(1)) == [0, 1, 2]


def test_joint_positions_are_the_bodys() -> None:
    arrays = SyntheticAvatar(num_gaussians=400, num_nodes=40, num_kept=50, num_parts=8).build()
    np.testing.assert_allclose(render_web.joint_positions(arrays, rest_pose()), rest_joints(), atol=1e-5)


@pytest.mark.parametrize("size", [(48, 64), (200, 64), (64, 200)])
def test_camera_sees_the_whole_person_all_the_time(size: tuple[int, int]) -> None:
    """Also while they walk away, and from the side."""
    arrays = SyntheticAvatar(num_gaussians=400, num_nodes=40, num_kept=50, num_parts=8).build()
    walk = [walking_pose(float(i)) for i in range(4)]
    poses = [
        evaluate.Pose(p.pose, p.Rh, p.Th + np.array([0.0, 0.0, 1.5 * i]), p.expression) for i, p in enumerate(walk)
    ]
    for yaw in (0.0, 90.0, 200.0):
        T, K = render_web.motion_camera(arrays, poses, *size, yaw)
        for pose in poses:
            points = evaluate.evaluate(arrays, pose).mean @ T[:3, :3].T + T[:3, 3]
            pixels = (points / points[:, 2:]) @ K.T
            assert points[:, 2].min() > 0
            assert (pixels[:, :2] > 0).all() and (pixels[:, :2] < size).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "a.gif"], "expected a name that ends in .png or .mp4"),
        (["--out", "absent/a.png"], "there is no folder"),
        (["--out", "there.png"], "exists; nothing was written. Choose another name or give --overwrite"),
        (["--out", "a.png", "--width", "9000"], "--width 9000: expected 1 to 8192 pixels"),
        (["--out", "a.mp4", "--height", "33"], "--height 33: a video needs an even number of pixels; give 34"),
        (["--out", "a.mp4", "--fps", "0"], "--fps 0.0: expected more than 0"),
        (["--out", "a.png", "--background", "0", "0", "255"], "expected three numbers from 0 to 1"),
        (["--out", "a.png", "--frame", "3"], "motion.pose.json has frames 0 to 2"),
        (["--out", "a.png", "--pose", "absent.json"], "absent.json: no such motion"),
        (["--out", "a.png", "--pose", "bad.json"], "bad.json: expected a non-empty JSON array"),
    ],
)
def test_says_what_is_wrong_before_it_draws(
    arguments: list[str], message: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "bad.json").write_text("{}")
    assert message in failure(monkeypatch, tmp_path, str(folder), *arguments)
    assert (tmp_path / "there.png").read_bytes() == b"mine" and len(list(tmp_path.iterdir())) == 2


def failure(monkeypatch: pytest.MonkeyPatch, place: Path, *arguments: str) -> str:
    """The one line with which the command ends when it is run in `place`."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["mobavatar", "render-web", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert isinstance(end.value.code, str) and "\n" not in end.value.code
    return end.value.code


def test_says_what_is_wrong_with_the_folder_and_the_machine(folder: Path, tmp_path: Path, monkeypatch) -> None:
    assert "has no avatar.mobavatar; expected a folder" in failure(monkeypatch, tmp_path, ".", "--out", "a.png")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / page_folder.AVATAR_FILE).write_bytes(b"not an avatar")
    assert "broken/avatar.mobavatar: " in failure(monkeypatch, tmp_path, "broken", "--out", "a.png")

    def no_device(_: bytes) -> None:
        raise RuntimeError("no WebGPU adapter: install a Vulkan driver")

    monkeypatch.setattr(wgpu_renderer, "WgpuRenderer", no_device)
    message = failure(monkeypatch, tmp_path, str(folder), "--out", "a.png")
    assert (
        message == "mobavatar: the avatar cannot be drawn on this machine: no WebGPU adapter: install a Vulkan driver"
    )
    assert not (tmp_path / "a.png").exists()


def test_an_unfinished_video_does_not_stay(folder: Path, tmp_path: Path, monkeypatch) -> None:
    class Interrupted:
        def __init__(self, first: np.ndarray):
            self.first = first

        def render(self, pose: evaluate.Pose, *_: object) -> np.ndarray:
            if pose.expression is not self.first:
                raise KeyboardInterrupt
            return np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    poses = pose_sequence.read(folder / "motion.pose.json")
    renderer = Interrupted(poses[0].expression)
    monkeypatch.setattr(pose_sequence, "read", lambda _: poses)
    monkeypatch.setattr(render_web, "open_renderer", lambda _: renderer)
    with pytest.raises(KeyboardInterrupt):
        render_web.RenderWeb(folder, tmp_path / "a.mp4", width=WIDTH, height=HEIGHT).main()
    assert list(tmp_path.iterdir()) == []
