"""How long a drag takes to be seen, part by part: moves from a tab in a process of its own (tests/viser_tab.py), and
the pictures that come back to it."""

import json
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from viser import _messages

from nerfstudio_mobavatar.posing.edit import EditedPose
from nerfstudio_mobavatar.posing.ik import Skeleton
from nerfstudio_mobavatar.viewer import skeleton as scene
from nerfstudio_mobavatar.viewer.renderer import Renderer
from nerfstudio_mobavatar.viewer.session import same
from nerfstudio_mobavatar.viewer.skeleton import VISER_PER_METRE

ROOT_FOLDER = Path(__file__).parents[2]


class TabProcess:
    """tests/viser_tab.py in a process of its own."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.viser_tab", url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT_FOLDER,
        )  # fmt: skip

    def ask(self, command: str) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(command + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError(f"the tab ended with {self._process.wait(10)}")
        return answer.strip()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


PARTS = ("arrive", "pose", "wait", "draw", "pack", "travel")
"""Of the way of a move: from the tab to the start of its edit, the edit, until a renderer takes it up, the model's
pictures, colours to bytes in viser's queue, and the way back to the tab."""


@dataclass(frozen=True)
class Edit:
    """A move done. Times in seconds of the machine's monotonic clock, here and below."""

    pose: EditedPose
    is_new: bool
    """Whether it changed the pose."""
    target: np.ndarray
    """Where the hand was dragged to, viser units."""
    start: float
    end: float


@dataclass(frozen=True)
class Picture:
    """What a tab is sent."""

    pose: EditedPose | None
    start: float
    drawn: float
    packed: float
    checksum: int
    height: int


class Latencies:
    """From a move's leaving the tab's process to the arrival there of the first picture that shows it or a later one,
    by the parts of the way. Both processes read the machine's monotonic clock."""

    def __init__(self, control: Any) -> None:
        self._lock, self._here = threading.Lock(), threading.local()
        self._edits: list[Edit] = []
        self._pictures: list[Picture] = []
        self._control = control
        edit, pose_for, reached = control.session.edit, control.pose_for, scene.reach

        def noted_reach(body: Skeleton, pose: Any, transl: Any, limb: Any, target: np.ndarray) -> Any:
            self._here.target = VISER_PER_METRE * target
            return reached(body, pose, transl, limb, target)

        def timed_edit(change: Any, handle: object = None, gesture: object = None) -> None:
            start = time.monotonic()

            def noted(before: EditedPose) -> EditedPose:  # runs inside the session's lock: in order
                after = change(before)
                # one that says what the one before it said shows nothing new
                is_new = control.session.shown is None or not same(before, after)
                with self._lock:
                    self._edits.append(Edit(after, is_new, self._here.target, start, time.monotonic()))
                return after

            edit(noted, handle, gesture)

        def noted_pose(camera: Any) -> Any:
            self._here.drawn = (control.session.shown, time.monotonic())
            return pose_for(camera)

        scene.reach, control.session.edit, control.pose_for = noted_reach, timed_edit, noted_pose

    def watch(self, machine: Any) -> None:
        """Note the pictures that a tab's renderer draws."""
        name = "_drawn" if isinstance(machine, Renderer) else "_render_img"  # ours, nerfstudio's
        draw, socket = getattr(machine, name), machine.client.scene._websock_interface
        queue = socket.queue_message

        def timed_draw(*about: Any) -> Any:
            outputs = draw(*about)
            if outputs["rgb"].is_cuda:
                torch.cuda.synchronize()  # the copy that follows would wait all the same
            self._here.picture = (time.monotonic(), int(outputs["rgb"].shape[0]))
            return outputs

        def timed_queue(message: Any) -> None:
            # one may have been drawn before this watch began
            if isinstance(message, _messages.BackgroundImageMessage) and hasattr(self._here, "picture"):
                (pose, start), (drawn, height) = self._here.drawn, self._here.picture
                checksum = zlib.crc32(message.rgb_bytes)
                with self._lock:
                    self._pictures.append(Picture(pose, start, drawn, time.monotonic(), checksum, height))
            queue(message)

        setattr(machine, name, timed_draw)
        socket.queue_message = timed_queue

    def take(self, tab: TabProcess) -> list[list[float]]:
        """Of every move since the last call: seconds when it left, its edit began and ended, its picture was begun,
        drawn, packed and had arrived; and the picture's height. No two moves may go to the same place."""
        seen = json.loads(tab.ask("log"))
        arrived: dict[int, float] = {}
        for checksum, when in seen["pictures"]:  # the same picture may be sent again when all is at rest
            arrived.setdefault(int(checksum), when)
        with self._lock:
            edits, pictures, self._edits, self._pictures = self._edits, self._pictures, [], []
        number = {id(edit.pose): i for i, edit in enumerate(edits)}
        rows, lost = [], 0
        for j, (*_, sent) in enumerate(seen["moves"]):
            later = np.array([place for *place, _ in seen["moves"][j:]])
            # a move may be left out for a later one
            i = next((i for i, e in enumerate(edits) if np.abs(later - e.target).max(1).min() < 1e-6), len(edits))
            if i < len(edits) and not edits[i].is_new:
                continue
            showing = (p for p in pictures if number.get(id(p.pose), -1) >= i and p.checksum in arrived)
            picture = next(showing, None)
            if picture is None:
                lost += 1
                continue
            times = [sent, edits[i].start, edits[i].end, picture.start, picture.drawn, picture.packed]
            rows.append([*times, arrived[picture.checksum], picture.height])
        if lost:
            raise RuntimeError(f"{lost} of {len(seen['moves'])} moves were never drawn")
        return rows
