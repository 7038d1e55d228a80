"""`.pose.bin`: stated errors, goldens that the page shares, both forms into each other, and what damaged files say."""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar import cli
from nerfstudio_mobavatar.motion import MotionError, pose_binary, pose_json
from nerfstudio_mobavatar.motion.types import PoseRow
from tests.bench.fuzz_bundle import motion_digest
from tests.goldens import make_motion
from tests.motion_files import open_rig, walk

DATA = make_motion.FILE.read_bytes()


def test_the_golden_is_read_as_both_readers_read_it():
    assert {make_motion.FILE.name: motion_digest(pose_binary.decode_file(DATA))} == json.loads(
        make_motion.SUM.read_text()
    )
    made = pose_binary.encode(make_motion.rows(), range(7, 47), make_motion.FPS)
    if made != DATA:  # scipy 1.15 turns the rows with other last bits than 1.17: a number may be rounded the other way
        found, golden = pose_binary.decode_file(made), pose_binary.decode_file(DATA)
        for a, b in zip(found.rows, golden.rows, strict=True):
            np.testing.assert_allclose(a.pose, b.pose, rtol=0, atol=2**-14)
            np.testing.assert_allclose(a.Th, b.Th, rtol=0, atol=1.1e-4)
            np.testing.assert_allclose(a.expression, b.expression, rtol=0, atol=1.4e-4)


def test_errors_are_those_that_are_stated():
    """Degrees, millimetres; numbers of axes stay in the turn that they were given in."""
    found, exact = pose_binary.decode_file(DATA), make_motion.rows()
    assert found.frame_ids == tuple(range(7, 47)) and found.fps == pytest.approx(make_motion.FPS)

    def turns(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.rad2deg((Rotation.from_rotvec(a).inv() * Rotation.from_rotvec(b)).magnitude().max()))

    pairs = list(zip(found.rows, exact, strict=True))
    assert max(np.abs(a.pose - b.pose).max() for a, b in pairs) <= 2**-15 + 1e-6  # float32 of ten radians
    assert 0.001 < max(turns(a.pose, b.pose) for a, b in pairs) <= 0.0031
    root = max(turns(*(Rotation.from_matrix(x.Rh).as_rotvec()[None] for x in pair)) for pair in pairs)
    assert 0.0003 < root <= 0.0018
    far = max(np.linalg.norm(a.Th - b.Th) for a, b in pairs)
    assert 1e-5 < far <= 0.053e-3 + 2e-5  # float32 of 200 metres counts in steps of 0.015 mm
    assert max(np.abs(a.expression - b.expression).max() for a, b in pairs) <= 0.00007


def test_no_joint_moves_by_more_than_four_tenths_of_a_millimetre():
    """The sum of what every joint above it may turn, times how far away it is."""
    rig, motion = open_rig(), walk()
    rows = pose_json.rows_of(motion, rig)
    found = pose_binary.decode_file(pose_binary.encode(rows, range(len(rows)))).rows
    worst = max(np.abs(_joints(a, rig) - _joints(b, rig)).max() for a, b in zip(found, rows))
    assert 5e-6 < worst <= 4e-4


def _joints(row: PoseRow, rig) -> np.ndarray:
    """[55, 3] places in the world."""
    world: list[tuple[np.ndarray, np.ndarray]] = []
    for j, parent in enumerate(rig.parents):
        R = Rotation.from_rotvec(row.pose[j]).as_matrix()
        if parent < 0:
            world.append((R, rig.joint_rest[j]))
            continue
        above, place = world[parent]
        world.append((above @ R, place + above @ (rig.joint_rest[j] - rig.joint_rest[parent])))
    return np.stack([place for _, place in world]) @ row.Rh.astype(np.float64).T + row.Th


def test_both_forms_become_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Through `mobavatar convert`; the binary one keeps frame numbers and takes the rate of the index."""
    rows = pose_json.rows_of(walk(), open_rig())
    pose_json.write_rows(tmp_path / "a.pose.json", rows, range(3, 3 + len(rows)))
    (tmp_path / "motions.json").write_text(json.dumps([{"name": "a", "file": "a.pose.json", "fps": 12.5}]))
    for source, target in (("a.pose.json", "b.pose.bin"), ("b.pose.bin", "c.pose.json"), ("c.pose.json", "d.pose.bin")):
        monkeypatch.setattr("sys.argv", ["mobavatar", "convert", str(tmp_path / source), str(tmp_path / target)])
        cli.main()
    assert f"{len(rows)} poses at 12.5 frames a second" in capsys.readouterr().out
    assert pose_binary.read(tmp_path / "b.pose.bin").fps == 12.5
    entries = [json.loads((tmp_path / f"{name}.pose.json").read_text()) for name in "ac"]
    assert [e["frame_id"] for e in entries[0]] == [e["frame_id"] for e in entries[1]]
    b, d = (pose_binary.read(tmp_path / f"{name}.pose.bin") for name in "bd")
    for x, y in zip(b.rows, d.rows, strict=True):
        np.testing.assert_allclose(x.pose, y.pose, rtol=0, atol=2.1 * 2**-14)
    assert (tmp_path / "b.pose.bin").stat().st_size < (tmp_path / "a.pose.json").stat().st_size / 7


def _sealed(head: bytes, stored: bytes) -> bytes:
    return head[:-4] + zlib.crc32(stored, zlib.crc32(head[:-4])).to_bytes(4, "little") + stored


def _numbers(**change: object) -> bytes:
    names = ("magic", "version", "frames", "width", "fps", "crc")
    values = dict(zip(names, pose_binary.HEADER.unpack(DATA[: pose_binary.HEADER.size]))) | change
    return _sealed(pose_binary.HEADER.pack(*values.values()), DATA[pose_binary.HEADER.size :])


def _changed(place: int, value: int) -> bytes:
    """Another byte in the table."""
    raw = bytearray(gzip.decompress(DATA[pose_binary.HEADER.size :]))
    raw[place] ^= value << 5
    return _sealed(DATA[: pose_binary.HEADER.size], gzip.compress(raw, mtime=0))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "another file": (lambda: b"[{}]" + DATA, "not a motion in binary: it starts with"),
    "nothing": (lambda: b"", "not a motion in binary"),
    "cut off": (lambda: DATA[:-3], "damaged or cut off"),
    "longer": (lambda: DATA + b"x", "damaged or cut off"),
    "a later version": (lambda: _numbers(version=2), "made by another version"),
    "no frames": (lambda: _numbers(frames=0), "expected 1 to 200000 frames, found 0"),
    "one frame less": (lambda: _numbers(frames=39), "expands to another size"),
    "more frames than fit": (lambda: _numbers(frames=150_000), "more than .* stored bytes can hold"),
    "too wide": (lambda: _numbers(width=401), "of 401 expressions"),
    "no rate": (lambda: _numbers(fps=float("nan")), "at nan a second"),
    "a negative rate": (lambda: _numbers(fps=-1.0), "at -1 a second"),
    "a longer quaternion": (lambda: _changed(4 * 40 * 166 + 40, 1), "not of unit length"),
    "a width of another file": (lambda: _numbers(width=9), "expands to another size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_damaged_files_say_so(name: str, tmp_path: Path):
    make, message = REFUSED[name]
    (tmp_path / "a.pose.bin").write_bytes(make())
    with pytest.raises(MotionError, match=rf"a\.pose\.bin: .*{message}"):
        pose_json.read_rows(tmp_path / "a.pose.bin")


def test_rows_that_do_not_fit_are_refused():
    row = make_motion.rows()[0]
    for wrong, message in (
        (replace(row, Rh=2 * row.Rh), "frame 0: expected a rotation in Rh"),
        (replace(row, Rh=np.full((3, 3), np.nan)), "frame 0: expected a rotation in Rh"),
        (replace(row, Th=np.array([0, np.inf, 0])), "finite numbers"),
        (replace(row, pose=np.full((55, 3), 1e9)), "of a size that a motion has"),
    ):
        with pytest.raises(MotionError, match=message):
            pose_binary.encode([wrong], [0])
    with pytest.raises(MotionError, match="expected 1 to 200000 frames"):
        pose_binary.encode([], [])
