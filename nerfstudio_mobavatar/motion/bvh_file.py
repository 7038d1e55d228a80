"""BVH as text: a strict parser and a writer. Degrees and any length unit, as in the file.

Own code, about a hundred lines: pybvh 0.9 (MIT, the best kept one on PyPI in 2026) asks to be pinned while it is 0.x,
brings matplotlib, and refuses joints with position channels, which exporters of animation programs write.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from .load import check_size
from .types import MAX_FRAMES, MotionError

MAX_JOINTS = 2000
MAX_NAME = 200
"""Characters of a joint's name, which messages repeat."""
WRITE_ORDER = "ZXY"


@dataclass(frozen=True)
class BvhJoint:
    """One joint; `channels` such as ("Xposition", ..., "Zrotation"), in the order of the numbers in a frame."""

    name: str
    parent: int
    offset: tuple[float, float, float]
    channels: tuple[str, ...]
    end: tuple[float, float, float] | None = None
    """Offset of its end site."""


@dataclass(frozen=True)
class Bvh:
    """A whole file."""

    joints: tuple[BvhJoint, ...]
    """Parents before children."""
    frame_seconds: float
    values: Float[ndarray, "t channels"]

    def rest(self) -> Float[ndarray, "j 3"]:
        """Joints of the rest pose, the root at the origin."""
        out = np.zeros((len(self.joints), 3))
        for j, joint in enumerate(self.joints):
            if joint.parent >= 0:
                out[j] = out[joint.parent] + joint.offset
        return out

    def rotations(self) -> list[Rotation]:
        """Per joint the rotations [t] relative to its parent."""
        out, column = [], 0
        for joint in self.joints:
            columns = [column + i for i, c in enumerate(joint.channels) if c.endswith("rotation")]
            order = "".join(c[0] for c in joint.channels if c.endswith("rotation"))
            degrees = self.values[:, columns]
            out.append(
                Rotation.from_euler(order, degrees, degrees=True) if order else Rotation.identity(len(self.values))
            )
            column += len(joint.channels)
        return out

    def root_positions(self) -> Float[ndarray, "t 3"] | None:
        """Position channels of the root; None where it has none."""
        names = self.joints[0].channels
        if not {"Xposition", "Yposition", "Zposition"} <= set(names):
            return None
        return self.values[:, [names.index(f"{axis}position") for axis in "XYZ"]]


class _Tokens:
    """The file's words with their line numbers."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.words = [(word, n) for n, line in enumerate(text.splitlines(), 1) for word in line.split()]
        self.at = 0

    def take(self, expected: str | None = None) -> str:
        if self.at >= len(self.words):
            raise MotionError(f"{self.path}: expected {expected or 'more'}, found the end of the file; copy it again.")
        word, line = self.words[self.at]
        if expected is not None and word.upper() != expected.upper():
            raise MotionError(f"{self.path}: expected '{expected}' in line {line}, found '{word[:40]}'.")
        self.at += 1
        return word

    def number(self, what: str) -> float:
        word = self.take()
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            line = self.words[self.at - 1][1]
            raise MotionError(f"{self.path}: expected a number ({what}) in line {line}, found '{word[:40]}'.")
        return value

    def vector(self, what: str) -> tuple[float, float, float]:
        return self.number(what), self.number(what), self.number(what)


def parse(path: Path) -> Bvh:
    """Read a file with one root; raises `MotionError` naming the line."""
    check_size(path)
    head, separator, motion = path.read_text(encoding="utf-8", errors="replace").partition("MOTION")
    if not separator:
        raise MotionError(f"{path}: expected a BVH file with HIERARCHY and MOTION, found no MOTION. Export it again.")
    joints = _hierarchy(_Tokens(path, head))
    frames_line, time_line, *rows = motion.strip().splitlines() or [""]
    count, seconds = _header(path, frames_line), _header(path, time_line)
    channels = sum(len(j.channels) for j in joints)
    if not 0 < count <= MAX_FRAMES or count != int(count) or seconds <= 0:
        raise MotionError(f"{path}: expected 1 to {MAX_FRAMES} frames of a positive time, found {count}, {seconds} s.")
    try:
        values = np.array([row.split() for row in rows if row.strip()], np.float64)
    except ValueError as error:
        raise MotionError(f"{path}: expected {channels} numbers in every row of MOTION ({str(error)[:200]}).") from None
    if values.shape != (int(count), channels) or not np.isfinite(values).all():
        raise MotionError(
            f"{path}: expected {int(count)} rows of {channels} finite numbers, found {values.shape}. Export it again."
        )
    return Bvh(joints, seconds, values)


def _header(path: Path, line: str) -> float:
    try:
        return float(line.rpartition(":")[2])
    except ValueError:
        raise MotionError(
            f"{path}: expected 'Frames: n' and 'Frame Time: s' after MOTION, found '{line[:60]}'."
        ) from None


def _hierarchy(tokens: _Tokens) -> tuple[BvhJoint, ...]:
    joints: list[BvhJoint] = []
    tokens.take("HIERARCHY")
    tokens.take("ROOT")
    open_joints: list[int] = []
    _open(tokens, joints, open_joints)
    while open_joints:
        word = tokens.take()
        if word == "}":
            open_joints.pop()
        elif word.upper() == "JOINT":
            _open(tokens, joints, open_joints)
        elif word.upper() == "END":
            tokens.take("Site")
            tokens.take("{")
            tokens.take("OFFSET")
            joint = joints[open_joints[-1]]
            joints[open_joints[-1]] = BvhJoint(
                joint.name, joint.parent, joint.offset, joint.channels, tokens.vector("end site")
            )
            tokens.take("}")
        else:
            line = tokens.words[tokens.at - 1][1]
            raise MotionError(f"{tokens.path}: expected JOINT, End Site or '}}' in line {line}, found '{word[:40]}'.")
    if tokens.at < len(tokens.words):
        raise MotionError(f"{tokens.path}: expected one ROOT, found more after it. Export one person per file.")
    return tuple(joints)


def _open(tokens: _Tokens, joints: list[BvhJoint], open_joints: list[int]) -> None:
    """A joint's name, offset and channels; its block stays open."""
    name = tokens.take()
    while tokens.words[min(tokens.at, len(tokens.words) - 1)][0] != "{":
        name += " " + tokens.take()  # names with spaces
    if len(name) > MAX_NAME:
        where = f"{tokens.path}: line {tokens.words[tokens.at - 1][1]}"
        raise MotionError(f"{where}: expected a joint's name of at most {MAX_NAME} characters, found {len(name)}.")
    tokens.take("{")
    tokens.take("OFFSET")
    offset = tokens.vector(f"offset of {name[:40]}")
    tokens.take("CHANNELS")
    channels = tuple(tokens.take() for _ in range(int(tokens.number("channels"))))
    normal = tuple(c[:1].upper() + c[1:].lower() for c in channels)
    rotations = [c for c in normal if c.endswith("rotation")]
    known = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
    if not set(normal) <= known or len(set(normal)) != len(normal) or len(rotations) not in (0, 3):
        raise MotionError(
            f"{tokens.path}: expected X/Y/Zposition and three rotations for {name[:40]}, found "
            f"{' '.join(channels)[:100]}."
        )
    if len(joints) >= MAX_JOINTS:
        raise MotionError(f"{tokens.path}: expected at most {MAX_JOINTS} joints, found more.")
    joints.append(BvhJoint(name, open_joints[-1] if open_joints else -1, offset, normal))
    open_joints.append(len(joints) - 1)


def text(bvh: Bvh) -> str:
    """The file's text, six decimals (1e-6 degrees, 1e-6 units)."""
    lines = ["HIERARCHY"]
    children = [[k for k, j in enumerate(bvh.joints) if j.parent == i] for i in range(len(bvh.joints))]

    def block(index: int, depth: int) -> None:
        joint, tab = bvh.joints[index], "\t" * depth
        x, y, z = joint.offset
        lines.extend(
            [
                f"{tab}{'ROOT' if joint.parent < 0 else 'JOINT'} {joint.name}",
                f"{tab}{{",
                f"{tab}\tOFFSET {x:.6f} {y:.6f} {z:.6f}",
                f"{tab}\tCHANNELS {len(joint.channels)} {' '.join(joint.channels)}",
            ]
        )
        for child in children[index]:
            block(child, depth + 1)
        if joint.end is not None:
            a, b, c = joint.end
            lines.extend([f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {a:.6f} {b:.6f} {c:.6f}", f"{tab}\t}}"])
        lines.append(f"{tab}}}")

    block(0, 0)
    lines += ["MOTION", f"Frames: {len(bvh.values)}", f"Frame Time: {bvh.frame_seconds:.9g}"]
    lines += [" ".join(f"{x:.6f}" for x in row) for row in bvh.values]
    return "\n".join(lines) + "\n"
