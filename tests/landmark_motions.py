"""How well the retargeting of landmarks gives back motions that are known: a test's and a benchmark's measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.motion import MotionOptions, read_motion
from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.edit import EditedPose
from nerfstudio_mobavatar.posing.ik import world_joints
from nerfstudio_mobavatar.posing.landmarks import facing, retargeted
from nerfstudio_mobavatar.posing.limits import conjugate, multiply, quaternion, rotation_vector
from nerfstudio_mobavatar.posing.smoothing import Smoother
from nerfstudio_mobavatar.viewer.files import rig_of

from .goldens.make_landmarks import marks_of
from .goldens.make_posing import skeleton

BONES = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"))
]
TOLD = [
    j for name, j in INDEX.items() if j < 22 and not name.endswith(("collar", "_foot")) and not name.startswith("spine")
]
"""Joints of the body of which landmarks tell; a spine of three is told as a whole only."""
Frames = list[tuple[EditedPose, EditedPose]]


@dataclass(frozen=True)
class Recovery:
    """Errors over many frames."""

    frames: int
    bone_deg_median: float
    """Angle between a limb's bone as it was and as it came back, both relative to the pelvis."""
    bone_deg_p95: float
    joint_deg_median: float
    """Rotation between a joint as it was and as it came back, relative to its parent."""
    joint_deg_p95: float
    joint_cm_median: float
    """Distance of a joint from where it was, pelvis on pelvis."""
    bone_shake_deg_median: float
    """How much a bone's error changes from one frame to the next."""

    @staticmethod
    def of(motions: Sequence[Frames]) -> "Recovery":
        body = skeleton()
        bones, joints, places, wrong = [], [], [], []
        for true, found in (pair for frames in motions for pair in frames):
            directions = np.zeros((len(BONES), 3))
            (_, a), (_, b) = (world_joints(body, e.pose, np.zeros(3)) for e in (true, found))
            for i, (start, end) in enumerate(BONES):
                u, v = (t[INDEX[end]] - t[INDEX[start]] for t in (a, b))
                u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
                bones.append(np.degrees(np.arccos(min(float(u @ v), 1.0))))
                directions[i] = v - u
            wrong.append(directions)
            for j in TOLD:
                way = multiply(conjugate(quaternion(true.pose[j])), quaternion(found.pose[j]))
                joints.append(np.degrees(np.linalg.norm(rotation_vector(way))))
            places += list(100 * np.linalg.norm(a[:22] - b[:22], axis=1))
        at = lambda values, share: round(float(np.percentile(values, share)), 2)  # noqa: E731
        counts = [len(frames) for frames in motions]
        steps = [np.diff(e, axis=0) for e in np.split(np.array(wrong), np.cumsum(counts)[:-1])]
        shake = np.degrees(np.linalg.norm(np.concatenate(steps), axis=2))
        errors = (at(bones, 50), at(bones, 95), at(joints, 50), at(joints, 95), at(places, 50), at(shake, 50))
        return Recovery(sum(counts), *errors)


@dataclass(frozen=True)
class Seen:
    """How badly a camera sees landmarks."""

    tremor_m: float = 0.0
    """Standard deviation of what is new in every frame."""
    drift_m: float = 0.0
    """Of what comes and goes within `DRIFT_S`, as a landmark model errs: no filter can know it from movement."""
    hidden: float = 0.0
    """Share of the landmarks."""


DRIFT_S = 0.5


def recovered(
    path: Path, every: int, seen: Seen = Seen(), smooth: bool = False, most: int = 10**9
) -> Frames:  # fmt: skip
    """Poses of a motion file and what came back from their landmarks, one after another as a camera would see them;
    smoothed or not; `most` frames."""
    body, rng, smoother = skeleton(), np.random.default_rng(1), Smoother()
    motion = read_motion(path, rig_of(body), MotionOptions(target_up="y"))[0]
    kept = np.exp(-every / motion.fps / DRIFT_S)
    drift = rng.normal(size=(75, 3))
    stands = facing(np.zeros(3))
    now = _row(motion, 0)
    frames = []
    for row in range(0, len(motion), every)[:most]:
        true = _row(motion, row)
        marks = marks_of(body, true, stands, face=False)
        drift = kept * drift + np.sqrt(1 - kept * kept) * rng.normal(size=(75, 3))
        noise = seen.tremor_m * rng.normal(size=(75, 3)) + seen.drift_m * drift
        marks.body[:] += noise[:33]
        for hand, part in ((marks.left_hand, noise[33:54]), (marks.right_hand, noise[54:])):
            assert hand is not None
            hand += 0.2 * part  # hands are seen from a crop of their own
        marks.visibility[rng.random(33) < seen.hidden] = 0.0
        if smooth:
            marks = smoother(marks, row / motion.fps)
        now = retargeted(body, marks, now, stands)
        frames.append((true, now))
    return frames


def _row(motion, row: int) -> EditedPose:
    return EditedPose(motion.pose[row], motion.transl[row], motion.expression[row])
