"""Seeded goldens for landmarks of a camera: what MediaPipe would say of known poses, and the poses made of it.

Run `python -m tests.goldens.make_landmarks` after a deliberate change of nerfstudio_mobavatar/posing; a test compares
the file with what this prints, and the page's tests hold the TypeScript twins to it.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.edit import FINGERS, EditedPose
from nerfstudio_mobavatar.posing.ik import Skeleton, world_joints
from nerfstudio_mobavatar.posing.landmarks import (
    AXES,
    FINGER_ROOTS,
    MARKS,
    NOSE_DOWN_DEG,
    Landmarks,
    facing,
    flipped,
    retargeted,
)
from nerfstudio_mobavatar.posing.limits import conjugate, turn
from nerfstudio_mobavatar.posing.smoothing import OneEuro

from .make_posing import DECIMALS, _rounded, random_pose, skeleton

GOLDEN = Path(__file__).with_name("landmarks.json")
EAR_M, NOSE_M = 0.075, 0.11
CASES = 6


def marks_of(
    body: Skeleton, edited: EditedPose, stands: np.ndarray, hands: bool = True, face: bool = True
) -> Landmarks:
    """The landmarks of a pose as a perfect landmarker would see them, by somebody who stands like `stands` before its
    camera. All are seen."""
    q, t = world_joints(body, edited.pose, edited.transl)
    back = conjugate(stands)
    centre = 0.5 * (t[INDEX["left_hip"]] + t[INDEX["right_hip"]])
    seen = lambda points, origin: np.array([turn(back, x - origin) for x in points]) * AXES  # noqa: E731
    head, at = INDEX["head"], {name: t[INDEX[name]] for name in MARKS if name in INDEX}
    of_head = lambda x, y, z: t[head] + turn(q[head], np.array([x, y, z], np.float64))  # noqa: E731
    down = np.radians(NOSE_DOWN_DEG)
    at |= {"left_ear": of_head(EAR_M, 0, 0), "right_ear": of_head(-EAR_M, 0, 0)}
    at["nose"] = of_head(0, -NOSE_M * np.sin(down), NOSE_M * np.cos(down))
    for side in ("left", "right"):
        at |= {f"{side}_{finger}": t[INDEX[f"{side}_{finger}1"]] for finger in ("index", "pinky")}
    points = np.zeros((33, 3))
    for name, number in MARKS.items():
        points[number] = at[name] - centre
    found: dict[str, Any] = {}
    for side in ("left", "right"):
        wrist = INDEX[f"{side}_wrist"]
        hand = np.zeros((21, 3))
        for finger in FINGERS:
            j = [INDEX[f"{side}_{finger}{i}"] for i in (1, 2, 3)]
            tip = t[j[2]] + turn(q[j[2]], body.rest[j[2]] - body.rest[j[1]])
            hand[FINGER_ROOTS[finger] : FINGER_ROOTS[finger] + 4] = [*t[j], tip]
        hand[0] = t[wrist]
        found[f"{side}_hand"] = seen(hand, hand.mean(0)) if hands else None
    if face:
        found["face"] = seen(
            [of_head(*x) for x in ((EAR_M, 0, 0), (-EAR_M, 0, 0), (0, 0.1, 0.05), (0, -0.1, 0.05))], t[head]
        )
    return Landmarks(np.array([turn(back, x) for x in points]) * AXES, np.ones(33), **found)


def _marks_json(marks: Landmarks) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in vars(marks).items():
        out[name] = value if value is None or isinstance(value, float) else _rounded(value)
    return out


def goldens() -> dict[str, Any]:
    """Skeleton; cases of landmarks, pose before and pose after; a filtered series."""
    rng, body, cases = np.random.default_rng(20261127), skeleton(), []
    before = random_pose(rng, 0.3)
    for i in range(CASES):
        shown = random_pose(rng, 0.5)
        # standing any way round, in worlds whose y or z is up
        stands = facing(before.pose[0] if i % 2 else np.array([1.5, 0.1, 0.05]))
        marks = marks_of(body, shown, stands, hands=i % 3 != 1, face=i % 3 != 2)
        visibility = np.round(rng.uniform(0.1, 1.0, 33), DECIMALS) if i >= 2 else np.ones(33)
        marks = replace(marks, visibility=visibility)
        if i % 2:
            eyes = np.round(rng.uniform(-1, 1, (2, 2)), DECIMALS)
            marks = replace(marks, jaw=0.4, eyes=eyes)
        rounded = {k: np.round(v, DECIMALS) for k, v in vars(marks).items() if isinstance(v, np.ndarray)}
        marks = replace(marks, **rounded)
        after = retargeted(body, marks, before, stands)
        state = {"pose": _rounded(after.pose), "transl": _rounded(after.transl)}
        cases.append(
            {
                "marks": _marks_json(marks),
                "before": {"pose": _rounded(before.pose), "transl": _rounded(before.transl)},
                "facing_of": _rounded(before.pose[0] if i % 2 else np.array([1.5, 0.1, 0.05])),
                "stands": _rounded(stands),
                "after": state,
                "flipped": _marks_json(flipped(marks)),
            }
        )
    smooth, series = OneEuro(), []
    for i in range(40):
        x = np.round(np.array([np.sin(0.2 * i), 0.05 * rng.normal()]), DECIMALS)
        seconds = round(i / 30 + (2.0 if i >= 30 else 0.0), DECIMALS)
        series.append({"x": x.tolist(), "seconds": seconds, "smooth": _rounded(smooth(x, seconds))})
    bodies = {"rest": _rounded(body.rest), "parent": list(body.parents)}
    return {"skeleton": bodies, "cases": cases, "series": series}


def text() -> str:
    """The golden file."""
    return json.dumps(goldens(), separators=(",", ":")) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(text())
