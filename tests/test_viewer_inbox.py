"""What a browser says last counts, in whatever order viser's threads come to it."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import viser
from viser import _messages

from nerfstudio_mobavatar.posing.edit import EditedPose
from nerfstudio_mobavatar.posing.ik import LIMBS, world_joints
from nerfstudio_mobavatar.viewer import inbox
from nerfstudio_mobavatar.viewer.inbox import Inbox, keep_order
from nerfstudio_mobavatar.viewer.session import PoseSession
from nerfstudio_mobavatar.viewer.skeleton import ROOT, VISER_PER_METRE, SkeletonScene

from .goldens.make_posing import skeleton
from .test_ns_tools import free_port
from .viser_tab import Tab

SECONDS = 20.0


@pytest.fixture
def server() -> Iterator[viser.ViserServer]:
    started = viser.ViserServer(host="127.0.0.1", port=free_port(), verbose=False)
    keep_order(started)
    yield started
    started.stop()


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


def test_a_storm_ends_where_it_ended(server: viser.ViserServer) -> None:
    """Of a slider, a gizmo and the camera; and of a button every press counts."""
    slider, button = server.gui.add_slider("slider", 0, 1e6, 1, 0), server.gui.add_button("button")
    gizmo = server.scene.add_transform_controls("/gizmo")
    seen: dict[str, list[float]] = {"slider": [], "gizmo": [], "camera": [], "button": []}
    slider.on_update(lambda _: seen["slider"].append(slider.value))
    gizmo.on_update(lambda _: seen["gizmo"].append(float(gizmo.position[0])))
    button.on_click(lambda _: seen["button"].append(1))
    tab = Tab(f"http://127.0.0.1:{server.get_port()}")
    until(lambda: len(server.get_clients()) == 1, "the tab")
    camera = next(iter(server.get_clients().values())).camera
    camera.on_update(lambda _: seen["camera"].append(float(camera.position[0])))
    work, interval = server._websock_server._thread_executor._work_queue, sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads overtake one another
    try:
        for last in range(200, 601, 200):
            for i in range(last - 199, last + 1):
                axes, place = (1.0, 0.0, 0.0, 0.0), (float(i), 0.0, 0.0)
                tab.send(_messages.TransformControlsUpdateMessage("/gizmo", axes, place))
                tab.send(_messages.GuiUpdateMessage(slider._impl.id, {"value": i}))
                tab.send(_messages.ViewerCameraMessage(axes, place, 0.7, 1.0, (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)))
                if i % 10 == 0:
                    tab.send(_messages.GuiUpdateMessage(button._impl.id, {"value": True}))
            until(lambda last=last: len(seen["button"]) == last // 10, "every press")
            moved = [seen[name] for name in ("slider", "gizmo", "camera")]
            until(lambda last=last, moved=moved: all(x[-1:] == [last] for x in moved), "the last moves")
            until(lambda: work.qsize() == 0 and not any(i._busy for i in inboxes(server)), "the storm to be over")
            for name in ("slider", "gizmo", "camera"):
                assert seen[name][-1] == last and seen[name] == sorted(seen[name]), name
            assert (slider.value, gizmo.position[0], camera.position[0]) == (last, last, last)
    finally:
        sys.setswitchinterval(interval)
        tab.close()


def inboxes(server: viser.ViserServer) -> list[Any]:
    clients = server.get_clients().values()
    handlers = [server._websock_server, *(client.scene._websock_interface for client in clients)]
    return [handler._handle_incoming_message for handler in handlers]


def test_what_is_older_than_what_was_done_is_left_out_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    started, free = threading.Event(), threading.Event()
    number = iter([1, 3, 4, 2, 5, 6, 7, 0])

    def handle(client: int, message: Any) -> None:
        if message == ("slider", "slow"):
            started.set()
            assert free.wait(SECONDS)
        if message[1] == "bad":
            raise ValueError("of no use")
        done.append(message[1])

    messages: Any = Inbox(handle, lambda message: message[0], lambda: next(number))  # type: ignore
    at_it = threading.Thread(target=messages, args=(0, ("slider", "slow")))
    at_it.start()
    assert started.wait(SECONDS)
    for what in ("third", "newest", "late"):
        messages(0, ("slider", what))  # returns at once
    messages(0, ("other", "other's"))
    assert done == ["other's"]
    free.set()
    at_it.join(SECONDS)
    assert done == ["other's", "slow", "newest"]
    messages(0, ("slider", "bad"))
    messages(0, ("slider", "after"))
    messages(0, ("slider", "much too late"))
    messages(0, (None, "counts"))  # and has no number
    assert done == ["other's", "slow", "newest", "after", "counts"] and not messages._busy and not messages._waiting
    monkeypatch.setattr(inbox, "REMEMBERED", 3)
    many: Any = Inbox(lambda *_: None, lambda message: message, iter(range(1, 99)).__next__)  # type: ignore
    for name in range(10):
        many(0, name)
    assert list(many._newest) == [7, 8, 9]


def test_moves_of_a_gizmo_do_not_queue_up(
    server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A browser's moves come faster than they are done: the last one is, and few of those before."""
    body = skeleton()
    session = PoseSession(lambda: EditedPose(np.zeros((55, 3)), np.zeros(3), np.zeros(10)))
    scene = SkeletonScene(server, session, lambda: body, lambda joint: None)
    wrist = world_joints(body, np.zeros((55, 3)), np.zeros(3))[1][LIMBS["left_hand"].end]
    edits, edit, free = [], session.edit, threading.Event()

    def slow(change: Any, handle: object = None, gesture: object = None) -> None:
        edits.append(handle)
        assert free.wait(SECONDS)
        edit(change, handle, gesture)

    monkeypatch.setattr(session, "edit", slow)

    def move(name: str, point: np.ndarray) -> threading.Thread:
        x, y, z = (float(v) for v in VISER_PER_METRE * point)
        message = _messages.TransformControlsUpdateMessage(f"{ROOT}/drag_{name}", (1.0, 0.0, 0.0, 0.0), (x, y, z))
        said = server._websock_server._handle_incoming_message
        thread = threading.Thread(target=said, args=(0, message), daemon=True)
        thread.start()
        return thread

    try:
        first = move("left_hand", wrist)
        until(lambda: len(edits) == 1, "the first move")
        last = wrist + np.array([-0.1, 0.1, 0.1])
        for share in np.linspace(0.1, 1.0, 50):
            left = move("left_hand", wrist + share * (last - wrist))
            left.join(SECONDS)
            assert not left.is_alive(), "it leaves its move to the thread that is at it"
        other = move("pelvis", body.rest[0])  # does not wait for it
        until(lambda: len(edits) == 2, "another handle's move")
        monkeypatch.setattr(scene, "_dragged", (None, 0.0))
        scene.sync()  # a move that waits for long is done all the same when its gizmo is back on the joint
        free.set()
        for thread in (first, other):
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert edits == ["left_hand", "pelvis", "left_hand"]
        found = world_joints(body, session.now().pose, session.now().transl)[1][LIMBS["left_hand"].end]
        assert np.abs(found - last).max() < 5e-3
        # a browser may say anything: what follows is done all the same
        move("left_hand", np.full(3, np.nan)).join(SECONDS)
        assert "finite" in capfd.readouterr().err
        move("left_hand", wrist).join(SECONDS)
        found = world_joints(body, session.now().pose, session.now().transl)[1][LIMBS["left_hand"].end]
        assert np.abs(found - wrist).max() < 5e-3
    finally:
        free.set()
        if scene._settling is not None:
            scene._settling.cancel()
