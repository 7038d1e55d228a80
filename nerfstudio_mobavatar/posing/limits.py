"""How far joints turn, and turning a rotation back into its range.

A rotation is split into `swing * twist`: the twist turns about the bone (of the rest pose: arms and fingers along x,
legs, spine and head along y), the swing tilts it. The range of a joint is a box in degrees: the twist angle on the
bone's axis, the swing's rotation vector on the two others. The numbers are round ones near the ranges of motion in
textbooks (elbow 150 degrees, knee 140, hip 120 forwards); they keep a dragged pose human, they diagnose nobody.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.motion.joint_names import INDEX, NAMES

X, Y = 0, 1
_LEFT_AND_MIDDLE: dict[str, tuple[int, tuple[int, int, int], tuple[int, int, int]]] = {
    "hip": (Y, (-125, -45, -30), (30, 45, 60)),
    "knee": (Y, (0, -20, -10), (140, 20, 10)),
    "ankle": (Y, (-30, -30, -25), (55, 30, 25)),
    "foot": (Y, (-45, -5, -5), (30, 5, 5)),
    "collar": (X, (-20, -25, -15), (20, 25, 40)),
    "shoulder": (X, (-90, -135, -100), (90, 45, 110)),
    "elbow": (X, (-90, -150, -25), (90, 0, 25)),
    "wrist": (X, (-40, -30, -80), (40, 30, 80)),
    "spine1": (Y, (-20, -30, -25), (40, 30, 25)),
    "spine2": (Y, (-20, -30, -25), (40, 30, 25)),
    "spine3": (Y, (-20, -30, -25), (40, 30, 25)),
    "neck": (Y, (-35, -45, -30), (40, 45, 30)),
    "head": (Y, (-30, -45, -25), (35, 45, 25)),
    "jaw": (Y, (0, -8, -4), (30, 8, 4)),
    "eye": (Y, (-30, -35, -1), (30, 35, 1)),
    "finger": (X, (-15, -20, -100), (15, 20, 25)),
    "thumb": (X, (-60, -60, -60), (60, 60, 60)),
}
"""Bone axis, lowest and highest degrees about x, y, z. The right side is the left one mirrored at x = 0."""


@dataclass(frozen=True)
class Limits:
    """Ranges of all joints, degrees. The pelvis turns freely."""

    bone: tuple[int, ...]
    """[55] axis of the bone in the rest pose: 0 is x, 1 is y."""
    low: Float[ndarray, "55 3"]
    high: Float[ndarray, "55 3"]


def _range(name: str) -> tuple[int, tuple[int, int, int], tuple[int, int, int]]:
    if name == "pelvis":
        return Y, (-360, -360, -360), (360, 360, 360)
    side, _, word = name.partition("_")
    word = word or name
    if word[-1].isdigit() and not word.startswith("spine"):
        word = "thumb" if word.startswith("thumb") else "finger"
    bone, low, high = _LEFT_AND_MIDDLE[word]
    if side == "right":
        low, high = (low[0], -high[1], -high[2]), (high[0], -low[1], -low[2])
    return bone, low, high


def joint_limits() -> Limits:
    """The ranges of every joint by SMPL-X's order."""
    rows = [_range(name) for name in NAMES]
    return Limits(
        tuple(bone for bone, _, _ in rows),
        np.array([low for _, low, _ in rows], np.float64),
        np.array([high for _, _, high in rows], np.float64),
    )


LIMITS = joint_limits()
HINGES: dict[int, tuple[int, int, int]] = {
    INDEX["left_elbow"]: (0, -1, 0),
    INDEX["right_elbow"]: (0, 1, 0),
    INDEX["left_knee"]: (1, 0, 0),
    INDEX["right_knee"]: (1, 0, 0),
}
"""Axis about which a straight elbow or knee bends, in the frame of the bone above it."""


def swing_twist(q: Float[ndarray, " 4"], bone: int) -> tuple[Float[ndarray, " 4"], Float[ndarray, " 4"]]:
    """`q = swing * twist` of a unit quaternion (wxyz), the twist about a coordinate axis, with w >= 0 both. At a swing
    of half a turn, where the twist is anything, it is zero."""
    twist = np.zeros(4)
    twist[0], twist[1 + bone] = q[0], q[1 + bone]
    length = np.linalg.norm(twist)
    twist = np.array([1.0, 0, 0, 0]) if length < 1e-9 else twist / length
    if twist[0] < 0:
        twist = -twist
    swing = multiply(q, conjugate(twist))
    return (-swing if swing[0] < 0 else swing), twist


def angles(q: Float[ndarray, " 4"], bone: int) -> Float[ndarray, " 3"]:
    """Degrees of a unit quaternion (wxyz) as `Limits` counts them."""
    swing, twist = swing_twist(q, bone)
    out = rotation_vector(swing)
    out[bone] = rotation_vector(twist)[bone]
    return np.degrees(out)


def from_angles(degrees: Float[ndarray, " 3"], bone: int) -> Float[ndarray, " 4"]:
    """Inverse of `angles`."""
    swing, twist = np.radians(degrees), np.zeros(3)
    twist[bone], swing[bone] = swing[bone], 0.0
    return multiply(quaternion(swing), quaternion(twist))


def excess(q: Float[ndarray, " 4"], bone: int, low: Float[ndarray, " 3"], high: Float[ndarray, " 3"]) -> float:
    """Degrees by which a rotation leaves its range: the length of what would have to be taken off."""
    found = angles(q, bone)
    return float(np.linalg.norm(found - np.clip(found, low, high)))


def limited(
    q: Float[ndarray, " 4"], bone: int, low: Float[ndarray, " 3"], high: Float[ndarray, " 3"]
) -> Float[ndarray, " 4"]:
    """The rotation brought into its range; one that is inside comes back as it is."""
    found = angles(q, bone)
    inside = np.clip(found, low, high)
    return q if (found == inside).all() else from_angles(inside, bone)


def widened(joint: int, q: Float[ndarray, " 4"]) -> tuple[Float[ndarray, " 3"], Float[ndarray, " 3"]]:
    """Range of a joint (degrees), with what it holds already: nobody's captured pose may snap when it is touched."""
    held = angles(q, LIMITS.bone[joint])
    return np.minimum(LIMITS.low[joint], held), np.maximum(LIMITS.high[joint], held)


def quaternion(vector: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n 4"]:
    """Unit quaternions (wxyz) of axis-angles, radians."""
    return Rotation.from_rotvec(vector).as_quat()[..., [3, 0, 1, 2]]


def rotation_vector(q: Float[ndarray, " 4"]) -> Float[ndarray, " 3"]:
    """Shortest axis-angle of a unit quaternion (wxyz), radians."""
    return Rotation.from_quat(np.asarray(q)[[1, 2, 3, 0]]).as_rotvec()


def multiply(p: Float[ndarray, " 4"], q: Float[ndarray, " 4"]) -> Float[ndarray, " 4"]:
    """`p q`: first q, then p."""
    a, b, c, d = p
    w, x, y, z = q
    return np.array(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ]
    )


def conjugate(q: Float[ndarray, " 4"]) -> Float[ndarray, " 4"]:
    return q * np.array([1.0, -1, -1, -1])


def turn(q: Float[ndarray, " 4"], v: Float[ndarray, " 3"]) -> Float[ndarray, " 3"]:
    """A vector turned by a unit quaternion."""
    return multiply(multiply(q, np.array([0.0, *v])), conjugate(q))[1:]


def between(a: Float[ndarray, " 3"], b: Float[ndarray, " 3"], spare: Float[ndarray, " 3"]) -> Float[ndarray, " 4"]:
    """The smallest rotation (wxyz) that takes the unit vector a to b; about `spare` (made perpendicular to a) where
    they are opposite."""
    w = 1.0 + a @ b
    if w < 1e-6:
        axis = spare - (spare @ a) * a
        length = np.linalg.norm(axis)
        return np.array([0.0, *(axis / length)]) if length > 1e-6 else np.array([0.0, *_any_normal(a)])
    q = np.array([w, *np.cross(a, b)])
    return q / np.linalg.norm(q)


def _any_normal(a: Float[ndarray, " 3"]) -> Float[ndarray, " 3"]:
    other = np.eye(3)[np.argmin(np.abs(a))]
    normal = np.cross(a, other)
    return normal / np.linalg.norm(normal)


def nearest_vector(q: Float[ndarray, " 4"], before: Float[ndarray, " 3"]) -> Float[ndarray, " 3"]:
    """Axis-angle of a rotation in the numbers nearest to those of a moment before. One rotation has many axis-angles,
    2 pi apart, and the avatar's networks see the numbers: they must not jump while a joint turns through half a turn.
    """
    short = rotation_vector(q)
    angle = np.linalg.norm(short)
    if angle < 1e-9:
        # the identity: whole turns about the old axis
        turns = np.linalg.norm(before)
        return before / turns * 2 * np.pi * round(turns / (2 * np.pi)) if turns > np.pi else short
    along = float(short @ before) / angle
    return short * ((angle + 2 * np.pi * round((along - angle) / (2 * np.pi))) / angle)
