"""`mobavatar info`: what is inside an avatar file, an exported folder, the published runtime's `.npz`, or a motion."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from nerfstudio_mobavatar.motion import pose_json
from nerfstudio_mobavatar.motion.joint_names import NAMES

from .. import bundle, pose_sequence
from ..precision import name_of
from ..rights import UNSTATED
from . import runtime_npz
from .errors import ExchangeError
from .source import AVATAR_FILE, DEFAULT_FPS


@dataclass
class Info:
    """Print what is inside a file: counts, bytes of every section, trained range, levels, body, licence."""

    file: Annotated[Path, tyro.conf.Positional]
    """An avatar.mobavatar of any version, a folder that holds one, an avatar `.npz`, or a motion."""
    json: bool = False
    """Print it as JSON."""

    def main(self) -> None:
        """Read and print. Raises ExchangeError, BundleError, MotionError."""
        found = describe(self.file)
        print(json.dumps(found, indent=1) if self.json else text(found))


def describe(path: Path) -> dict[str, Any]:
    """Plain numbers and texts about a file; `kind` says which of the keys there are."""
    if path.is_dir():
        if not (path / AVATAR_FILE).is_file():
            raise ExchangeError(f"{path}: expected a folder that `ns-export mobavatar` wrote, found no {AVATAR_FILE}.")
        sizes = {p.name: p.stat().st_size for p in sorted(path.iterdir()) if p.is_file()}
        motions = [describe_motion(p) for p in sorted(path.iterdir()) if p.name.endswith(pose_json.ENDINGS)]
        avatar = describe_avatar(path / AVATAR_FILE)
        return avatar | {"file": str(path), "kind": "folder", "files": sizes, "motions": motions}
    if not path.is_file():
        raise ExchangeError(f"{path}: no such file; give an avatar, an exported folder or a motion.")
    if path.name.lower().endswith(pose_json.ENDINGS):
        return describe_motion(path)
    if path.suffix.lower() == ".npz":
        return describe_npz(path)
    return describe_avatar(path)


def describe_avatar(path: Path) -> dict[str, Any]:
    """Counts, sections and notes of an avatar file; checksums are checked on the way."""
    data = path.read_bytes()
    try:
        header, _ = bundle.read_header(data)
        bundle.decode(data)
        sections = bundle.section_table(header)
        counts = {key: header[key] for key in ("num_gaussians", "num_parts", "num_head_parts", "num_nodes")}
    except bundle.BundleError as error:
        raise bundle.BundleError(f"{path}: {error}") from None
    return {
        "file": str(path),
        "kind": "avatar",
        "version": header["version"],
        "precision": None
        if header["version"] == 1
        else name_of(header["steps"], header["shares"]) or "between presets",
        "bytes": len(data),
        **counts,
        "layer_sizes": header["layer_sizes"],
        "levels": header.get("levels"),
        "pixels_per_metre": header.get("pixels_per_metre"),
        "trained_range": trained_range(header.get("input_range")),
        "sections": sections,
        "meta": header["meta"],
    }


def describe_npz(path: Path) -> dict[str, Any]:
    """The published runtime's arrays, and how wide its network input is."""
    a, width = runtime_npz.read(path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {
        "file": str(path),
        "kind": "published runtime",
        "bytes": path.stat().st_size,
        "num_gaussians": len(a.position),
        "num_parts": len(a.mlp_weights[0]),
        "num_head_parts": a.num_head_parts,
        "num_nodes": len(a.node_part),
        "input_width": width,
        "layer_sizes": a.layer_sizes,
        "trained_range": trained_range(a.input_range),
        "sections": [
            {"name": n, "dtype": x.dtype.name, "shape": list(x.shape), "bytes": x.nbytes} for n, x in arrays.items()
        ],
        "meta": a.meta,
    }


def describe_motion(path: Path) -> dict[str, Any]:
    """Length, where it goes and what moves."""
    poses = pose_sequence.read(path)
    Th = np.stack([pose.Th for pose in poses])
    angles = np.stack([pose.pose for pose in poses])
    fps = pose_json.stored_fps(path)
    return {
        "file": str(path),
        "kind": "motion",
        "bytes": path.stat().st_size,
        "frames": len(poses),
        "fps": fps,
        "seconds": len(poses) / (fps or DEFAULT_FPS),
        "moves_over_m": [float(x) for x in np.ptp(Th, axis=0)],
        "root_rotation_in_pose": bool(np.abs(angles[:, 0]).max() > 1e-6),
        "moving_joints": int((np.ptp(angles, axis=0).max(1) > 1e-4).sum()),
        "expression": bool(max(np.abs(pose.expression).max(initial=0) for pose in poses) > 0),
    }


def trained_range(limits: Any) -> dict[str, Any] | None:
    """Between which values every network input lay in training; angles in degrees, joint by joint."""
    if limits is None:
        return None
    low, high = np.asarray(limits, np.float64)
    joints = {
        NAMES[j + 1]: {"low": np.rad2deg(low[3 * j : 3 * j + 3]).round(1).tolist(),
                       "high": np.rad2deg(high[3 * j : 3 * j + 3]).round(1).tolist()}
        for j in range(min(21, len(low) // 3))
    }  # fmt: skip
    expression = {"low": low[63:].round(3).tolist(), "high": high[63:].round(3).tolist()}
    return {"joints_degrees": joints, "expression": expression}


def text(found: dict[str, Any]) -> str:
    """The same for people."""
    if found["kind"] == "motion":
        return _motion_text(found)
    version = (
        f", format {found['version']}{_precision(found)}"
        if "version" in found
        else f", input {found['input_width']} wide"
    )
    lines = [
        f"{found['file']}: {found['kind']}{version}, {found['bytes'] / 1e6:.2f} MB, "
        f"{found['num_gaussians']:,} Gaussians, {found['num_parts']} parts, {found['num_nodes']:,} nodes",
        f"  networks: {found['num_parts']} ({found['num_head_parts']} on the head) of "
        f"{'-'.join(map(str, found['layer_sizes']))}",
        f"  trained range of the pose inputs: {_range_text(found['trained_range'])}",
    ]
    lines += [
        f"  level: {level['count']:,} Gaussians, {level['enlarge']:.3g} times as large, up to "
        f"{level['pixels_per_metre']:.0f} pixels per metre"
        for level in found.get("levels") or ()
    ]
    for s in found["sections"]:
        shape = " x ".join(map(str, s["shape"]))
        lines.append(f"  {s['name']:<20} {s['dtype']:<8} {shape:<18} {s['bytes']:>12,} bytes")
    if found.get("pixels_per_metre"):
        lines.append(f"  training pictures had {found['pixels_per_metre']:.0f} pixels per metre")
    lines += [f"  {key}: {value}" for key, value in ({"license": UNSTATED} | found["meta"]).items()]
    lines += [f"  file {name:<20} {size:>12,} bytes" for name, size in found.get("files", {}).items()]
    lines += [f"  motion {_motion_text(motion)}" for motion in found.get("motions", ())]
    return "\n".join(lines)


def _precision(found: dict[str, Any]) -> str:
    return f" in precision '{found['precision']}'" if found["precision"] else ""


def _motion_text(m: dict[str, Any]) -> str:
    rate = f"{m['fps']:g} frames a second" if m["fps"] else f"no rate known ({DEFAULT_FPS:g} is taken)"
    where = " x ".join(f"{x:.2f}" for x in m["moves_over_m"])
    root = "; root rotation inside pose[:3]" if m["root_rotation_in_pose"] else ""
    face = "with" if m["expression"] else "without"
    return (
        f"{m['file']}: {m['frames']} frames, {rate}, {m['seconds']:.1f} s, moves over {where} m, "
        f"{m['moving_joints']} joints move, {face} expression{root}"
    )


def _range_text(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not stored"
    widest = sorted(
        ((max(map(abs, (*ends["low"], *ends["high"]))), name) for name, ends in found["joints_degrees"].items()),
        reverse=True,
    )
    return f"stored; furthest: {', '.join(f'{name} {angle:.0f} degrees' for angle, name in widest[:3])}"
