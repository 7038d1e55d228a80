"""Every motion format: a file with that tool's conventions comes back as the motion that was put into it."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar import cli
from nerfstudio_mobavatar.motion import Motion, MotionError, MotionOptions, place, read_motion, write_motion
from nerfstudio_mobavatar.motion.place import joint_positions
from tests import motion_files
from tests.motion_files import WRITERS, Written, open_rig, walk

AS_STORED = MotionOptions(target_fps=0.0)


def assert_same_motion(found: Motion, expected: Motion, radians: float = 1e-5, metres: float = 1e-5) -> None:
    """Rotations joint by joint (by the angle between them), positions of all joints, expression."""
    assert len(found) == len(expected)
    a, b = (Rotation.from_rotvec(m.pose.reshape(-1, 3)) for m in (found, expected))
    assert (a.inv() * b).magnitude().max() < radians
    np.testing.assert_allclose(joint_positions(found, open_rig()), joint_positions(expected, open_rig()), atol=metres)
    np.testing.assert_allclose(found.expression, expected.expression, atol=1e-4)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda w: w.__name__)
def test_every_format_gives_the_motion_that_was_put_into_it(writer: Callable[[Path], Written], tmp_path: Path):
    """Float32 and, where a frame was lost, half of a frame's curvature are what the limits allow."""
    written = writer(tmp_path)
    found, report = read_motion(written.path, open_rig(), AS_STORED)
    limit = 1e-2 if written.format == "wham" else 1e-5  # one frame of WHAM's is interpolated
    assert_same_motion(found, written.expected, limit, limit)
    assert found.fps == written.fps and found.up == "y" and report.format == written.format
    assert report.format in report.describe() and f"{written.fps:g} per second" in report.describe()


@pytest.mark.parametrize("ending", [".pose.json", ".pose.bin", ".npz", ".bvh"])
def test_what_is_written_is_read_back(ending: str, tmp_path: Path):
    """Five decimals in .pose.json; 2^-15 rad in .pose.bin; float32 in .npz; BVH has six decimals of a degree and no
    expression."""
    motion = replace(walk(), fps=24.0)
    write_motion(tmp_path / f"m{ending}", motion, open_rig())
    options = replace(AS_STORED, fps=24.0 if ending == ".pose.json" else 0.0)
    found, _ = read_motion(tmp_path / f"m{ending}", open_rig(), options)
    expected = motion_files.without(motion, expression=ending != ".bvh")
    assert found.fps == pytest.approx(24.0)
    assert_same_motion(found, expected, *((6e-5, 4e-4) if ending == ".pose.bin" else (3e-5, 5e-5)))


def test_a_root_rotation_in_the_pose_of_a_pose_json_turns_about_the_pelvis(tmp_path: Path):
    """x = Rh LBS(x) + Th, where LBS turns about joint 0 by pose[:3]: half of the turn in each of the two."""
    motion, J0 = walk(), open_rig().joint_rest[0]
    half = Rotation.from_rotvec(0.5 * motion.pose[:, 0])
    pose = motion.pose.copy()
    pose[:, 0] = half.as_rotvec()
    Th = motion.transl + J0 - half.apply(J0)
    rows = [
        {"frame_id": i, "pose": pose[i].ravel().tolist(), "Th": Th[i].tolist(), "Rh": half[i].as_matrix().tolist(),
         "expression": None}
        for i in range(len(pose))
    ]  # fmt: skip
    (tmp_path / "m.pose.json").write_text(json.dumps(rows))
    found, _ = read_motion(tmp_path / "m.pose.json", open_rig(), AS_STORED)
    assert_same_motion(found, motion_files.without(motion, expression=False))


def test_the_rate_of_a_pose_json_stands_in_the_index_beside_it(tmp_path: Path):
    write_motion(tmp_path / "m.pose.json", walk(), open_rig())
    assert read_motion(tmp_path / "m.pose.json", open_rig(), AS_STORED)[0].fps == 30
    (tmp_path / "motions.json").write_text(json.dumps([{"name": "m", "file": "m.pose.json", "fps": 25}]))
    assert read_motion(tmp_path / "m.pose.json", open_rig(), AS_STORED)[0].fps == 25


@pytest.mark.parametrize("writer", [motion_files.gvhmr, motion_files.wham, motion_files.tram], ids=lambda w: w.__name__)
def test_camera_space_is_the_motion_as_the_camera_sees_it(writer: Callable[[Path], Written], tmp_path: Path):
    """GVHMR's and WHAM's camera stands still: only the place differs. TRAM's turns: the person turns the other way."""
    written = writer(tmp_path)
    options = replace(AS_STORED, camera_space=True)
    found, _ = read_motion(written.path, open_rig(), options)
    local = [m.pose[:, 1:] for m in (found, written.expected)]
    np.testing.assert_allclose(local[0], local[1], atol=5e-3)
    turned = Rotation.from_rotvec(found.pose[:, 0]) * Rotation.from_rotvec(written.expected.pose[:, 0]).inv()
    degrees = np.rad2deg(turned.magnitude())
    assert degrees[0] < 0.5 and (degrees[-1] > 15) == (written.format == "tram")


def test_a_tram_track_without_its_camera_says_so(tmp_path: Path):
    written = motion_files.tram(tmp_path)
    (tmp_path / "camera.npy").unlink()
    assert "no camera.npy above the track" in read_motion(written.path, open_rig(), AS_STORED)[1].describe()


@pytest.mark.parametrize("writer", [motion_files.smpler_x, motion_files.wham], ids=lambda w: w.__name__)
def test_the_person_can_be_chosen(writer: Callable[[Path], Written], tmp_path: Path):
    written = writer(tmp_path)
    found, report = read_motion(written.path, open_rig(), AS_STORED)
    other = 1 if written.format == "smpler-x" else 4
    assert f"persons [0, {other}]" in report.describe() and len(found) == 12
    assert len(read_motion(written.path, open_rig(), replace(AS_STORED, person=other))[0]) in (2, 3)
    with pytest.raises(MotionError, match=r"expected --person to be one of \[0, "):
        read_motion(written.path, open_rig(), replace(AS_STORED, person=9))


def test_resampling_keeps_the_frames_that_fall_on_frames(tmp_path: Path):
    written = motion_files.amass_smplh(tmp_path)  # 12 frames at 120
    found, report = read_motion(written.path, open_rig())
    expected = written.expected
    assert_same_motion(found, Motion(expected.pose[::4], expected.transl[::4], expected.expression[::4], 30.0, "y"))
    assert "12 frames at 120 per second" in report.describe() and "3 frames at 30 per second" in report.describe()
    halved, _ = read_motion(written.path, open_rig(), MotionOptions(fps=30.0, target_fps=60.0))
    assert len(halved) == 23 and halved.fps == 60
    a, b, c = (Rotation.from_rotvec(m) for m in (expected.pose[3], halved.pose[7], expected.pose[4]))
    np.testing.assert_allclose((a.inv() * b).as_rotvec(), 0.5 * (a.inv() * c).as_rotvec(), atol=1e-6)
    np.testing.assert_allclose(halved.transl[7], expected.transl[3:5].mean(0), atol=1e-6)


@pytest.mark.parametrize("up", ["x", "y", "z", "-x", "-y", "-z"])
def test_any_axis_can_be_up_before_and_after(up: Any, tmp_path: Path):
    """Written with `up` upward, it is detected and comes back with y up; joints keep their distances to the floor."""
    motion = walk()
    write_motion(tmp_path / "y.npz", motion, open_rig())
    turned, _ = read_motion(tmp_path / "y.npz", open_rig(), replace(AS_STORED, target_up=up))
    axis, sign = "xyz".index(up[-1]), -1 if up.startswith("-") else 1
    height = joint_positions(motion, open_rig())[..., 1]
    np.testing.assert_allclose(joint_positions(turned, open_rig())[..., axis] * sign, height, atol=1e-5)
    write_motion(tmp_path / "turned.npz", turned, open_rig())
    back, report = read_motion(tmp_path / "turned.npz", open_rig(), AS_STORED)
    assert_same_motion(back, motion)
    assert f"up {up} (from the body)" in report.describe()


def test_a_wrong_up_axis_is_noticed_and_can_be_overridden(tmp_path: Path):
    """An AMASS file that somebody turned to y up; a handstand is taken as it is where the flag says so."""
    motion = walk()
    np.savez(tmp_path / "a.npz", poses=motion.pose.reshape(-1, 165), trans=motion.transl, mocap_frame_rate=30)
    found, report = read_motion(tmp_path / "a.npz", open_rig(), AS_STORED)
    assert_same_motion(found, motion_files.without(motion, expression=False))
    assert "amass files have z up, but this body points to y; give --up z" in report.describe()
    lying, report = read_motion(tmp_path / "a.npz", open_rig(), replace(AS_STORED, up="z"))
    assert "up z (given)" in report.describe()
    spine = joint_positions(lying, open_rig())[0, 12] - joint_positions(lying, open_rig())[0, 0]
    assert abs(spine[1]) < 0.5 * np.linalg.norm(spine)
    rolling = motion.pose.copy()
    rolling[:, 0] = np.linspace(0, 2 * np.pi, len(rolling), endpoint=False)[:, None] * [1.0, 0, 0]
    np.savez(tmp_path / "a.npz", poses=rolling.reshape(-1, 165), trans=motion.transl)
    assert "too rarely to tell the up axis" in read_motion(tmp_path / "a.npz", open_rig(), AS_STORED)[1].describe()


@pytest.mark.parametrize("hands", ["given", "relative", "relaxed"])
def test_hands_can_be_overridden(hands: Any, tmp_path: Path):
    motion, mean = walk(), open_rig().hand_mean
    write_motion(tmp_path / "m.npz", motion, open_rig())
    found, _ = read_motion(tmp_path / "m.npz", open_rig(), replace(AS_STORED, hands=hands))
    expected = {
        "given": motion.pose[:, 25:],
        "relative": motion.pose[:, 25:] + mean,
        "relaxed": np.tile(mean, (12, 1, 1)),
    }
    np.testing.assert_allclose(found.pose[:, 25:], expected[hands], atol=1e-6)


def test_the_unit_can_be_given(tmp_path: Path):
    written = motion_files.amass_parts(tmp_path)
    arrays = dict(np.load(written.path))
    pelvis = open_rig().joint_rest[0]
    np.savez(written.path, **(arrays | {"trans": (arrays["trans"] + pelvis) * 100 - pelvis}))
    found, report = read_motion(written.path, open_rig(), replace(AS_STORED, unit="cm"))
    assert_same_motion(found, written.expected)
    assert "unit cm (given)" in report.describe()


def test_a_placed_motion_starts_where_the_other_one_does(tmp_path: Path):
    """z up; turned by 2 rad and moved away, it comes back onto the original."""
    written = motion_files.amass_parts(tmp_path)
    rig = open_rig()
    motion, _ = read_motion(written.path, rig, replace(AS_STORED, target_up="z"))
    turn = Rotation.from_rotvec([0, 0, 2.0])
    pose = motion.pose.copy()
    pose[:, 0] = (turn * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    away = replace(motion, pose=pose, transl=turn.apply(motion.transl + rig.joint_rest[0]) + np.array([3, -2, 0.7]))
    assert_same_motion(place(away, motion, rig), motion)
    with pytest.raises(MotionError, match="expected a motion with z up, found y"):
        place(walk(), motion, rig)


class _Malicious:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("name", ["m.pkl", "m.npy", "m.pt", "m.npz"])
def test_nothing_in_a_file_is_executed(name: str, tmp_path: Path):
    path, trap = tmp_path / name, {0: _Malicious(tmp_path / "executed")}
    if name.endswith(".pt"):
        torch.save(trap, path)
    elif name.endswith(".npy"):
        np.save(path, trap)  # type: ignore[arg-type]
    elif name.endswith(".npz"):
        np.savez(path, poses=np.array(trap), trans=np.zeros((1, 3)))
    else:
        path.write_bytes(pickle.dumps(trap))
    with pytest.raises(MotionError, match=name):
        read_motion(path, open_rig())
    assert not (tmp_path / "executed").exists()


def _amass(**changed: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        arrays: dict[str, Any] = {"poses": np.zeros((4, 156)), "trans": np.zeros((4, 3)), "mocap_framerate": 120.0}
        np.savez(folder / "a.npz", **{k: v for k, v in (arrays | changed).items() if v is not None})
        return folder / "a.npz"

    return write


def _params(**changed: Any) -> Callable[[Path], Path]:
    arrays = {"global_orient": np.zeros((4, 3)), "body_pose": np.zeros((4, 63)), "transl": np.zeros((4, 3))}
    return _amass(poses=None, trans=None, **(arrays | changed))


def _file(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return write


def _pickle(content: Any) -> Callable[[Path], Path]:
    return _file("m.pkl", pickle.dumps(content))


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "absent": (lambda folder: folder / "a.npz", "expected a motion file, found no such file; check the path"),
    "ending": (
        _file("a.fbx", "x"),
        "expected .npz, .npy, .pkl, .pt, .bvh, .pose.json, .pose.bin, or SMPLer-X's folder;",
    ),
    "not a zip": (_file("a.npz", b"hello"), "expected an .npz of plain arrays, found that it cannot be read"),
    "other arrays": (_amass(poses=None, trans=None, joints=np.zeros(3)), "found joints, mocap_framerate. Save it with"),
    "no frames": (
        _amass(poses=np.zeros((0, 156)), trans=np.zeros((0, 3))),
        "expected 1 to 200000 frames, found 0",
    ),
    "width": (_amass(poses=np.zeros((4, 100))), r"expected 24 or 52 or 55 joints in poses .* found shape \(4, 100\)"),
    "rows": (_amass(trans=np.zeros((3, 3))), r"expected 4 x 3 numbers in trans, found shape \(3, 3\)"),
    "nan": (
        _amass(trans=np.array([[0, 0, 0]] * 3 + [[np.nan] * 3])),
        r"position of 1 frames \(first: 3",
    ),
    "pca hands": (_params(left_hand_pose=np.zeros((4, 6))), "looks like PCA hands: expand them"),
    "no transl": (_params(transl=None), "expected transl beside global_orient"),
    "mirrored": (
        _params(global_orient=np.tile(np.diag([1.0, 1, -1]), (4, 1, 1, 1))),
        "that is none or mirrors",
    ),
    "not json": (_file("m.pose.json", "{"), "expected JSON, found that it cannot be read"),
    "json nan": (_file("m.pose.json", '[{"pose": [NaN]}]'), "NaN is not a number"),
    "no array": (_file("m.pose.json", "{}"), "expected a non-empty JSON array of frames .* found dict"),
    "short pose": (_file("m.pose.json", '[{"pose": [1], "Th": [], "Rh": []}]'), r"frame 0 needs pose\[165\], Th\[3\]"),
    "no rotation": (
        _file("m.pose.json", json.dumps([{"pose": [0] * 165, "Th": [0] * 3, "Rh": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}])),
        "expected rotations in Rh",
    ),
    "empty folder": (lambda folder: folder, r"expected SMPLer-X's files such as 00001_0.npz, found none"),
    "pickle": (_file("m.pkl", b"\x80\x04hello"), "expected a pickle of numbers, found that it cannot be read"),
    "other pickle": (_pickle({"a": 1}), "expected the output of GVHMR .* found a. Save the pose as .npz"),
    "wham pose": (
        _pickle({0: {"pose": np.zeros((4, 72)), "trans": np.zeros((4, 3))}}),
        "an array 'pose_world'",
    ),
    "damaged pt": (_file("m.pt", b"hello"), "expected a .pt file with nothing but tensors"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_say_what_is_wrong_where_and_what_to_do(case: str, tmp_path: Path):
    make, message = BAD[case]
    with pytest.raises(MotionError, match=message) as caught:
        read_motion(make(tmp_path), open_rig())
    assert str(caught.value).startswith(str(tmp_path))


def test_a_format_can_be_forced_and_a_wrong_one_is_refused(tmp_path: Path):
    written = motion_files.emage(tmp_path)
    assert read_motion(written.path, open_rig(), replace(AS_STORED, format="amass"))[1].format == "amass"
    with pytest.raises(MotionError, match="found --format tram"):
        read_motion(written.path, open_rig(), replace(AS_STORED, format="tram"))
    bvh = tmp_path / "m.bvh"
    write_motion(bvh, walk(), open_rig())
    with pytest.raises(MotionError, match="--format amass was given, but this kind of file can only be bvh"):
        read_motion(bvh, open_rig(), replace(AS_STORED, format="amass"))


def test_the_command_converts_reports_and_refuses(tmp_path: Path, monkeypatch, capsys):
    source, target = motion_files.amass_smplh(tmp_path).path, tmp_path / "out.pose.json"

    def run(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["mobavatar", "convert-pose", *words])
        cli.main()
        return capsys.readouterr().out

    said = run(str(source), str(target), "--target-fps", "60")
    assert "a.npz: amass, 12 frames at 120 per second (from the file)\n  up z (the format's); hands" in said
    assert "does not store its rate; who reads it has to know 60 per second" in said
    assert len(json.loads(target.read_text())) == 6
    with pytest.raises(SystemExit, match=r"mobavatar: .*out.pose.json: expected a new name.*--overwrite"):
        run(str(source), str(target))
    run(str(source), str(target), "--overwrite")
    assert len(json.loads(target.read_text())) == 3
    with pytest.raises(SystemExit, match=r"ends in .pose.json, .pose.bin, .npz or .bvh; choose one of these"):
        run(str(source), str(tmp_path / "out.fbx"))
    with pytest.raises(SystemExit, match=r"expected the folder .*nowhere to be there"):
        run(str(source), str(tmp_path / "nowhere" / "out.bvh"))
    with pytest.raises(SystemExit, match=r"--fps -3, --target-fps 30: expected 0 or more"):
        run(str(source), str(tmp_path / "out.npz"), "--fps", "-3")


def test_the_avatars_own_skeleton_can_be_taken(tmp_path: Path):
    """The offsets in the BVH are the avatar's, not the mean body's."""
    from nerfstudio_mobavatar.convert_pose import ConvertPose
    from nerfstudio_mobavatar.motion import bvh_file
    from nerfstudio_mobavatar.web_export import bundle
    from tests.synthetic_avatar import SyntheticAvatar

    arrays = SyntheticAvatar(num_gaussians=300).build()
    (tmp_path / "a.mobavatar").write_bytes(bundle.encode(arrays))
    source = motion_files.emage(tmp_path).path
    ConvertPose(source, tmp_path / "m.bvh", avatar=tmp_path / "a.mobavatar").main()
    written = bvh_file.parse(tmp_path / "m.bvh")
    knee = next(j for j in written.joints if j.name == "left_knee")
    np.testing.assert_allclose(knee.offset, 100 * (arrays.joint_rest[4] - arrays.joint_rest[1]), atol=1e-4)


@pytest.mark.parametrize("ending", [".bvh", ".pose.json"])
def test_real_motion_survives_a_round_trip(ending: str, test_data: Path, tmp_path: Path):
    """CMU's motions as smpl_params: 30 fps, y up, through a file and back."""
    for path in sorted((test_data / "motion").glob("*.npz"))[:2]:
        motion, report = read_motion(path, open_rig())
        assert report.up == "y (from the body)" and report.format == "smplx-params"
        write_motion(tmp_path / f"m{ending}", motion, open_rig())
        back, _ = read_motion(tmp_path / f"m{ending}", open_rig())
        expected = motion_files.without(motion, expression=ending != ".bvh")
        assert_same_motion(back, expected, 5e-5, 1e-4)
