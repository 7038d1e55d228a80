"""Puts the session, the skeleton and the panel into nerfstudio's viewer, and answers the model's questions."""

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import viser
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.viewer.render_state_machine import RenderAction
from nerfstudio.viewer.viewer import Viewer
from nerfstudio.viewer.viewer_elements import ViewerControl
from numpy import ndarray
from torch import Tensor

from nerfstudio_mobavatar.images import UndistortMaps, load_image, load_matte
from nerfstudio_mobavatar.losses import composite
from nerfstudio_mobavatar.posing.edit import EditedPose
from nerfstudio_mobavatar.posing.ik import Skeleton, world_joints

from .inbox import keep_order
from .panel import Panel
from .pointer import Pointer
from .renderer import take_over
from .session import PoseSession
from .shape import Shape
from .skeleton import VISER_PER_METRE, SkeletonScene
from .views import CAPTURED, Views, beside

if TYPE_CHECKING:
    from nerfstudio_mobavatar.model import MobavatarModel

TRAINING_SHARE = 0.96
"""Of the time while tabs are open and nobody moves anything; nerfstudio's viewer leaves the training nine tenths."""


LATE_PLACES = 64
"""Of a camera that follows the pelvis: two seconds of a motion."""


class PoseControl(ViewerControl):
    """nerfstudio finds it as an attribute of the model and calls `_setup` once per viewer. Without a viewer it does
    nothing: `asks` is False."""

    def __init__(self, model: "MobavatarModel", hand_mean: ndarray, num_betas: int) -> None:
        """`hand_mean` [30, 3]: the body's relaxed hands, for motion files without fingers. `num_betas`: see `Shape`."""
        self.model, self.hand_mean = model, hand_mean
        self.session = PoseSession(self.frame_pose)
        self.shape = Shape(model, num_betas)
        self.views = Views(model, self.shape)
        self.losses: dict[str, Tensor] = {}
        """Of the last training step, detached."""
        self._sent: dict[int, deque[ndarray]] = {}
        self.camera: str | None = None
        """Captured camera to compare with; None: the one clicked last."""
        self._viewer: Viewer | None = None
        self._maps = UndistortMaps()
        self._picture: tuple[object, Tensor] = (None, torch.empty(0))

    def _setup(self, viewer: Viewer) -> None:
        super()._setup(viewer)
        self._viewer = viewer
        keep_order(viewer.viser_server)
        self.skeleton_scene = SkeletonScene(viewer.viser_server, self.session, self.skeleton, self._select)
        self.panel = Panel(self, viewer)
        self.session.listen(self.rerender)  # first: it only wakes the renderers
        self.session.listen(self.skeleton_scene.sync)
        self.session.listen(self.panel.changed)
        # the frame that is shown while nothing is posed by hand
        for element in (self.model.viewer_frame, viewer.control_panel._time):
            if element.gui_handle is not None:
                element.gui_handle.on_update(lambda _: self._frame_changed())
        viewer.viser_server.on_client_connect(self._connected)
        self._pointer = Pointer(viewer.viser_server, self._pressed)

    def skeleton(self) -> Skeleton:
        """Rest joints as the viewer shows them now."""
        rest = self.shape.avatar().get_buffer("joint_rest").detach().cpu().numpy().astype(np.float64)
        return Skeleton(rest, self.model.avatar.parents)

    def frame_row(self) -> int:
        """Row of the fit that the viewer shows while nothing is posed by hand."""
        chosen = int(self.model.viewer_frame.value)
        last = len(self.model.get_buffer("fit_pose")) - 1
        if chosen >= 0 or self._viewer is None:
            return max(chosen, 0)
        return min(max(round(self._viewer.control_panel.time * last), 0), last) if self._viewer.include_time else 0

    def frame_pose(self, row: int | None = None) -> EditedPose:
        """The fit's pose of a row."""
        row = self.frame_row() if row is None else row
        buffers = (self.model.get_buffer(f"fit_{name}")[row] for name in ("pose", "transl", "expression"))
        pose, transl, expression = (x.detach().cpu().numpy().astype(np.float64) for x in buffers)
        return EditedPose(pose, transl, expression)

    def asks(self, camera: Cameras) -> bool:
        """Whether the viewer asks, and not an evaluation during training: pictures of the capture know their row."""
        return self._viewer is not None and "pose_row" not in (camera.metadata or {})

    def pose_for(self, camera: Cameras) -> tuple[Tensor, Tensor, Tensor]:
        """Pose, translation and expression that the viewer shows: the one made by hand, else the row of the slider,
        else that of the camera's time."""
        edited, model = self.session.shown, self.model
        if edited is not None:
            like = model.get_buffer("fit_pose")
            pose, transl, expression = (
                torch.from_numpy(x).to(like) for x in (edited.pose, edited.transl, edited.expression)
            )
            return pose, transl, expression
        chosen = int(model.viewer_frame.value)
        row = chosen if chosen >= 0 else int(model.row_of(camera))
        pose, transl, expression = (model.get_buffer(f"fit_{name}")[row] for name in ("pose", "transl", "expression"))
        return pose, transl, expression

    def outputs(self, camera: Cameras, T_cam_world: Tensor, K: Tensor, width: int, height: int) -> dict[str, Tensor]:
        """All pictures of a viewer's camera (also given with OpenCV axes); those of `views.NAMES` are drawn where one
        of them is looked at."""
        viewer = self._viewer
        assert viewer is not None, "asked without a viewer; see asks()"
        view = self.views.view(self.pose_for(camera), T_cam_world, K, width, height)
        panel = viewer.control_panel
        wanted = {panel.output_render} | ({panel.split_output_render} if panel.split else set())
        out = view.outputs | self.views.outputs(view, wanted)
        if CAPTURED in wanted:
            out[CAPTURED] = self._captured_beside_rendered(viewer.current_camera_idx, *view.outputs["rgb"].shape[:2])
        return out

    def before_pruning(self) -> None:
        """Keep the avatar for the comparison, where somebody may look at it."""
        if self._viewer is not None:
            self.views.keep_before_pruning()

    def capture_cameras(self) -> list[str]:
        return [view.name for view in self.model.kwargs["metadata"]["views"]]

    def _captured_beside_rendered(self, clicked: int, height: int, width: int) -> Tensor:
        """The frame's picture of one captured camera (the panel's choice, else that of the training picture number
        `clicked`), and the avatar in that camera and the frame's pose."""
        metadata, row = self.model.kwargs["metadata"], self.frame_row()
        images, names = metadata["images"], self.capture_cameras()
        number = names.index(self.camera) if self.camera in names else images[clicked].camera
        view = metadata["views"][number]
        image = next((i for i in self.model.capture.images if i.camera == number and i.frame == row), None)
        T, K = (torch.from_numpy(x).float().to(self.model.device)[None] for x in (view.T_cam_world, view.K))
        if self.model.corrections is not None:
            T = self.model.corrections.cameras(T, torch.tensor([number], device=self.model.device))
        rows = (self.model.get_buffer(f"fit_{name}")[row] for name in ("pose", "transl", "expression"))
        pose, transl, expression = rows
        rendered = self.views.view((pose, transl, expression), T, K, view.width, view.height).outputs["rgb"]
        if image is None:
            return beside(torch.ones_like(rendered), rendered, height, width)
        known, picture = self._picture
        if known != (number, row):
            rgb = torch.from_numpy(load_image(image.image_path, view, self._maps)).float() / 255
            matte = torch.from_numpy(load_matte(image.mask_path, view, self._maps)).float()[..., None] / 255
            picture = composite(rgb[None], matte[None], torch.ones(3))[0].to(rendered)
            self._picture = ((number, row), picture)
        return beside(picture, rendered, height, width)

    def rerender(self) -> None:
        """Ask every open tab's renderer for a new picture, and let the training wait for it as it does for a moving
        camera. `Viewer._trigger_rerender` stops at a tab that is just opening or closing, and would leave out the
        others."""
        viewer = self._viewer
        if viewer is None or not viewer.ready:
            return
        if not self.panel.player.playing:
            viewer.last_move_time = time.time()  # pyright: ignore[reportAttributeAccessIssue]
        for number, client in viewer.viser_server.get_clients().items():
            machine = viewer.render_statemachines.get(number)
            if machine is not None and client.camera._state.update_timestamp != 0.0:  # it has said where it looks from
                machine.action(RenderAction("move", viewer.get_camera_state(client)))

    def set_shape(self, values: ndarray) -> None:
        """Show the avatar with other shape coefficients (differences from the captured ones)."""
        self.shape.set(values)
        self.rerender()
        self.skeleton_scene.sync()

    def move_cameras(self, step: ndarray) -> None:
        """Move the eye of every tab by `step` metres. A tab tells late where its eye was put: where it stands at one of
        the last places that it was sent to, the next step starts from the very last one."""
        if self._viewer is None:
            return
        for number, client in self._viewer.viser_server.get_clients().items():
            if client.camera._state.update_timestamp == 0.0:
                continue
            now, sent = client.camera.position, self._sent.setdefault(number, deque(maxlen=LATE_PLACES))
            if any(np.allclose(now, place, atol=1e-3) for place in sent):
                now = sent[-1]
            else:
                sent.clear()  # somebody moved it
            sent.append(now + VISER_PER_METRE * step)
            with client.atomic():
                client.camera.position = sent[-1]

    def look(self, client: viser.ClientHandle | None) -> None:
        """Turn a tab's eye to the whole person, from the side of the capture's first camera and far enough away."""
        if client is None:
            return
        edited, skeleton = self.session.now(), self.skeleton()
        joints = world_joints(skeleton, edited.pose, edited.transl)[1]
        middle = 0.5 * (joints.min(0) + joints.max(0))
        view = self.model.kwargs["metadata"]["views"][0]
        towards = -view.T_cam_world[:3, :3].T @ view.T_cam_world[:3, 3] - middle
        up = np.array(self.model.capture.up)
        towards -= (towards @ up) * up
        distance = 0.75 * np.linalg.norm(joints.max(0) - joints.min(0)) / np.tan(0.5 * client.camera.fov)
        eye = middle + towards / max(float(np.linalg.norm(towards)), 1e-6) * distance
        with client.atomic():
            client.camera.up_direction = up
            client.camera.position = VISER_PER_METRE * eye
            client.camera.look_at = VISER_PER_METRE * middle

    def _connected(self, client: viser.ClientHandle) -> None:
        viewer = self._viewer
        if viewer is not None:
            viewer.train_util = TRAINING_SHARE  # here: `init_scene` sets it after `_setup`
            take_over(viewer, client)  # nerfstudio's callback came first
        self.skeleton_scene.sync()
        self.look(client)

    def training_state(self) -> dict[str, Any]:
        """For the panel: the model, and the losses of the last step as numbers."""
        return {"model": self.model, "losses": {name: float(value) for name, value in self.losses.items()}}

    def _select(self, joint: int) -> None:
        self.skeleton_scene.select(joint)
        self.panel.selected(joint)

    def _pressed(self, tab: int, is_down: bool) -> None:
        self.session.press(tab, is_down)
        if not is_down:
            self.skeleton_scene.sync()

    def _frame_changed(self) -> None:
        if self.session.shown is None:
            self.skeleton_scene.sync()
            self.panel.changed()
