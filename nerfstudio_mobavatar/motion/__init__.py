"""Motions from elsewhere: one file per source format, one `Motion` out. Needs numpy and SciPy; torch for `.pt` only."""

from .place import place
from .read import read_motion
from .types import Motion, MotionError, MotionOptions, MotionReport, Rig
from .write import write_motion

__all__ = ["Motion", "MotionError", "MotionOptions", "MotionReport", "Rig", "place", "read_motion", "write_motion"]
