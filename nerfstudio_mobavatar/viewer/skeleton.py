"""The skeleton drawn into the scene, and the gizmos that turn and drag it. Written for viser 0.2.7.

viser's scene tree does the kinematics: every joint is a node below its parent with the pose's local rotation, its
bones are meshes that never change. Gizmos lie in the world.
"""

import threading
import time
from collections.abc import Callable

import numpy as np
import viser
from jaxtyping import Float, Int, UInt32
from numpy import ndarray

from nerfstudio_mobavatar.motion.joint_names import NAMES
from nerfstudio_mobavatar.posing.edit import EditedPose, moved_pelvis, turned
from nerfstudio_mobavatar.posing.ik import LIMBS, Skeleton, reach, world_joints
from nerfstudio_mobavatar.posing.limits import conjugate, multiply, quaternion, rotation_vector

from .session import GESTURE_SECONDS, PoseSession
from .threads import start

VISER_PER_METRE = 10.0
"""nerfstudio's viewer shows the world ten times as large."""
ROOT = "/avatar"
BONE_COLOUR, SELECTED_COLOUR = (150, 200, 255), (255, 170, 60)
JOINT_RADIUS_M, FINGER_RADIUS_M = 0.014, 0.005
FIRST_FINGER = 25


def bone_mesh(skeleton: Skeleton, joint: int) -> tuple[Float[ndarray, "v 3"], UInt32[ndarray, "f 3"]]:
    """A joint's ball (an octahedron) and slender bones to its children, in viser units and the joint's own frame."""
    radius = FINGER_RADIUS_M if joint >= FIRST_FINGER - 3 else JOINT_RADIUS_M
    pieces = [_octahedron(np.zeros(3), np.array([0, radius, 0]), radius, np.array([0, -radius, 0]))]
    for child, parent in enumerate(skeleton.parents):
        if parent == joint:
            bone = skeleton.rest[child] - skeleton.rest[joint]
            length = float(np.linalg.norm(bone))
            if length > 2 * radius:
                pieces.append(_octahedron(0.15 * bone, bone, min(0.5 * radius, 0.1 * length), np.zeros(3)))
    vertices = np.concatenate([v for v, _ in pieces]) * VISER_PER_METRE
    faces = np.concatenate([f + 6 * i for i, (_, f) in enumerate(pieces)])
    return vertices.astype(np.float32), faces.astype(np.uint32)


def _octahedron(
    middle: Float[ndarray, " 3"], top: Float[ndarray, " 3"], radius: float, bottom: Float[ndarray, " 3"]
) -> tuple[Float[ndarray, "6 3"], Int[ndarray, "8 3"]]:
    axis = (top - bottom) / np.linalg.norm(top - bottom)
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    side *= radius / np.linalg.norm(side)
    other = np.cross(axis, side)
    ring = [middle + side, middle + other, middle - side, middle - other]
    faces = [[i, (i + 1) % 4, 4] for i in range(4)] + [[(i + 1) % 4, i, 5] for i in range(4)]
    return np.array([*ring, top, bottom]), np.array(faces)


class SkeletonScene:
    """Draws `session.now()` and hands what is dragged back to the session."""

    def __init__(
        self,
        server: viser.ViserServer,
        session: PoseSession,
        skeleton: Callable[[], Skeleton],
        selected: Callable[[int], None],
    ) -> None:
        """`skeleton` is read again at every redraw (a refined fit changes it); `selected` hears of clicked joints."""
        self._server, self._session, self._skeleton, self._tell_selected = server, session, skeleton, selected
        self._lock = threading.RLock()
        self._drawn: Skeleton | None = None
        self._joints: list[viser.MeshHandle] = []
        self._turns = np.zeros((0, 4))
        """Rotation (wxyz) of every joint as the browsers have it."""
        self.joint = 0
        self._dragged: tuple[object, float] = (None, 0.0)
        self._settling: threading.Timer | None = None
        scene = server.scene
        self._root = scene.add_frame(f"{ROOT}/skeleton", show_axes=False, visible=False)
        self.gizmo = scene.add_transform_controls(
            f"{ROOT}/turn",
            scale=2.5,
            line_width=4.0,
            disable_axes=True,
            disable_sliders=True,
            depth_test=False,
            visible=False,
        )
        self.gizmo.on_update(lambda _: self._turn())
        self.handles = {
            name: scene.add_transform_controls(
                f"{ROOT}/drag_{name}",
                scale=1.8,
                line_width=4.0,
                disable_sliders=True,
                disable_rotations=True,
                depth_test=False,
                visible=False,
            )
            for name in (*LIMBS, "pelvis")
        }
        for name, handle in self.handles.items():
            handle.on_update(lambda _, name=name: self._drag(name))

    def show(self, bones: bool, handles: bool) -> None:
        """Bones with the gizmo of the selected joint; handles of hands, feet and pelvis."""
        with self._lock:
            self.sync()
            self._root.visible = self.gizmo.visible = bones
            for handle in self.handles.values():
                handle.visible = handles

    def select(self, joint: int) -> None:
        """Give the gizmo to another joint."""
        with self._lock:
            before, self.joint = self.joint, joint
            if self._drawn is not None and before != joint:
                for j in (before, joint):
                    self._draw_joint(self._drawn, j)
            self._dragged = (None, 0.0)
            self.sync()

    def sync(self) -> None:
        """Bring bones and gizmos to the pose; a gizmo that is being dragged stays under its mouse until it rests."""
        with self._lock:
            skeleton, edited = self._skeleton(), self._session.now()
            if self._drawn is None or not np.array_equal(self._drawn.rest, skeleton.rest):
                self._draw(skeleton)
            q, t = world_joints(skeleton, edited.pose, edited.transl)
            self._root.position = tuple(VISER_PER_METRE * edited.transl)
            turns = quaternion(edited.pose)
            for j in np.flatnonzero(np.abs(turns - self._turns).max(1) > 1e-6):
                self._joints[j].wxyz = turns[j]
                self._turns[j] = turns[j]
            held, when = self._dragged
            held = held if self._session.is_pressed or time.monotonic() - when < GESTURE_SECONDS else None
            if held != "turn":
                _put(self.gizmo, q[self.joint], VISER_PER_METRE * t[self.joint])
            for name, handle in self.handles.items():
                if held != name:
                    j = LIMBS[name].end if name in LIMBS else 0
                    _put(handle, None, VISER_PER_METRE * t[j])

    def _draw(self, skeleton: Skeleton) -> None:
        self._drawn, self._joints, self._turns = skeleton, [], np.zeros((len(skeleton.parents), 4))
        for j in range(len(skeleton.parents)):
            self._joints.append(self._draw_joint(skeleton, j))

    def _draw_joint(self, skeleton: Skeleton, j: int) -> viser.MeshHandle:
        up = skeleton.parents[j]
        at = skeleton.rest[j] - (skeleton.rest[up] if up >= 0 else np.zeros(3))
        vertices, faces = bone_mesh(skeleton, j)
        self._turns[j] = quaternion(self._session.now().pose[j])
        mesh = self._server.scene.add_mesh_simple(
            _path(skeleton, j),
            vertices,
            faces,
            color=SELECTED_COLOUR if j == self.joint else BONE_COLOUR,
            flat_shading=True,
            side="double",
            wxyz=tuple(self._turns[j]),
            position=VISER_PER_METRE * at,
        )
        mesh.on_click(lambda _: self._tell_selected(j))
        if j < len(self._joints):
            self._joints[j] = mesh
        return mesh

    def _turn(self) -> None:
        joint, wanted = self.joint, np.array(self.gizmo.wxyz, np.float64)

        def change(edited: EditedPose) -> EditedPose:
            skeleton = self._skeleton()
            q = world_joints(skeleton, edited.pose, edited.transl)[0]
            up = skeleton.parents[joint]
            local = multiply(conjugate(q[up]), wanted) if up >= 0 else wanted
            return turned(edited, joint, rotation_vector(local))

        self._move("turn", change, ("turn", joint))

    def _drag(self, name: str) -> None:
        target = np.array(self.handles[name].position, np.float64) / VISER_PER_METRE

        def change(edited: EditedPose) -> EditedPose:
            skeleton = self._skeleton()
            if name in LIMBS:
                return edited.with_pose(reach(skeleton, edited.pose, edited.transl, LIMBS[name], target))
            return moved_pelvis(skeleton, edited, target - skeleton.rest[0])

        self._move(name, change, name)

    def _move(self, held: object, change: Callable[[EditedPose], EditedPose], handle: object) -> None:
        """`change` knows where the gizmo is now: it may be put back onto its joint before the session has time."""
        self._dragged = (held, time.monotonic())
        self._session.edit(change, handle)
        with self._lock:
            if self._settling is not None:
                self._settling.cancel()
            # moves may arrive after the pointer is up: the gizmo goes back onto its joint once they have ended
            self._settling = threading.Timer(GESTURE_SECONDS + 0.05, self.sync)
            start(self._settling, self._settling.cancel)


def _path(skeleton: Skeleton, joint: int) -> str:
    names = []
    while joint >= 0:
        names.append(NAMES[joint])
        joint = skeleton.parents[joint]
    return "/".join([f"{ROOT}/skeleton", *reversed(names)])


def _put(
    handle: viser.SceneNodeHandle, wxyz: Float[ndarray, " 4"] | None, position: Float[ndarray, " 3"] | None
) -> None:
    """Set what has changed; every assignment is a message to all browsers."""
    if wxyz is not None and not np.allclose(handle.wxyz, wxyz, atol=1e-6):
        handle.wxyz = wxyz
    if position is not None and not np.allclose(handle.position, position, atol=1e-5):
        handle.position = position
