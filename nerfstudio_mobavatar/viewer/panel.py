"""The folder "Avatar" of the viewer's panel: what is pressed, slid and typed. Written for viser 0.2.7.

A value that the server sets calls the same callbacks as a hand does, but without a client: those are ignored, else two
tabs would answer each other for ever.
"""

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import viser
from nerfstudio.viewer.viewer import Viewer

from nerfstudio_mobavatar.motion import Motion, MotionError
from nerfstudio_mobavatar.motion.joint_names import INDEX, NAMES
from nerfstudio_mobavatar.posing import edit
from nerfstudio_mobavatar.posing.edit import EditedPose
from nerfstudio_mobavatar.posing.ik import world_joints
from nerfstudio_mobavatar.posing.limits import LIMITS, from_angles, rotation_vector
from nerfstudio_mobavatar.trained_poses import TOLERANCE

from . import files
from .player import MotionPlayer
from .shape_tab import ShapeTab
from .sliders import Slider, Sliders
from .threads import start
from .views import stage_of

if TYPE_CHECKING:
    from .control import PoseControl

STATUS_SECONDS = 2.0
AXES = "xyz"
GROUP_OF = {name: group for group, names in edit.GROUPS.items() for name in names}


class Panel:
    """Handles of the panel, and what they do to the session."""

    def __init__(self, control: "PoseControl", viewer: Viewer) -> None:
        self.control, self._session, self.gui = control, control.session, viewer.viser_server.gui
        self._server, self._viewer = viewer.viser_server, viewer
        self.sliders = Sliders(self._say_status)
        self._pelvis: np.ndarray | None = None
        self.player = MotionPlayer(self._session, lambda: bool(self._server.get_clients()), self._played)
        # above nerfstudio's own tabs, below its line of numbers
        with self.gui.add_folder("Avatar", order=viewer.stats_markdown.order + 0.5):
            self.status = self.gui.add_markdown("")
            tabs = self.gui.add_tab_group()
        with tabs.add_tab("Pose"):
            self._pose_tab()
        with tabs.add_tab("Face, hands"):
            self._hands_and_face_tab()
        if len(control.shape.values):
            with tabs.add_tab("Shape"):
                self.shape_tab = ShapeTab(self)
        with tabs.add_tab("Motion"):
            self._motion_tab()
        with tabs.add_tab("Files"):
            self._files_tab()
        with tabs.add_tab("Look"):
            self._look_tab()
        self._say_status()
        self._stopped = threading.Event()
        start(threading.Thread(target=self._status_loop, name="avatar status"), self._stopped.set)

    def selected(self, joint: int) -> None:
        """Another joint was clicked: show its sliders."""
        self._joint = joint
        group = GROUP_OF[NAMES[joint]]
        if self.group.value != group:
            self.group.value = group
            self.joint.options = edit.GROUPS[group]
        if self.joint.value != NAMES[joint]:
            self.joint.value = NAMES[joint]
        self._joint_sliders()

    def changed(self) -> None:
        """The session shows another pose: sliders follow when it rests, the camera at once."""
        self._follow_pelvis()
        self.sliders.settle()

    # --- tabs -------------------------------------------------------------------------------------------------------

    def _pose_tab(self) -> None:
        gui = self.gui
        # not a group of buttons: viser 0.2.7 does not tell when the same one is pressed again
        for name in ("Undo", "Redo", "Mirror", "Rest"):
            gui.add_button(name, color="gray").on_click(lambda _, name=name: self._edit_button(name))
        follow = gui.add_button("Follow frames", hint="Show the capture's frames again; Undo brings the pose back")
        follow.on_click(lambda _: self._stop_and(self._session.follow_frames))
        self.bones = gui.add_checkbox("Skeleton", False, hint="Click a joint, then turn it by its rings")
        self.drag = gui.add_checkbox("Drag hands and feet", False, hint="Arrows at wrists, ankles and pelvis")
        for box in (self.bones, self.drag):
            box.on_update(lambda _: self._show_skeleton())
        self._joint = INDEX["left_elbow"]
        self.group = gui.add_dropdown("Part", tuple(edit.GROUPS), initial_value="left arm")
        self.joint = gui.add_dropdown("Joint", edit.GROUPS["left arm"], initial_value="left_elbow")
        self.group.on_update(self.by_hand(self._group_chosen))
        self.joint.on_update(self.by_hand(lambda: self.control._select(INDEX[self.joint.value])))
        self._angles_folder = gui.add_folder("Angles (degrees)")
        self._angle_handles: list[Any] = []
        self._joint_sliders()
        self._copy_row = gui.add_number("Frame to copy", 0, min=0, max=len(self.control.model.capture.frames) - 1)
        gui.add_button("Look at the person").on_click(lambda event: self.control.look(event.client))
        gui.add_button("Copy pose from frame").on_click(lambda _: self._stop_and(self._copy_frame))

    def _hands_and_face_tab(self) -> None:
        for side in ("left", "right"):
            self._slider(
                f"Curl {side}", (0.0, 1.0, 0.01),
                lambda e, side=side: float(
                    np.mean([edit.curl_of(self.control.skeleton(), e, side, f) for f in edit.FINGERS])
                ),
                lambda e, v, side=side: edit.curled(self.control.skeleton(), e, side, v),
            )  # fmt: skip
        self._angle_slider("Jaw", ("jaw",), 0)
        self._angle_slider("Eyes up and down", ("left_eye", "right_eye"), 0)
        self._angle_slider("Eyes left and right", ("left_eye", "right_eye"), 1)
        with self.gui.add_folder("Expression"):
            for i, (low, high) in enumerate(self._expression_ranges()):
                self._slider(
                    f"Expression {i + 1}", (low, high, 0.05),
                    lambda e, i=i: float(e.expression[i]), lambda e, v, i=i: _with_expression(e, i, v),
                )  # fmt: skip

    def _expression_ranges(self) -> list[tuple[float, float]]:
        """As far as training goes, zero included, in whole tenths: beyond it the avatar makes no new faces."""
        model = self.control.model
        seen = model.get_buffer("fit_expression")[model.get_buffer("train_rows")].cpu().numpy().astype(np.float64)
        low, high = np.floor(10 * seen.min(0)) / 10, np.ceil(10 * seen.max(0)) / 10
        return [(min(0.0, float(a)), max(0.1, float(b))) for a, b in zip(low, high)]

    def _motion_tab(self) -> None:
        gui, frames = self.gui, len(self.control.model.capture.frames)
        self.source = gui.add_markdown("")
        self._first = gui.add_number("First frame", 0, min=0, max=frames - 1)
        self._last = gui.add_number("Last frame", frames - 1, min=0, max=frames - 1)
        gui.add_button("Take training frames").on_click(lambda _: self._take_frames())
        self.motion_path = gui.add_text("Motion file", "", hint="A path on the machine that trains: .pose.json, .npz, "
                                        ".bvh, .pkl, .pt")  # fmt: skip
        gui.add_button("Load motion file").on_click(lambda event: self._guarded(event.client, self._load_motion_path))
        upload = gui.add_upload_button("Upload motion")
        upload.on_upload(
            lambda event: self._guarded(
                event.client, lambda: self._uploaded(upload.value.name, upload.value.content, True)
            )
        )
        gui.add_button("Play").on_click(lambda _: self.player.play())
        gui.add_button("Pause", color="gray").on_click(lambda _: self.player.pause())
        self._scrub_folder = gui.add_folder("Position")
        self.scrub: Slider | None = None
        speed = gui.add_slider("Speed", 0.1, 3.0, 0.1, 1.0)
        speed.on_update(lambda _: setattr(self.player, "speed", float(speed.value)))
        loop = gui.add_checkbox("Loop", True)
        loop.on_update(lambda _: setattr(self.player, "loop", bool(loop.value)))
        self.pin = gui.add_checkbox("Camera follows the pelvis", False)
        self.pin.on_update(lambda _: setattr(self, "_pelvis", self._pelvis_now()))
        self._take_frames()

    def _files_tab(self) -> None:
        gui = self.gui
        self.path = gui.add_text("Pose file", "avatar.pose.json", hint="A path on the machine that trains")
        gui.add_button("Save pose").on_click(lambda event: self._guarded(event.client, self.save))
        gui.add_button("Load pose").on_click(lambda event: self._guarded(event.client, self._load_pose_path))
        gui.add_button("Download pose").on_click(
            lambda event: self._guarded(event.client, lambda: self._send(event.client))
        )
        upload = gui.add_upload_button("Upload pose")
        upload.on_upload(
            lambda event: self._guarded(
                event.client, lambda: self._uploaded(upload.value.name, upload.value.content, False)
            )
        )

    def _look_tab(self) -> None:
        gui = self.gui
        gui.add_markdown("Parts, nodes, correctives and more: *Output type* in the tab *Control*.")
        follow = "clicked last"
        camera = gui.add_dropdown("Compare with", (follow, *self.control.capture_cameras()))

        def chosen() -> None:
            self.control.camera = None if camera.value == follow else camera.value
            self.control.rerender()

        camera.on_update(self.by_hand(chosen))

    # --- sliders ----------------------------------------------------------------------------------------------------

    def _slider(
        self, label: str, span: tuple[float, float, float], read: Callable[[EditedPose], float],
        write: Callable[[EditedPose, float], EditedPose],
    ) -> Any:  # fmt: skip
        """A slider that shows `read` of the pose and writes into it."""
        low, high, step = span

        def shown(edited: EditedPose) -> float:
            return float(np.clip(round(float(read(edited)), 2), low, high))  # beyond, a click beside its box moves it

        handle = self.gui.add_slider(label, low, high, step, shown(self._session.now()))

        def moved() -> None:
            value = float(handle.value)  # it may be told another one before the session has time
            self._stop_and(lambda: self._session.edit(lambda e: write(e, value), ("slider", label)))

        handle.on_update(self.by_hand(moved))
        self.sliders.add(handle, lambda: shown(self._session.now()))
        return handle

    def _angle_slider(self, label: str, joints: tuple[str, ...], axis: int) -> Any:
        """Degrees of joints that turn together, about one axis, in the range of the first."""
        first = INDEX[joints[0]]

        def write(edited: EditedPose, degrees: float) -> EditedPose:
            for name in joints:
                j = INDEX[name]
                angles = edit.degrees_of(edited, j)
                angles[axis] = degrees
                edited = edit.turned(edited, j, rotation_vector(from_angles(angles, LIMITS.bone[j])))
            return edited

        low, high = (max(-180.0, LIMITS.low[first][axis]), min(180.0, LIMITS.high[first][axis]))
        return self._slider(label, (low, high, 0.5), lambda e: float(edit.degrees_of(e, first)[axis]), write)

    def _joint_sliders(self) -> None:
        """Three angles of the selected joint in its own range. viser 0.2.7 cannot change a slider's range, so they are
        made anew."""
        with self.sliders.lock:
            self.sliders.remove(self._angle_handles)
            self._angle_handles = []
            with self._angles_folder:
                for axis in range(3):
                    label = f"{NAMES[self._joint].replace('_', ' ')} {AXES[axis]}"
                    self._angle_handles.append(self._angle_slider(label, (NAMES[self._joint],), axis))

    # --- actions ----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the pose that is shown to the path in the panel."""
        path = Path(self.path.value).expanduser()
        files.save_pose(path, self._session.now(), self.control.skeleton())

    def take(self, motion: Motion, what: str) -> None:
        """Give the player another motion."""
        self.player.load(motion)
        self.source.content = f"{what}: {len(motion)} frames, {motion.fps:g} per second"
        if self.scrub is not None:
            self.sliders.remove([self.scrub.handle])
        with self._scrub_folder:
            scrub = self.gui.add_slider("Frame of motion", 0, max(len(motion) - 1, 1), 1, 0)

        def moved() -> None:
            self.player.seek(int(scrub.value))
            self.sliders.settle()  # also where that frame was shown already

        scrub.on_update(self.by_hand(moved))
        self.scrub = self.sliders.add(scrub, lambda: self.player.row)

    def _take_frames(self) -> None:
        first, last = sorted((int(self._first.value), int(self._last.value)))
        rows = [self.control.frame_pose(row) for row in range(first, last + 1)]
        arrays = [np.stack([getattr(r, key) for r in rows]) for key in ("pose", "transl", "expression")]
        fps = self.control.model.capture.fps
        self.take(Motion(*arrays, fps=fps, up="y"), f"Training frames {first} to {last}")

    def _load(self, path: Path) -> Motion:
        control = self.control
        return files.load_motion(path, control.skeleton(), control.model.capture.up, control.hand_mean)

    def _load_motion_path(self) -> None:
        path = Path(self.motion_path.value).expanduser()
        self.take(self._load(path), path.name)

    def _load_pose_path(self) -> None:
        self._show_first(self._load(Path(self.path.value).expanduser()))

    def _show_first(self, motion: Motion) -> None:
        self._stop_and(lambda: self._session.edit(lambda e: files.frame_of(motion, 0, e)))

    def _uploaded(self, name: str, content: bytes, is_motion: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(content)
            motion = self._load(path)
        self.take(motion, path.name) if is_motion else self._show_first(motion)

    def _send(self, client: viser.ClientHandle | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "avatar.pose.json"
            files.save_pose(path, self._session.now(), self.control.skeleton())
            if client is not None:
                client.send_file_download(path.name, path.read_bytes())

    def _guarded(self, client: viser.ClientHandle | None, action: Callable[[], None]) -> None:
        """Do it, and tell the tab that asked when a file cannot be used."""
        try:
            action()
        except (MotionError, OSError) as error:
            if client is not None:
                client.add_notification("Not done", str(error), color="red")

    def _edit_button(self, name: str) -> None:
        actions: dict[str, Callable[[], Any]] = {
            "Undo": self._session.undo,
            "Redo": self._session.redo,
            "Mirror": lambda: self._session.edit(edit.mirrored),
            "Rest": lambda: self._session.edit(_rest),
        }
        self._stop_and(actions[name])

    def _stop_and(self, action: Callable[[], Any]) -> None:
        """Posing by hand ends the motion."""
        self.player.pause()
        action()

    def _copy_frame(self) -> None:
        row = int(self._copy_row.value)
        self._session.edit(lambda _: self.control.frame_pose(row))

    def _group_chosen(self) -> None:
        self.joint.options = edit.GROUPS[self.group.value]
        self.control._select(INDEX[edit.GROUPS[self.group.value][0]])

    def _show_skeleton(self) -> None:
        if self.bones.value or self.drag.value:
            # the bones lie inside the body, which would hide them
            self._viewer.control_panel._layer_depth.value = False
        self.control.skeleton_scene.show(self.bones.value, self.drag.value)
        if self.bones.value:
            self.control.skeleton_scene.select(self._joint)

    def _played(self, row: int) -> None:
        if self.scrub is not None and int(self.scrub.handle.value) != row:
            self.scrub.tell(row)

    def _follow_pelvis(self) -> None:
        if not self.pin.value:
            return
        at = self._pelvis_now()
        before, self._pelvis = self._pelvis, at
        if before is not None and not np.allclose(before, at, atol=1e-5):
            self.control.move_cameras(at - before)

    def _pelvis_now(self) -> np.ndarray:
        edited = self._session.now()
        return world_joints(self.control.skeleton(), edited.pose, edited.transl)[1][0]

    def _say_status(self) -> None:
        state = self.control.training_state()
        model, losses = state["model"], state["losses"]
        by_hand = self._session.shown is not None
        lines = [
            "**Posed by hand**" if by_hand else f"Frame {self.control.frame_row()}",
            f"Step {model.step:,}, {stage_of(model)}",
            self._beyond() if by_hand else "",
            ", ".join(f"{name} {value:.4f}" for name, value in losses.items()),
            model.pruning_report.describe() if model.pruning_report is not None else "",
        ]
        text = "  \n".join(line for line in lines if line)
        if text != self.status.content:
            self.status.content = text

    def _beyond(self) -> str:
        """Regions of the body whose pose is unlike any of training, in words."""
        now, like = self._session.now(), self.control.model.get_buffer("fit_pose")
        given = (torch.from_numpy(x).to(like) for x in (now.pose, now.expression))
        distance = self.control.model.pose_distance(*given)
        far = sorted(((d, name) for name, d in distance.items() if d > TOLERANCE), reverse=True)
        found = ", ".join(f"{name} {np.degrees(d):.0f}°" for d, name in far)
        return f"Beyond training: {found}" if found else "Within what training saw"

    def _status_loop(self) -> None:
        while not self._stopped.wait(STATUS_SECONDS):
            if self._server.get_clients():
                self._say_status()

    def by_hand(self, action: Callable[[], Any]) -> Callable[[viser.GuiEvent], None]:
        """A callback for what a browser did, not for what the server set."""

        def callback(event: viser.GuiEvent) -> None:
            if event.client is not None:
                action()

        return callback


def _with_expression(edited: EditedPose, i: int, value: float) -> EditedPose:
    expression = edited.expression.copy()
    expression[i] = value
    return EditedPose(edited.pose, edited.transl, expression)


def _rest(edited: EditedPose) -> EditedPose:
    """Arms out, standing where and facing as now."""
    pose = np.zeros_like(edited.pose)
    pose[0] = edited.pose[0]
    return EditedPose(pose, edited.transl, np.zeros_like(edited.expression))
