"""The avatar file: schema, writer, reader. Described byte by byte in FORMAT.md. Imports numpy only.

A file is `magic, version, header length, JSON header, sections`. Sections are named arrays; the JSON header says where
each one lies. The one wide section, `gaussians`, is already the record that the GPU reads, so a viewer uploads it as
it is. Sections are byte-shuffled (all first bytes of every item, then all second bytes, ...) and gzipped, since half
precision numbers in Morton order compress well by byte planes.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar import trained_poses
from nerfstudio_mobavatar.trained_poses import TrainedRegion

from .detail import Level, levels_header, read_levels, read_pixels_per_metre

MAGIC = b"MOBAVATR"
VERSION = 1
PREAMBLE_BYTES = 16
ALIGN = 16
RECORD_WORDS = 12
"""32-bit words per Gaussian, 48 bytes."""
MAX_HEADER_BYTES = 1 << 20
MAX_SECTION_BYTES = 1 << 30

SECTIONS: dict[str, tuple[str, str]] = {
    "gaussians": ("uint32", "one 48-byte record per Gaussian, in Morton order"),
    "joint_rest": ("float32", "[55, 3] joint positions of the rest pose, metres"),
    "inverse_bind": ("float32", "[55, 3, 4] inverse joint transforms of the canonical pose"),
    "joint_parent": ("int32", "[55] parent of each joint, -1 for the root"),
    "rotation_index": ("uint32", "Gaussians that keep a rotation corrective, ascending"),
    "scale_index": ("uint32", "Gaussians that keep a scale corrective, ascending"),
    "color_index": ("uint32", "Gaussians that keep a colour corrective, ascending"),
    "rotation_basis": ("float16", "[kept, 4, K] added to the quaternion (wxyz) before it is normalised"),
    "scale_basis": ("float16", "[kept, 3, K] added to the log scale"),
    "color_basis": ("float16", "[kept, 3, K] added to the colour"),
    "node_part": ("uint16", "[M] part of each control node"),
    "node_basis": ("float16", "[M, 3, K] displacement of each control node, metres"),
    "mlp_weights": ("float16", "per layer [P, out, in rounded up to even], layers one after the other"),
    "mlp_biases": ("float16", "per layer [P, out], layers one after the other"),
}
"""In the order of the file: with the first four a page draws the neutral avatar while the rest still arrives."""


class BundleError(ValueError):
    """An avatar file that cannot be read; the message says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class AvatarArrays:
    """A whole avatar in plain arrays, before quantisation. N Gaussians, P parts, K basis size, M nodes, J = 55."""

    position: np.ndarray
    """[N, 3] canonical position in metres, constant node offsets and free offsets folded in."""
    rotation: np.ndarray
    """[N, 4] quaternion wxyz, any length."""
    log_scale: np.ndarray
    """[N, 3] natural logarithm of the standard deviations in metres."""
    color: np.ndarray
    """[N, 3]; linear rgb is max(color + 0.5 + corrective, 0)."""
    opacity: np.ndarray
    """[N] in 0..1, activated."""
    part: np.ndarray
    """[N] integer part."""
    node_index: np.ndarray
    """[N, 3] the three control nodes a Gaussian follows."""
    node_weight: np.ndarray
    """[N, 3] their weights, sum 1."""
    skin_index: np.ndarray
    """[N, 4] joints."""
    skin_weight: np.ndarray
    """[N, 4] weights, sum 1."""
    rotation_index: np.ndarray
    scale_index: np.ndarray
    color_index: np.ndarray
    rotation_basis: np.ndarray
    """[n, 4, K]"""
    scale_basis: np.ndarray
    """[n, 3, K]"""
    color_basis: np.ndarray
    """[n, 3, K]"""
    node_part: np.ndarray
    """[M]"""
    node_basis: np.ndarray
    """[M, 3, K] metres."""
    mlp_weights: tuple[np.ndarray, ...]
    """Per layer [P, out, in]."""
    mlp_biases: tuple[np.ndarray, ...]
    """Per layer [P, out]."""
    num_head_parts: int
    """Parts 0..num_head_parts-1 see the expression, all others get zeros there."""
    num_pose_inputs: int
    """Leading MLP inputs that are pose numbers (63: axis-angle of joints 1..21); the rest is expression."""
    joint_rest: np.ndarray
    """[55, 3] metres."""
    inverse_bind: np.ndarray
    """[55, 3, 4]"""
    joint_parent: np.ndarray
    """[55]"""
    input_range: np.ndarray | None = None
    """[2, inputs] smallest and largest network inputs in training, to which hosts clamp; None: nothing is clamped."""
    trained_regions: tuple[TrainedRegion, ...] = ()
    """What training saw of each region of the body; hosts soften inputs that are unlike it."""
    levels: tuple[Level, ...] = ()
    """Prefixes to draw in place of all Gaussians, coarsest first."""
    pixels_per_metre: float | None = None
    """Of the training pictures; coarser pictures are drawn so that they look like those, averaged down."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Free JSON: up axis, fps, body name, licence note, training range."""

    @property
    def layer_sizes(self) -> list[int]:
        """Widths from the input (73) to the output (2 K)."""
        return [int(self.mlp_weights[0].shape[2])] + [int(w.shape[1]) for w in self.mlp_weights]

    @property
    def basis_size(self) -> int:
        return int(self.node_basis.shape[2])


def _unorm(x: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(np.clip(x, 0.0, 1.0) * ((1 << bits) - 1)).astype(np.uint32)


def _half_bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.float16).view(np.uint16).astype(np.uint32)


def _unorm8_sum(weights: np.ndarray) -> np.ndarray:
    """[N, 4] weights -> 8-bit integers that sum to exactly 255 (largest remainder goes to the largest weight)."""
    w = weights / weights.sum(1, keepdims=True)
    q = np.rint(w * 255).astype(np.int64)
    q[np.arange(len(q)), w.argmax(1)] += 255 - q.sum(1)
    return q.astype(np.uint32)


def _pack(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a | (b << np.uint32(16))


def pack_gaussians(a: AvatarArrays, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N, 12] uint32 records; FORMAT.md has the table."""
    p = _unorm((a.position - low) / (high - low), 16)
    r, s, c = _half_bits(a.rotation), _half_bits(a.log_scale), _half_bits(a.color)
    node, w = a.node_index.astype(np.uint32), _unorm(a.node_weight, 16)
    skin, sw = a.skin_index.astype(np.uint32), _unorm8_sum(a.skin_weight)
    words = [
        _pack(p[:, 0], p[:, 1]),
        _pack(p[:, 2], a.part.astype(np.uint32)),
        _pack(r[:, 0], r[:, 1]),
        _pack(r[:, 2], r[:, 3]),
        _pack(s[:, 0], s[:, 1]),
        _pack(s[:, 2], _unorm(a.opacity, 16)),
        _pack(c[:, 0], c[:, 1]),
        _pack(c[:, 2], node[:, 0]),
        _pack(node[:, 1], node[:, 2]),
        _pack(w[:, 0], w[:, 1]),
        skin[:, 0] | (skin[:, 1] << 8) | (skin[:, 2] << 16) | (skin[:, 3] << 24),
        sw[:, 0] | (sw[:, 1] << 8) | (sw[:, 2] << 16) | (sw[:, 3] << 24),
    ]
    return np.stack(words, 1).astype(np.uint32)


def _low16(x: np.ndarray) -> np.ndarray:
    return (x & 0xFFFF).astype(np.uint16)


def _high16(x: np.ndarray) -> np.ndarray:
    return (x >> 16).astype(np.uint16)


def unpack_gaussians(g: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
    """Inverse of `pack_gaussians`, float32 values exactly as the GPU decodes them."""
    halves = np.stack([f(g[:, i]) for i in range(10) for f in (_low16, _high16)], 1)
    real = halves.view(np.float16).astype(np.float32)
    bytes_ = np.ascontiguousarray(g[:, 10:12]).view(np.uint8).reshape(-1, 8)
    w01 = halves[:, 18:20].astype(np.float32) / np.float32(65535)
    return {
        "position": low.astype(np.float32)
        + halves[:, 0:3].astype(np.float32) / np.float32(65535) * (high - low).astype(np.float32),
        "part": halves[:, 3].astype(np.int64),
        "rotation": real[:, 4:8],
        "log_scale": real[:, 8:11],
        "opacity": halves[:, 11].astype(np.float32) / np.float32(65535),
        "color": real[:, 12:15],
        "node_index": halves[:, 15:18].astype(np.int64),
        "node_weight": np.concatenate([w01, 1 - w01.sum(1, keepdims=True)], 1),
        "skin_index": bytes_[:, :4].astype(np.int64),
        "skin_weight": bytes_[:, 4:].astype(np.float32) / np.float32(255),
    }


def _even(n: int) -> int:
    return n + n % 2


def _shuffle(raw: bytes, itemsize: int) -> bytes:
    return np.frombuffer(raw, np.uint8).reshape(-1, itemsize).T.tobytes()


def _unshuffle(raw: bytes, itemsize: int) -> bytes:
    return np.frombuffer(raw, np.uint8).reshape(itemsize, -1).T.tobytes()


def _validate(a: AvatarArrays) -> None:
    n, m, parts = len(a.position), len(a.node_part), a.mlp_weights[0].shape[0]
    limits = {"part": (a.part, parts), "node_index": (a.node_index, m), "skin_index": (a.skin_index, 55)}
    limits |= {f"{k}_index": (getattr(a, f"{k}_index"), n) for k in ("rotation", "scale", "color")}
    limits["node_part"] = (a.node_part, parts)
    for name, (values, end) in limits.items():
        if values.size and (values.min() < 0 or values.max() >= end):
            raise BundleError(f"{name} must lie in 0..{end - 1}, found {values.min()}..{values.max()}")
    if max(n, 1) > 2**31 or m > 65536 or parts > 65536:
        raise BundleError(f"at most 65536 parts and nodes fit the format, found {parts} parts and {m} nodes")
    for name in ("position", "rotation", "log_scale", "color", "opacity", "node_basis"):
        if not np.isfinite(getattr(a, name)).all():
            raise BundleError(
                f"{name} has numbers that are not finite; the training diverged, export an earlier checkpoint"
            )


def encode(a: AvatarArrays) -> bytes:
    """The bytes of an avatar file."""
    _validate(a)
    low, high = a.position.min(0).astype(np.float64), a.position.max(0).astype(np.float64)
    high = np.maximum(high, low + 1e-6)
    padded = [np.pad(w, ((0, 0), (0, 0), (0, _even(w.shape[2]) - w.shape[2]))) for w in a.mlp_weights]
    arrays: dict[str, np.ndarray] = {
        "gaussians": pack_gaussians(a, low, high),
        **{k: getattr(a, k) for k in ("rotation_index", "scale_index", "color_index")},
        **{k: getattr(a, k) for k in ("rotation_basis", "scale_basis", "color_basis", "node_part", "node_basis")},
        "mlp_weights": np.concatenate([w.ravel() for w in padded]),
        "mlp_biases": np.concatenate([b.ravel() for b in a.mlp_biases]),
        **{k: getattr(a, k) for k in ("joint_rest", "inverse_bind", "joint_parent")},
    }
    entries, payload = [], bytearray()
    for name, (dtype, _) in SECTIONS.items():
        array = np.ascontiguousarray(arrays[name], dtype)
        stride = array.itemsize * (RECORD_WORDS if name == "gaussians" else 1)
        raw = array.tobytes()
        stored = gzip.compress(_shuffle(raw, stride), 9, mtime=0)
        payload += bytes(-len(payload) % ALIGN)
        entries.append(
            {
                "name": name,
                "dtype": dtype,
                "shape": list(array.shape),
                "offset": len(payload),
                "stored_bytes": len(stored),
                "raw_bytes": len(raw),
                "shuffle": stride,
                "crc32": zlib.crc32(stored),
            }
        )
        payload += stored
    header = {
        "num_gaussians": len(a.position),
        "num_parts": int(a.mlp_weights[0].shape[0]),
        "num_head_parts": int(a.num_head_parts),
        "num_nodes": len(a.node_part),
        "basis_size": a.basis_size,
        "layer_sizes": a.layer_sizes,
        "num_pose_inputs": int(a.num_pose_inputs),
        "leaky_relu_slope": 0.01,
        "position_low": low.tolist(),
        "position_high": high.tolist(),
        **({} if a.input_range is None else {"input_range": np.asarray(a.input_range, np.float64).tolist()}),
        **({"trained_regions": trained_poses.to_json(a.trained_regions)} if a.trained_regions else {}),
        **levels_header(a.levels),
        **({} if a.pixels_per_metre is None else {"pixels_per_metre": a.pixels_per_metre}),
        "meta": a.meta,
        "sections": entries,
        "payload_bytes": len(payload),
    }
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(PREAMBLE_BYTES + len(text)) % ALIGN)
    preamble = MAGIC + np.array([VERSION, len(text)], "<u4").tobytes()
    return preamble + text + bytes(payload)


@contextmanager
def _damage_as_bundle_error() -> Iterator[None]:
    """The header carries no checksum: whatever a damaged one leads to is one kind of error to the caller."""
    try:
        yield
    except BundleError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, zlib.error) as error:
        raise BundleError(
            f"the header does not describe what follows ({type(error).__name__}: {error}); copy or export it again"
        ) from error


def _check_shapes(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    n, m, k, parts = (header[key] for key in ("num_gaussians", "num_nodes", "basis_size", "num_parts"))
    pairs = list(zip(header["layer_sizes"][:-1], header["layer_sizes"][1:]))
    expected: dict[str, tuple[int, ...]] = {
        "gaussians": (n, RECORD_WORDS),
        **{f"{name}_basis": (len(arrays[f"{name}_index"]), 4 if name == "rotation" else 3, k)
           for name in ("rotation", "scale", "color")},
        "node_part": (m,),
        "node_basis": (m, 3, k),
        "mlp_weights": (sum(parts * o * _even(i) for i, o in pairs),),
        "mlp_biases": (sum(parts * o for _, o in pairs),),
        "joint_rest": (55, 3),
        "inverse_bind": (55, 3, 4),
        "joint_parent": (55,),
    }  # fmt: skip
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise BundleError(f"section '{name}' has the shape {arrays[name].shape}, expected {shape}; export it again")


@_damage_as_bundle_error()
def read_header(data: bytes) -> tuple[dict[str, Any], int]:
    """Header of an avatar file and the offset of its payload. Raises `BundleError` on anything that is not one."""
    if len(data) < PREAMBLE_BYTES or data[:8] != MAGIC:
        raise BundleError(f"not an avatar file: it starts with {data[:8]!r}, expected {MAGIC!r}; export it again")
    version, length = (int(x) for x in np.frombuffer(data, "<u4", 2, 8))
    if version > VERSION:
        raise BundleError(f"made by a newer version (format {version}, this one reads up to {VERSION}): update")
    if length > MAX_HEADER_BYTES or PREAMBLE_BYTES + length > len(data):
        raise BundleError(f"truncated: the header needs {PREAMBLE_BYTES + length} bytes, found {len(data)}")
    try:
        header = json.loads(data[PREAMBLE_BYTES : PREAMBLE_BYTES + length])
    except ValueError as error:
        raise BundleError(f"the header is not JSON ({error}); the file is damaged, copy or export it again") from None
    start = PREAMBLE_BYTES + length
    if len(data) < start + header["payload_bytes"]:
        raise BundleError(
            f"truncated: expected {start + header['payload_bytes']} bytes, found {len(data)}; copy it again"
        )
    return header, start


@_damage_as_bundle_error()
def read_sections(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and the raw arrays of every section, as stored (half precision, packed records)."""
    header, start = read_header(data)
    arrays = {}
    for entry in header["sections"]:
        name = entry["name"]
        stored = data[start + entry["offset"] : start + entry["offset"] + entry["stored_bytes"]]
        if zlib.crc32(stored) != entry["crc32"]:
            raise BundleError(f"section '{name}' is damaged (checksum differs); copy or export the file again")
        if entry["raw_bytes"] > MAX_SECTION_BYTES:
            raise BundleError(f"section '{name}' claims {entry['raw_bytes']} bytes, more than {MAX_SECTION_BYTES}")
        expander = zlib.decompressobj(wbits=31)
        raw = expander.decompress(stored, entry["raw_bytes"] + 1)
        if len(raw) != entry["raw_bytes"]:
            raise BundleError(f"section '{name}' expands to {len(raw)} bytes or more, expected {entry['raw_bytes']}")
        arrays[name] = np.frombuffer(_unshuffle(raw, entry["shuffle"]), entry["dtype"]).reshape(entry["shape"])
    missing = SECTIONS.keys() - arrays.keys()
    if missing:
        raise BundleError(f"sections missing: {', '.join(sorted(missing))}; export the file again")
    _check_shapes(header, arrays)
    return header, arrays


@_damage_as_bundle_error()
def decode(data: bytes) -> AvatarArrays:
    """The avatar as a viewer sees it: every number as it comes out of the file's precision, in float32."""
    header, s = read_sections(data)
    low, high = np.array(header["position_low"]), np.array(header["position_high"])
    sizes, parts = header["layer_sizes"], header["num_parts"]
    weights, biases, w0, b0 = [], [], 0, 0
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:]):
        count = parts * fan_out * _even(fan_in)
        layer = s["mlp_weights"][w0 : w0 + count].reshape(parts, fan_out, _even(fan_in))
        weights.append(layer[:, :, :fan_in].astype(np.float32))
        biases.append(s["mlp_biases"][b0 : b0 + parts * fan_out].reshape(parts, fan_out).astype(np.float32))
        w0, b0 = w0 + count, b0 + parts * fan_out
    as_float = ("rotation_basis", "scale_basis", "color_basis", "node_basis")
    return AvatarArrays(
        **unpack_gaussians(s["gaussians"], low, high),
        **{k: s[k].astype(np.int64) for k in ("rotation_index", "scale_index", "color_index", "node_part")},
        **{k: s[k].astype(np.float32) for k in as_float},
        mlp_weights=tuple(weights),
        mlp_biases=tuple(biases),
        num_head_parts=header["num_head_parts"],
        num_pose_inputs=header["num_pose_inputs"],
        joint_rest=s["joint_rest"],
        inverse_bind=s["inverse_bind"],
        joint_parent=s["joint_parent"],
        input_range=_input_range(header),
        trained_regions=trained_poses.from_json(header.get("trained_regions", []), header["num_pose_inputs"]),
        levels=read_levels(header),
        pixels_per_metre=read_pixels_per_metre(header),
        meta=header["meta"],
    )


def _input_range(header: dict[str, Any]) -> np.ndarray | None:
    """The optional entry `input_range`, checked."""
    if "input_range" not in header:
        return None
    found = np.asarray(header["input_range"], np.float32)
    if found.shape != (2, header["layer_sizes"][0]) or not (found[0] <= found[1]).all():
        raise BundleError(
            f"input_range must be two rows of {header['layer_sizes'][0]} ascending numbers; export it again"
        )
    return found


def load(path: Path) -> AvatarArrays:
    """Read and decode an avatar file; errors name the file."""
    try:
        return decode(path.read_bytes())
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
