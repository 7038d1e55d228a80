"""The pose of the viewer: undo, drags, threads, a render that is interrupted; the player; files; colours."""

import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nerfstudio_mobavatar.motion import Motion, MotionError, pose_json
from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.edit import EditedPose, turned
from nerfstudio_mobavatar.viewer import files, session
from nerfstudio_mobavatar.viewer.player import MotionPlayer, advanced
from nerfstudio_mobavatar.viewer.session import PoseSession

from .goldens.make_posing import random_pose, skeleton

SKELETON = skeleton()
ELBOW = INDEX["left_elbow"]


def at(x: float) -> EditedPose:
    return EditedPose(np.zeros((55, 3)), np.array([x, 0.0, 0.0]), np.zeros(10))


def move(x: float):
    return lambda edited: EditedPose(edited.pose, np.array([x, 0.0, 0.0]), edited.expression)


def place(s: PoseSession) -> float:
    return float(s.now().transl[0])


def test_a_drag_is_one_step_of_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    s = PoseSession(lambda: at(0.0))
    for x in (1.0, 2.0, 3.0):
        s.edit(move(x), "left_hand")
    s.edit(move(4.0), "right_hand")
    assert s.undo() and place(s) == 3.0
    assert s.undo() and place(s) == 0.0
    assert not s.undo() and s.redo() and s.redo() and place(s) == 4.0 and not s.redo()
    s.edit(move(4.0))  # changes nothing: a box that is left sends its number again
    assert s.undo() and place(s) == 3.0 and s.redo()
    monkeypatch.setattr(session, "GESTURE_SECONDS", 0.0)  # the same handle again, later
    s.edit(move(5.0), "right_hand")
    time.sleep(0.002)
    s.edit(move(6.0), "right_hand")
    assert s.undo() and place(s) == 5.0


def test_a_drag_with_pauses_is_one_step_as_long_as_the_pointer_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "GESTURE_SECONDS", 0.0)
    s = PoseSession(lambda: at(0.0))
    s.press(1, True)
    for x in (1.0, 2.0, 3.0):
        time.sleep(0.002)
        s.edit(move(x), "left_hand")
    s.press(2, False)  # another tab's
    assert s.is_pressed
    s.press(1, False)
    assert not s.is_pressed
    monkeypatch.setattr(session, "GESTURE_SECONDS", 60.0)
    s.edit(move(4.0), "left_hand")  # was on its way when the pointer went up
    s.press(1, True)  # at once again: a step of its own
    s.edit(move(5.0), "left_hand")
    assert s.undo() and place(s) == 4.0
    assert s.undo() and place(s) == 0.0


def test_a_move_that_comes_soon_after_the_pointer_went_up_is_the_drags(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pause before was: on a busy machine the newest move may come after the pointer's message."""
    clock = [0.0]
    monkeypatch.setattr(session.time, "monotonic", lambda: clock[0])
    s = PoseSession(lambda: at(0.0))
    s.press(1, True)
    s.edit(move(1.0), "left_hand")
    clock[0] = 9.0
    s.press(1, False)
    clock[0] += 0.9 * session.GESTURE_SECONDS
    s.edit(move(2.0), "left_hand")
    clock[0] += 1.1 * session.GESTURE_SECONDS
    s.press(2, False)  # a tab that was not pressed
    s.edit(move(3.0), "left_hand")  # by the keyboard, later
    assert s.undo() and place(s) == 2.0
    assert s.undo() and place(s) == 0.0


def test_frames_are_followed_until_the_pose_comes_back() -> None:
    row = [1.0]
    s = PoseSession(lambda: at(row[0]))
    assert s.shown is None and not s.undo() and not s.redo() and place(s) == 1.0
    s.edit(move(7.0))
    row[0] = 2.0
    assert place(s) == 7.0
    s.follow_frames()
    assert s.shown is None and place(s) == 2.0 and not s.redo()
    assert s.undo() and place(s) == 7.0
    s.follow_frames()
    s.edit(lambda e: move(e.transl[0] + 10)(e))  # starts from the frame, not from the pose that was left
    assert place(s) == 12.0
    assert s.undo() and place(s) == 2.0 and s.undo() and place(s) == 7.0


def test_an_edit_that_fails_changes_nothing_and_tells_nobody() -> None:
    s, told = PoseSession(lambda: at(0.0)), []
    s.edit(move(1.0))
    s.listen(lambda: told.append(place(s)))
    with pytest.raises(ValueError, match="finite"):
        s.edit(lambda e: turned(e, ELBOW, np.array([np.nan, 0, 0])))
    assert place(s) == 1.0 and told == []
    s.edit(move(2.0))
    assert told == [2.0] and s.undo() and place(s) == 1.0


def test_many_threads_lose_no_edit() -> None:
    """Every edit adds one: the sum tells of any that was overwritten, and no reader sees a mixture."""
    s = PoseSession(lambda: at(0.0))
    wrong: list[EditedPose] = []
    running = threading.Event()
    running.set()

    def add(edited: EditedPose) -> EditedPose:
        time.sleep(0)
        return EditedPose(edited.pose + 1, edited.transl + 1, edited.expression + 1)

    def read() -> None:
        while running.is_set():
            seen = s.shown
            if seen is not None and not (seen.pose[0, 0] == seen.transl[0] == seen.expression[0]):
                wrong.append(seen)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=lambda: [s.edit(add) for _ in range(30)]) for _ in range(8)]
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    running.clear()
    reader.join()
    assert not wrong and place(s) == 240.0


class InterruptError(Exception):
    pass


def interrupted_at(line: int, action: Callable[[], object]) -> bool:
    """Run `action`, raise at the `line`-th line of session.py that it runs, as nerfstudio's viewer does inside a
    render; False where it has fewer."""
    left = [line]

    def trace(frame, event, arg):
        if event == "line" and frame.f_code.co_filename == session.__file__:
            left[0] -= 1
            if left[0] == 0:
                raise InterruptError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except InterruptError:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("by_hand", [False, True])
def test_reading_may_be_interrupted_at_every_line(by_hand: bool) -> None:
    s = PoseSession(lambda: at(3.0))
    if by_hand:
        s.edit(move(4.0))
    lines = 1
    while interrupted_at(lines, s.now):
        worker = threading.Thread(target=s.undo)  # a lock left behind would hang it
        worker.start()
        worker.join(5)
        assert not worker.is_alive()
        assert place(s) == 3.0
        s.redo()
        lines += 1
    assert lines > 2 and place(s) == (4.0 if by_hand else 3.0)


def motion(frames: int, fps: float = 30.0) -> Motion:
    transl = np.zeros((frames, 3))
    transl[:, 0] = np.arange(frames)
    return Motion(np.zeros((frames, 55, 3)), transl, np.zeros((frames, 10)), fps, "y")


def test_the_player_plays_seeks_and_pauses_as_one_step_of_undo() -> None:
    s, rows = PoseSession(lambda: at(-1.0)), []
    player = MotionPlayer(s, lambda: True, rows.append)
    player.play()
    assert not player.playing  # nothing is loaded
    player.load(motion(1000, 300.0))
    player.play()
    player.play()
    end = time.monotonic() + 10
    while len(set(rows)) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    player.pause()
    assert player.join(5.0) and not player.playing
    assert len(set(rows)) >= 4 and place(s) == player.row == rows[-1]
    assert s.undo() and place(s) == -1.0
    player.seek(10**6)
    assert player.row == 999 and place(s) == 999.0


def test_the_player_ends_when_nobody_looks_and_at_the_end_of_the_motion() -> None:
    s, watched = PoseSession(lambda: at(-1.0)), [True]
    player = MotionPlayer(s, lambda: watched[0], lambda _: None)
    player.load(motion(10_000))
    player.play()
    watched[0] = False  # the last tab is closed
    assert player.join(5.0) and not player.playing
    watched[0], player.loop = True, False
    player.load(motion(3, 300.0))
    player.play()
    assert player.join(5.0) and not player.playing and player.row == 2 and place(s) == 2.0


def test_advancing_wraps_or_stops() -> None:
    assert advanced(8.0, 3.0, 10, True) == (1.0, False)
    assert advanced(1.0, -3.0, 10, True) == (8.0, False)
    assert advanced(8.0, 3.0, 10, False) == (9.0, True)
    assert advanced(1.0, 3.0, 10, False) == (4.0, False)
    assert advanced(0.0, 5.0, 1, True) == (0.0, False)


def test_a_saved_pose_comes_back(tmp_path: Path) -> None:
    edited = random_pose(np.random.default_rng(3))
    path = tmp_path / "a.pose.json"
    files.save_pose(path, edited, SKELETON)
    assert len(pose_json.read_rows(path)) == 1 and [p.name for p in tmp_path.iterdir()] == ["a.pose.json"]
    loaded = files.load_motion(path, SKELETON, (0.0, 1.0, 0.0), np.zeros((30, 3)))
    back = files.frame_of(loaded, 0, edited)
    np.testing.assert_allclose(back.transl, edited.transl, atol=3e-5)
    np.testing.assert_allclose(back.expression, edited.expression, atol=1e-4)
    # five decimals for joints; the root is stored as a matrix, which knows no whole turns
    np.testing.assert_allclose(back.pose[1:], edited.pose[1:], atol=1e-5)
    short = files.frame_of(loaded, 0, EditedPose(edited.pose, edited.transl, np.zeros(4)))
    np.testing.assert_allclose(short.expression, edited.expression[:4], atol=1e-4)


@pytest.mark.parametrize(("name", "said"), [("a.json", "ends in .pose.json"), ("no/a.pose.json", "create it")])
def test_a_pose_is_not_saved_under_a_wrong_name(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(MotionError, match=said):
        files.save_pose(tmp_path / name, at(0.0), SKELETON)
    assert not list(tmp_path.iterdir())


def test_a_damaged_pose_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pose.json"
    files.save_pose(path, at(0.0), SKELETON)
    path.write_text(re.sub(r'"Th":\[[^,]*', '"Th":[1e999', path.read_text()))
    with pytest.raises(MotionError, match="finite"):
        files.load_motion(path, SKELETON, (0.0, 1.0, 0.0), np.zeros((30, 3)))
