"""From a drag to its picture: nothing queues up, the last pose is always drawn, sizes follow what pictures cost."""

import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import viser
from nerfstudio.cameras.cameras import CameraType
from nerfstudio.viewer.render_state_machine import RenderAction, RenderStateMachine
from nerfstudio.viewer.utils import CameraState
from nerfstudio.viewer.viewer import Viewer
from nerfstudio.viewer_legacy.server.viewer_utils import SetTrace

from nerfstudio_mobavatar.viewer import renderer, threads
from nerfstudio_mobavatar.viewer.renderer import DEPTH_SIDE, FAR_M, LEAST_HEIGHT, Renderer, depth_bytes
from nerfstudio_mobavatar.viewer.skeleton import VISER_PER_METRE

MOST = 600
SECONDS = 20.0


class Model:
    """Draws `shown` as a grey, as slowly as `free` lets it."""

    def __init__(self, kind: str) -> None:
        self.device: Any = torch.device("cpu") if kind == "cpu" else SimpleNamespace(type="cuda")
        self.training, self.shown, self.failing = True, 0, False
        self.free, self.drawing = threading.Event(), threading.Event()
        self.drawn: list[tuple[int, int]] = []
        self.cameras: list[float] = []
        self.traced: list[bool] = []
        self.free.set()

    def train(self, is_on: bool = True) -> None:
        self.training = is_on

    def eval(self) -> None:
        self.train(False)

    def get_outputs_for_camera(self, camera: Any) -> dict[str, torch.Tensor]:
        assert not self.training
        self.traced.append(getattr(sys.gettrace(), "__func__", None) is Renderer.check_interrupt)
        shown, height, width = self.shown, int(camera.height), int(camera.width)
        self.drawing.set()
        if self.failing:
            raise RuntimeError("no memory")
        end = time.monotonic() + SECONDS
        while not self.free.is_set():
            assert time.monotonic() < end
            time.sleep(0.001)
        self.drawn.append((shown, height))
        self.cameras.append(camera.fov)
        grey = torch.full((height, width, 1), shown / 255)
        return {"rgb": grey.expand(-1, -1, 3), "accumulation": grey, "depth": grey}


class Camera(SimpleNamespace):
    def to(self, device: Any) -> "Camera":
        return self


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch):
    """Makes a renderer that runs, its model, and the messages that its tab is sent."""
    monkeypatch.setattr(renderer, "REST_SECONDS", 0.05)
    monkeypatch.setattr(
        renderer, "get_camera", lambda state, height, width: Camera(height=height, width=width, fov=state.fov)
    )
    started: list[Renderer] = []

    def make(kind: str = "cuda") -> tuple[Renderer, Model, list[Any]]:
        model, sent = Model(kind), []
        panel = SimpleNamespace(
            max_res=MOST, layer_depth=True, output_render="rgb", split=False, colormap_options=None,
            update_output_options=lambda names: None,
        )  # fmt: skip
        viewer: Any = bare(
            Viewer,
            control_panel=panel, ready=True, train_lock=threading.Lock(), include_time=False, step=0,
            render_tab_state=SimpleNamespace(preview_render=False),
            config=SimpleNamespace(image_format="png", jpeg_quality=75),
            get_model=lambda: model, get_camera_state=lambda client: state(),
            update_colormap_options=lambda dimensions, dtype: None, stats_markdown=SimpleNamespace(content=""),
            make_stats_markdown=lambda step, size: size,
        )  # fmt: skip
        client: Any = bare(
            viser.ClientHandle,
            camera=SimpleNamespace(aspect=1.0), flush=lambda: None,
            scene=SimpleNamespace(_websock_interface=SimpleNamespace(queue_message=sent.append)),
        )  # fmt: skip
        made = Renderer(viewer, client)
        started.append(made)
        threads.start(made, made.close)
        return made, model, sent

    yield make
    for made in started:
        made.running = False
        made.join(5)
        assert not made.is_alive()


def bare(kind: type, **attributes: Any) -> Any:
    """An object of a class that has nothing but these."""
    made = object.__new__(kind)
    made.__dict__.update(attributes)
    return made


def state(fov: float = 0.7) -> CameraState:
    return CameraState(fov=fov, aspect=1.0, c2w=torch.eye(4)[:3], camera_type=CameraType.PERSPECTIVE)


def until(condition: Any, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.002)


def at_rest(made: Renderer) -> None:
    until(lambda: made._is_sharp and made.next_action is None, "the picture at rest")


def held_while_drawing(made: Renderer, model: Model, action: Any) -> None:
    """The model draws what is asked for, and does not end before it is let free."""
    model.free.clear()
    model.drawing.clear()
    made.action(RenderAction(action, state()))
    assert model.drawing.wait(SECONDS)


def grey(message: Any) -> int:
    return int(cv2.imdecode(np.frombuffer(message.rgb_bytes, np.uint8), cv2.IMREAD_COLOR)[0, 0, 0])


def test_of_many_moves_the_newest_is_drawn_and_none_queues_up(start) -> None:
    made, model, sent = start()
    at_rest(made)
    model.free.clear()
    model.drawing.clear()
    model.drawn.clear()
    for shown in range(1, 101):
        model.shown = shown
        made.action(RenderAction("move", state(0.7 + shown / 1000)))
        if shown == 1:
            assert model.drawing.wait(SECONDS)
    assert model.drawn == []
    model.free.set()
    until(lambda: any(shown == 100 for shown, _ in model.drawn), "the last pose")
    at_rest(made)
    assert [shown for shown, _ in model.drawn][:2] == [1, 100], "one that was begun, then the newest"
    assert model.cameras[-len(model.drawn) :][:2] == [0.7 + 1 / 1000, 0.7 + 100 / 1000], "and its camera"
    assert model.drawn[-1] == (100, MOST) and len(model.drawn) <= 4 and grey(sent[-1]) == 100


def test_the_first_move_after_a_rest_is_drawn(start) -> None:
    """nerfstudio's state machine interrupts it with what was to interrupt the picture at rest."""
    made, model, sent = start("cpu")
    at_rest(made)
    for shown in range(1, 6):
        model.drawn.clear()
        model.shown = shown
        made.action(RenderAction("move", state()))
        at_rest(made)
        assert [n for n, _ in model.drawn] == [shown, shown] and grey(sent[-1]) == shown


def test_a_move_interrupts_a_slow_picture_on_a_processor_only(start) -> None:
    made, model, _ = start("cpu")
    model.free.clear()
    model.drawing.clear()
    until(lambda: made._is_interruptible and model.drawing.is_set(), "the picture at rest to be begun")
    model.shown = 7
    made.action(RenderAction("move", state()))
    until(lambda: len(model.traced) > 1 and not model.traced[-1], "the move's picture to be begun")
    assert model.drawn == [], "the one at rest was given up"
    model.free.set()
    at_rest(made)
    assert model.training and model.drawn[-1] == (7, MOST)
    made, model, _ = start("cuda")
    at_rest(made)
    assert not any(model.traced), "a trace of every line costs more than a picture on a GPU"


def test_a_step_of_the_training_does_not_replace_a_move(start) -> None:
    made, model, _ = start()
    at_rest(made)
    held_while_drawing(made, model, "step")
    made.action(RenderAction("move", state()))
    made.action(RenderAction("step", state()))
    assert made.next_action is not None and made.next_action.action == "move"
    model.free.set()
    at_rest(made)


def test_a_picture_that_fails_is_tried_again_with_the_next_move(start, capsys: pytest.CaptureFixture[str]) -> None:
    made, model, sent = start()
    at_rest(made)
    model.failing = True
    made.action(RenderAction("move", state()))
    at_rest(made)
    assert made.is_alive() and model.training and "no memory" in capsys.readouterr().out
    model.failing, model.shown = False, 9
    made.action(RenderAction("move", state()))
    at_rest(made)
    assert grey(sent[-1]) == 9


def test_moving_pictures_are_as_large_as_their_time_allows(start) -> None:
    made, *_ = start()
    at_rest(made)
    made._speeds.clear()
    assert made.size(1.0, True) == (MOST, MOST) and made.size(2.0, True) == (MOST // 2, MOST)
    assert made.size(0.5, True) == (MOST, MOST // 2)
    assert made.size(1.0, False) == (LEAST_HEIGHT, LEAST_HEIGHT), "nothing is known yet"
    made._speeds.append(400 * 400 / renderer.MOVE_SECONDS)
    assert made.size(1.0, False) == (400, 400)
    made._speeds.extend([1e12] * renderer.PICTURES_TIMED)
    assert made.size(1.0, False) == (MOST, MOST) and made.size(1.0, True) == (MOST, MOST)


def test_depth_is_small_and_says_where_the_person_is() -> None:
    depth = torch.full((700, 500, 1), 2.345)
    alpha = torch.zeros_like(depth)
    alpha[:, 250:] = 1.0
    picture = cv2.imdecode(np.frombuffer(depth_bytes(depth, alpha, DEPTH_SIDE), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[0] * picture.shape[1] <= 1.3 * DEPTH_SIDE**2
    # as viser's page reads it: red, green, blue of 0..1
    found = (picture[..., ::-1] / 255.0) @ np.array([0.00255, 0.6528, 167.1168])
    half = picture.shape[1] // 2
    np.testing.assert_allclose(found[:, half + 1 :], 2.345 * VISER_PER_METRE, atol=2e-5)
    np.testing.assert_allclose(found[:, : half - 1], FAR_M * VISER_PER_METRE, atol=2e-5)


def test_pictures_keep_their_colours_and_get_bars_where_the_tab_is_wider() -> None:
    pixels = np.zeros((40, 30, 3), np.uint8)
    pixels[:] = (200, 100, 50)
    for kind, tolerance in (("png", 0), ("jpeg", 6)):
        media, packed = renderer.image_bytes(pixels, kind, 90)
        read = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
        assert media == f"image/{kind}" and np.abs(read - pixels).max() <= tolerance
    wide = renderer.fitted(pixels, 2.0)
    assert wide.shape == (40, 80, 3) and not wide[:, :25].any() and (wide[:, 25:55] == pixels).all()
    assert renderer.fitted(pixels, 0.75) is pixels


def test_a_program_that_ends_waits_for_the_picture_that_is_being_drawn(
    start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threads, "_is_ending", threading.Event())
    monkeypatch.setattr(threads, "_running", {})
    made, model, _sent = start()
    at_rest(made)
    held_while_drawing(made, model, "move")
    ending = threading.Thread(target=threads.end_all)
    ending.start()
    ending.join(0.1)
    assert ending.is_alive() and made.is_alive()

    def refused(*_: Any) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(made, "_hand_over", refused)
    model.free.set()
    ending.join(SECONDS)
    assert not ending.is_alive() and not made.is_alive()
    assert "failed" not in capsys.readouterr().out, "there is nobody to be told"


def test_nerfstudios_thread_gives_up_the_picture_that_it_is_at(start) -> None:
    def line() -> None:
        time.sleep(0.001)

    class Theirs(RenderStateMachine):
        is_drawing = threading.Event()

        def _render_img(self, camera_state: CameraState) -> None:
            with SetTrace(self.check_interrupt):
                self.is_drawing.set()
                while True:
                    line()

    made, _, _ = start()
    client = bare(viser.ClientHandle, **made.client.__dict__ | {"client_id": 3})
    theirs = Theirs(made.viewer, 10.0, client)
    made.viewer.render_statemachines = {3: theirs}
    theirs.start()
    assert theirs.is_drawing.wait(SECONDS)
    renderer.take_over(made.viewer, client)
    theirs.join(SECONDS)
    ours = made.viewer.render_statemachines[3]
    assert not theirs.is_alive() and isinstance(ours, Renderer) and ours.is_alive()
    ours.close()
    ours.join(SECONDS)
