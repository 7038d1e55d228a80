"""Draws what one browser tab shows, in a thread of its own. Written for nerfstudio 1.1.5 and viser 0.2.7.

It stands in for nerfstudio's `RenderStateMachine`, whose way from a drag to its picture was made for fields that take
seconds: it runs under a trace of every line, casts a ray for every pixel, packs a PNG of the depth as large as the
picture (on one processor core 43 ms at 610 pixels, 107 ms at 1024), and drops the first move after a rest. Little of
that is in the time by which it chooses the size of its pictures. Here

- the newest request wins, and the last one is always drawn;
- pictures are as large as fits `MOVE_SECONDS` with all that they cost, up to the panel's size;
- the depth, which only hides lines and gizmos behind the person, is a small picture;
- a picture leaves at once, not with viser's next window of 17 ms.
"""

import contextlib
import threading
import time
from collections import deque
from typing import Any

import cv2
import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from nerfstudio.utils import colormaps, writer
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.utils.writer import EventName
from nerfstudio.viewer.render_state_machine import RenderAction, RenderStateMachine
from nerfstudio.viewer.utils import CameraState, get_camera
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO, Viewer
from nerfstudio.viewer_legacy.server.viewer_utils import IOChangeException, SetTrace
from numpy import ndarray
from torch import Tensor
from viser import _messages

from .threads import start, stop_at_exit

MOVE_SECONDS = 1 / 30
"""For one picture while something moves: drawn, packed and handed over."""
REST_SECONDS = 0.2
"""After the last move the picture is drawn in full size."""
LEAST_HEIGHT = 240
"""Smaller pictures show nothing; on a slow machine they come later instead."""
DEPTH_SIDE, DEPTH_SIDE_AT_REST = 128, 512
FAR_M = 16.0
"""Depth where nobody stands, metres; the page's format ends at 16.7."""
PICTURES_TIMED = 5
SPLIT_COLOUR = (0.133, 0.157, 0.192)


class Renderer(RenderStateMachine):
    """nerfstudio's viewer calls `action` from any thread, and sets `running` to False when the tab is closed."""

    def __init__(self, viewer: Viewer, client: viser.ClientHandle) -> None:
        super().__init__(viewer, VISER_NERFSTUDIO_SCALE_RATIO, client)
        self._waiting = threading.Lock()
        self._is_interruptible = False
        self._is_sharp = False
        """Whether the tab shows a picture in full size, and nothing has moved since."""
        self._speeds: deque[float] = deque(maxlen=PICTURES_TIMED)
        """Pixels a second of the last pictures."""

    def close(self) -> None:
        """No more pictures; one that is being drawn and need not be whole is given up."""
        self.running = False
        self.interrupt_render_flag = self._is_interruptible
        self.render_trigger.set()

    def action(self, action: RenderAction) -> None:
        """Ask for a picture. The newest camera wins; a step of the training does not replace a move."""
        with self._waiting:
            if action.action == "step" and self.next_action is not None:
                return
            self.next_action = action
            if action.action != "step" and self._is_interruptible:
                self.interrupt_render_flag = True
        self.render_trigger.set()

    def run(self) -> None:
        """Until the tab is closed."""
        while self.running:
            if not self.viewer.ready:
                time.sleep(0.1)
                continue
            self.render_trigger.wait(REST_SECONDS)
            with self._waiting:
                self.render_trigger.clear()
                asked, self.next_action = self.next_action, None
                self.interrupt_render_flag = False
                is_rest = asked is None or (asked.action == "step" and self._is_sharp)
                if asked is None and self._is_sharp:
                    continue
                self._is_sharp = False
                # on a processor a picture in full size takes seconds, which a move must not wait for
                self._is_interruptible = is_rest and self.viewer.get_model().device.type == "cpu"
            camera = self.viewer.get_camera_state(self.client) if asked is None else asked.camera_state
            try:
                self.picture(camera, is_rest)
            except IOChangeException:
                continue
            except Exception as error:
                if not self.running:  # the tab or the program has ended: there is nobody to show it to or to tell
                    return
                CONSOLE.print(f"[yellow]The viewer's picture failed: {error!r}. Move something to try again.")
                is_rest = True
            self._is_sharp = is_rest

    def picture(self, state: CameraState, is_rest: bool) -> None:
        """Draw, pack and hand over one picture."""
        height, width = self.size(state.aspect, is_rest)
        if not self.viewer.render_tab_state.preview_render and self.viewer.include_time:
            state.time = self.viewer.control_panel.time
        lock = self.viewer.train_lock
        with contextlib.nullcontext() if lock is None else lock:
            start = time.perf_counter()
            outputs = self._drawn(state, height, width)
        self._is_interruptible = False
        if writer.is_initialized():  # how often the viewer may ask while it trains
            speed = height * width / (time.perf_counter() - start)
            writer.put_time(EventName.VIS_RAYS_PER_SEC, speed, step=self.viewer.step, avg_over_steps=True)
        self._hand_over(outputs, is_rest)
        self._speeds.append(height * width / (time.perf_counter() - start))

    def size(self, aspect: float, is_rest: bool) -> tuple[int, int]:
        """Height and width of the next picture: the panel's size, or as many pixels as fit `MOVE_SECONDS`."""
        most = max(int(self.viewer.control_panel.max_res), 1)  # ns-viewer's panel lets one type a zero
        height = most if aspect <= 1 else max(1, int(most / aspect))
        if not is_rest:
            pixels = float(np.median(self._speeds)) * MOVE_SECONDS if self._speeds else 0.0
            height = min(height, max(LEAST_HEIGHT, int((pixels / aspect) ** 0.5) // 10 * 10))
        return height, max(1, min(most, int(height * aspect)))

    def _drawn(self, state: CameraState, height: int, width: int) -> dict[str, Tensor]:
        model = self.viewer.get_model()
        camera = get_camera(state, height, width).to(model.device)
        was_training = model.training
        model.eval()
        try:
            with (
                torch.no_grad(),
                SetTrace(self.check_interrupt) if self._is_interruptible else contextlib.nullcontext(),
            ):
                return model.get_outputs_for_camera(camera)
        finally:
            model.train(was_training)

    def _hand_over(self, outputs: dict[str, Tensor], is_rest: bool) -> None:
        viewer, panel = self.viewer, self.viewer.control_panel
        if self.output_keys != set(outputs):
            self.output_keys = set(outputs)
            panel.update_output_options(list(outputs))
        image = self._coloured(outputs)
        depth = None
        if panel.layer_depth:
            depth = depth_bytes(
                outputs["depth"], outputs["accumulation"], DEPTH_SIDE_AT_REST if is_rest else DEPTH_SIDE
            )
        pixels = fitted((image * 255).to(torch.uint8).cpu().numpy(), float(self.client.camera.aspect))
        media, packed = image_bytes(pixels, viewer.config.image_format, viewer.config.jpeg_quality)
        message = _messages.BackgroundImageMessage(media_type=media, rgb_bytes=packed, depth_bytes=depth)
        self.client.scene._websock_interface.queue_message(message)
        with contextlib.suppress(KeyError):  # the tab was closed meanwhile
            self.client.flush()
        size = f"{pixels.shape[1]}x{pixels.shape[0]}px"
        if not viewer.stats_markdown.content.endswith(size):
            viewer.stats_markdown.content = viewer.make_stats_markdown(None, size)

    def _coloured(self, outputs: dict[str, Tensor]) -> Float[Tensor, "h w 3"]:
        """The chosen output in the panel's colours, or two of them side by side."""
        viewer: Any = self.viewer  # its `dtype: type` means torch's
        panel = viewer.control_panel
        chosen = outputs[panel.output_render]
        viewer.update_colormap_options(dimensions=chosen.shape[-1], dtype=chosen.dtype)
        image = colormaps.apply_colormap(chosen, panel.colormap_options)
        if not panel.split:
            return image
        other = outputs[panel.split_output_render]
        viewer.update_split_colormap_options(dimensions=other.shape[-1], dtype=other.dtype)
        at = min(int(panel.split_percentage * image.shape[1]), image.shape[1] - 1)
        line = torch.tensor(SPLIT_COLOUR, device=image.device).expand(len(image), 1, 3)
        right = colormaps.apply_colormap(other, panel.split_colormap_options)[:, at + 1 :]
        return torch.cat([image[:, :at], line, right], 1)


def take_over(viewer: Viewer, client: viser.ClientHandle) -> None:
    """Draw a tab's pictures in the place of nerfstudio's thread, which may be at its first one: it gives that up."""
    theirs = viewer.render_statemachines[client.client_id]
    ours = viewer.render_statemachines[client.client_id] = Renderer(viewer, client)
    theirs.running, theirs.interrupt_render_flag = False, True
    stop_at_exit(theirs, theirs.render_trigger.set)
    start(ours, ours.close)


def image_bytes(pixels: UInt8[ndarray, "h w 3"], kind: str, quality: int) -> tuple[Any, bytes]:
    """Media type and file of a picture. Half of viser's own time, and without the interpreter's lock."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if kind == "png":
        return "image/png", cv2.imencode(".png", bgr)[1].tobytes()
    return "image/jpeg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def depth_bytes(depth: Float[Tensor, "h w 1"], alpha: Float[Tensor, "h w 1"], side: int) -> bytes:
    """viser's depth picture (PNG, hundred-thousandths of the scene's unit in 24 bits, least byte first), not larger
    than `side` squared: the person's depth (metres along the optical axis), and far away beside them."""
    step = max(1, round((depth.shape[0] * depth.shape[1]) ** 0.5 / side))
    depth, alpha = depth[step // 2 :: step, step // 2 :: step, 0], alpha[step // 2 :: step, step // 2 :: step, 0]
    metres = torch.where(alpha > 0.5, depth, torch.full_like(depth, FAR_M)).clamp(0, FAR_M)
    fixed = (metres.double() * (VISER_NERFSTUDIO_SCALE_RATIO * 100_000)).to(torch.int32).cpu().numpy()
    pixels = np.stack([fixed >> 16, (fixed >> 8) & 255, fixed & 255], -1).astype(np.uint8)  # OpenCV writes blue first
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def fitted(pixels: UInt8[ndarray, "h w 3"], aspect: float) -> UInt8[ndarray, "h2 w2 3"]:
    """Black bars where a picture's shape is not the tab's (width / height)."""
    height, width = pixels.shape[:2]
    sides = max(0, int(aspect * height - width) // 2)
    above = max(0, int(width / aspect - height) // 2)
    if max(sides, above) <= 5:
        return pixels
    return cv2.copyMakeBorder(pixels, above, above, sides, sides, cv2.BORDER_CONSTANT, value=(0, 0, 0))
