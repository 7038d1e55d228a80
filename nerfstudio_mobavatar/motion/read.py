"""One door for every format: detect, read, complete the hands, resample, turn upright, and say what was found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.plain_data import damage_as

from . import amass, axes, bvh, emage, gvhmr, pose_json, smpler_x, smplx_params, tram, wham
from .load import npz_arrays, pickle_content, pt_content
from .resample import resample
from .types import MAX_NUMBER, METRES, FormatName, Motion, MotionError, MotionOptions, MotionReport, RawMotion, Rig

DEFAULTS = MotionOptions()
_SUFFIXES = ".npz, .npy, .pkl, .pt, .bvh, .pose.json, .pose.bin, or SMPLer-X's folder"


def read_motion(path: Path, rig: Rig, options: MotionOptions = DEFAULTS) -> tuple[Motion, MotionReport]:
    """The motion for this rig, and what was detected.

    Raises:
        MotionError: the file is missing, damaged, unsafe, of no known format, or does not say enough.
    """
    with damage_as(MotionError, path, "a motion as its tool writes it", "Export it again, or name its --format."):
        raw = _read_raw(path, rig, options)
    _check(path, raw)
    frames = len(raw.pose)
    if options.fps < 0 or options.target_fps < 0:
        raise MotionError(f"--fps {options.fps:g}, --target-fps {options.target_fps:g}: expected 0 or more.")
    fps, fps_said = _fps(raw, options.fps)
    raw, hands_said = _hands(raw, rig, options.hands)
    raw, unit_said = _metres(raw, options.unit)
    target_fps = options.target_fps or fps
    try:
        raw = resample(raw, fps, target_fps)
    except MotionError as error:
        raise MotionError(f"{path}: {error}") from None
    if options.up == "auto":
        up, up_said, up_notes = axes.detect(raw)
    else:
        up, up_said, up_notes = options.up, f"{options.up} (given)", ()
    raw = axes.turn(raw, up, options.target_up)
    motion = Motion(
        pose=raw.pose,
        transl=raw.pelvis - np.asarray(rig.joint_rest[0], np.float64),
        expression=raw.expression,
        fps=target_fps,
        up=options.target_up,
    )
    report = MotionReport(
        file=path.name,
        format=raw.format,
        frames=frames,
        fps=fps_said,
        up=up_said,
        hands=hands_said,
        unit=unit_said,
        result=f"{len(motion)} frames at {target_fps:g} per second, {options.target_up} up, metres",
        notes=(*raw.notes, *up_notes),
    )
    return motion, report


def _read_raw(path: Path, rig: Rig, options: MotionOptions) -> RawMotion:
    given = None if options.format == "auto" else options.format
    if path.is_dir():
        _agree(path, given, "smpler-x")
        return smpler_x.read(path, rig, options.person)
    name = path.name.lower()
    if name.endswith(".json") or pose_json.is_binary(path):
        _agree(path, given, "pose-json")
        return pose_json.read(path, rig)
    if name.endswith(".bvh"):
        _agree(path, given, "bvh")
        return bvh.read(path, rig, options.unit)
    if name.endswith(".npz"):
        return _read_npz(path, rig, given)
    if name.endswith((".pkl", ".pickle", ".npy", ".pt", ".pth")):
        return _read_objects(path, rig, given, options)
    raise MotionError(f"{path}: expected {_SUFFIXES}; found another kind of file. Rename it if it is one of these.")


def _agree(path: Path, given: FormatName | None, found: FormatName) -> None:
    if given not in (None, found):
        raise MotionError(f"{path}: --format {given} was given, but this kind of file can only be {found}.")


def _read_npz(path: Path, rig: Rig, given: FormatName | None) -> RawMotion:
    # EMAGE first: its files have AMASS's keys and one more
    formats: dict[FormatName, tuple[tuple[str, ...], Callable[[list[str]], bool], Callable[..., RawMotion]]] = {
        "emage": (emage.KEYS, emage.matches, emage.read),
        "amass": (amass.KEYS, amass.matches, amass.read),
        "smplx-params": (smplx_params.KEYS, smplx_params.matches, smplx_params.read),
    }
    _, found = npz_arrays(path, ())
    chosen = given or next((name for name, (_, matches, _) in formats.items() if matches(found)), None)
    if chosen not in formats:
        what = f"--format {given}" if given else ", ".join(found) or "no arrays"
        raise MotionError(
            f"{path}: expected the arrays of AMASS (poses, trans), EMAGE (poses, trans, expressions) or smplx "
            f"(global_orient, body_pose, transl), found {what}. Save it with these names."
        )
    keys, _, read = formats[chosen]
    return read(path, npz_arrays(path, keys)[0], rig)


def _read_objects(path: Path, rig: Rig, given: FormatName | None, options: MotionOptions) -> RawMotion:
    is_torch = path.suffix.lower() in (".pt", ".pth")
    content = pt_content(path) if is_torch else pickle_content(path)
    matching = {"gvhmr": gvhmr.matches, "tram": tram.matches, "wham": wham.matches}
    chosen = given or next((name for name, matches in matching.items() if matches(content)), None)
    if chosen == "gvhmr":
        return gvhmr.read(path, content, rig, options.camera_space)
    if chosen == "tram":
        return tram.read(path, content, rig, options.camera_space)
    if chosen == "wham":
        return wham.read(path, content, rig, options.person, options.camera_space)
    found = (
        ", ".join(str(key)[:60] for key in list(content)[:12]) if isinstance(content, dict) else type(content).__name__
    )
    raise MotionError(
        f"{path}: expected the output of GVHMR (.pt), WHAM (.pkl) or TRAM (.npy), found {found}. Save the pose as .npz "
        "with smplx's names (global_orient, body_pose, transl)."
    )


def _check(path: Path, raw: RawMotion) -> None:
    for name, values in (("pose", raw.pose), ("position", raw.pelvis), ("expression", raw.expression)):
        good = np.abs(values) < MAX_NUMBER  # NaN is not
        bad = np.flatnonzero(~good.reshape(len(values), -1).all(1))
        if len(bad):
            raise MotionError(
                f"{path}: expected finite numbers, found NaN or infinity in the {name} of {len(bad)} frames (first: "
                f"{bad[0]}), or more than {MAX_NUMBER:g}. Fit these frames again, or cut them out."
            )


def _fps(raw: RawMotion, given: float) -> tuple[float, str]:
    if given > 0:
        return given, f"{given:g} per second (given)"
    if raw.fps is not None:
        return raw.fps, f"{raw.fps:g} per second (from the file)"
    return raw.usual_fps, f"{raw.usual_fps:g} per second (not in the file: the usual rate, --fps overrides)"


def _hands(raw: RawMotion, rig: Rig, given: str) -> tuple[RawMotion, str]:
    hands = raw.hands if given == "auto" else given
    if hands == "given":
        return raw, "as in the file"
    pose = raw.pose.copy()
    if hands == "relative":
        pose[:, 25:] += rig.hand_mean
        return replace(raw, pose=pose), "relative to the mean, which was added"
    pose[:, 25:] = rig.hand_mean
    said = "relaxed (the body's mean hand pose)"
    return replace(raw, pose=pose), said if given == "relaxed" else f"none in the file: {said}"


def _metres(raw: RawMotion, given: str) -> tuple[RawMotion, str]:
    scale, said = raw.scale, raw.unit
    if given != "auto" and raw.format != "bvh":  # a BVH's unit is settled where its skeleton is known
        scale, said = METRES[given], f"{given} (given)"
    return replace(raw, pelvis=raw.pelvis * scale), said
