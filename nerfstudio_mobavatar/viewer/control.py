"""Puts the session, the skeleton and the panel into nerfstudio's viewer, and answers the model's questions."""

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.viewer.render_state_machine import RenderAction
from nerfstudio.viewer.viewer import Viewer
from nerfstudio.viewer.viewer_elements import ViewerControl
from torch import Tensor

from nerfstudio_mobavatar.images import UndistortMaps, load_image, load_matte
from nerfstudio_mobavatar.losses import composite
from nerfstudio_mobavatar.posing.edit import EditedPose
from nerfstudio_mobavatar.posing.ik import Skeleton

from .panel import Panel
from .session import PoseSession
from .skeleton import VISER_PER_METRE, SkeletonScene
from .views import CAPTURED, View, Views, beside

if TYPE_CHECKING:
    from nerfstudio_mobavatar.model import MobavatarModel


class PoseControl(ViewerControl):
    """nerfstudio finds it as an attribute of the model and calls `_setup` once per viewer. Without a viewer it does
    nothing: `pose_for` is None, `outputs` is empty."""

    def __init__(self, model: "MobavatarModel") -> None:
        self._model = model
        self.session = PoseSession(self.frame_pose)
        self.views = Views(model.avatar, model.training_poses, model.config.correctives)
        self.losses: dict[str, Tensor] = {}
        """Of the last training step, detached."""
        self.camera: str | None = None
        """Captured camera to compare with; None: the one clicked last."""
        self._viewer: Viewer | None = None
        self._maps = UndistortMaps()
        self._picture: tuple[object, Tensor] = (None, torch.empty(0))

    def _setup(self, viewer: Viewer) -> None:
        super()._setup(viewer)
        self._viewer = viewer
        self.skeleton_scene = SkeletonScene(viewer.viser_server, self.session, self.skeleton, self._select)
        self.panel = Panel(self, viewer)
        self.session.listen(self.skeleton_scene.sync)
        self.session.listen(self.panel.changed)
        self.session.listen(self.rerender)
        # the frame that is shown while nothing is posed by hand
        for element in (self._model.viewer_frame, viewer.control_panel._time):
            if element.gui_handle is not None:
                element.gui_handle.on_update(lambda _: self._frame_changed())
        viewer.viser_server.on_client_connect(lambda _: self.skeleton_scene.sync())

    def skeleton(self) -> Skeleton:
        """Rest joints as the model has them now."""
        rest = self._model.avatar.get_buffer("joint_rest").detach().cpu().numpy().astype(np.float64)
        return Skeleton(rest, self._model.avatar.parents)

    def frame_row(self) -> int:
        """Row of the fit that the viewer shows while nothing is posed by hand."""
        chosen = int(self._model.viewer_frame.value)
        last = len(self._model.get_buffer("fit_pose")) - 1
        if chosen >= 0 or self._viewer is None:
            return max(chosen, 0)
        return min(max(round(self._viewer.control_panel.time * last), 0), last) if self._viewer.include_time else 0

    def frame_pose(self, row: int | None = None) -> EditedPose:
        """The fit's pose of a row."""
        row = self.frame_row() if row is None else row
        buffers = (self._model.get_buffer(f"fit_{name}")[row] for name in ("pose", "transl", "expression"))
        pose, transl, expression = (x.detach().cpu().numpy().astype(np.float64) for x in buffers)
        return EditedPose(pose, transl, expression)

    def is_viewers(self, camera: Cameras) -> bool:
        """Whether the viewer asks, and not an evaluation during training: pictures of the capture know their row."""
        return self._viewer is not None and "pose_row" not in (camera.metadata or {})

    def pose_for(self, camera: Cameras) -> tuple[Tensor, Tensor, Tensor] | None:
        """Pose, translation and expression made by hand for a viewer's camera; None: show a frame."""
        edited = self.session.shown
        if edited is None or not self.is_viewers(camera):
            return None
        like = self._model.get_buffer("fit_pose")
        values = (edited.pose, edited.transl, edited.expression)
        pose, transl, expression = (torch.from_numpy(x).to(like) for x in values)
        return pose, transl, expression

    def outputs(self, camera: Cameras, view: View) -> dict[str, Tensor]:
        """The extra pictures for a viewer's camera; nothing for others."""
        viewer = self._viewer
        if viewer is None or not self.is_viewers(camera):
            return {}
        panel = viewer.control_panel
        wanted = {panel.output_render} | ({panel.split_output_render} if panel.split else set())
        out = self.views.outputs(view, wanted)
        if CAPTURED in wanted:
            out[CAPTURED] = self._captured_beside_rendered(viewer, *view.rgb.shape[:2])
        return out

    def capture_cameras(self) -> list[str]:
        return [view.name for view in self._model.kwargs["metadata"]["views"]]

    def _captured_beside_rendered(self, viewer: Viewer, height: int, width: int) -> Tensor:
        """The frame's picture of one captured camera, and the avatar in that camera and the frame's pose."""
        metadata, row = self._model.kwargs["metadata"], self.frame_row()
        images, names = metadata["images"], self.capture_cameras()
        clicked = images[viewer.current_camera_idx].camera
        number = names.index(self.camera) if self.camera in names else clicked
        view = metadata["views"][number]
        image = next((i for i in self._model.capture.images if i.camera == number and i.frame == row), None)
        rendered = self._model.render_view(row, view)
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
            viewer.last_move_time = time.time()
        for number, client in viewer.viser_server.get_clients().items():
            machine = viewer.render_statemachines.get(number)
            if machine is not None and client.camera._state.update_timestamp != 0.0:  # it has said where it looks from
                machine.action(RenderAction("move", viewer.get_camera_state(client)))

    def move_cameras(self, step: np.ndarray) -> None:
        """Move the eye of every tab by `step` metres."""
        if self._viewer is None:
            return
        for client in self._viewer.viser_server.get_clients().values():
            if client.camera._state.update_timestamp != 0.0:
                with client.atomic():
                    client.camera.position = client.camera.position + VISER_PER_METRE * step

    def training_state(self) -> dict[str, Any]:
        """For the panel: the model, and the losses of the last step as numbers."""
        return {"model": self._model, "losses": {name: float(value) for name, value in self.losses.items()}}

    def _select(self, joint: int) -> None:
        self.skeleton_scene.select(joint)
        self.panel.selected(joint)

    def _frame_changed(self) -> None:
        if self.session.shown is None:
            self.skeleton_scene.sync()
            self.panel.changed()
