"""The avatar file: what writes it and what reads it. Described byte by byte in FORMAT.md. Imports numpy only.

`container.py` knows the bytes around the sections, `schema.py` which ones there are (integers, `integer_tables.py`),
`quantise.py` and `whiten.py` how an avatar becomes integers, `precision.py` how finely. Readers hand out the same
arrays (`schema.ARRAYS`) whatever the version: the wide one, `gaussians`, is already the record that the GPU reads.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar import integer_tables, trained_poses

from . import container
from .arrays import POINTS_AT, SHAPES, AvatarArrays, BundleError, sizes
from .container import ALIGN, MAGIC, MAX_HEADER_BYTES, MAX_SECTION_BYTES, PREAMBLE_BYTES, VERSION
from .container import damage_as_bundle_error as _damage_as_bundle_error
from .detail import levels_header, read_levels, read_pixels_per_metre
from .header import check as check_header
from .header import kept_of_version_1
from .precision import HIGH, PRESETS, Precision
from .quantise import dequantise, prepare, quantise
from .records import RECORD_WORDS, unpack_records
from .schema import ARRAYS, array_shapes, even, layers
from .schema import streams as stream_shapes
from .whiten import pose_samples

__all__ = [
    "ALIGN",
    "ARRAYS",
    "HIGH",
    "MAGIC",
    "MAX_HEADER_BYTES",
    "MAX_SECTION_BYTES",
    "PREAMBLE_BYTES",
    "PRESETS",
    "RECORD_WORDS",
    "VERSION",
    "AvatarArrays",
    "BundleError",
    "Precision",
    "Tune",
    "decode",
    "encode",
    "load",
    "read_header",
    "read_sections",
    "rounded",
    "section_table",
]


def _validate(a: AvatarArrays) -> None:
    counts = sizes(a)
    n, m, parts = counts["n"], counts["m"], counts["parts"]
    for name, things in POINTS_AT.items():
        values, end = getattr(a, name), things if isinstance(things, int) else counts[things]
        if values.size and (values.min() < 0 or values.max() >= end):
            raise BundleError(f"{name} must lie in 0..{end - 1}, found {values.min()}..{values.max()}")
    if n < 1:
        raise BundleError("an avatar has one Gaussian at least, found none")
    if m > 65536 or parts > 65536:
        raise BundleError(f"at most 65536 parts and nodes fit the format, found {parts} parts and {m} nodes")
    for name in (name for name in SHAPES if name not in POINTS_AT):
        if not np.isfinite(getattr(a, name)).all():
            raise BundleError(
                f"{name} has numbers that are not finite; the training diverged, export an earlier checkpoint"
            )


Tune = Callable[[AvatarArrays, Precision, np.ndarray], AvatarArrays]
"""From an avatar that is about to be rounded (and inputs of poses [S, in]) to one that loses less by it
(`fine_tune.py`)."""


def encode(
    a: AvatarArrays, precision: Precision = HIGH, inputs: np.ndarray | None = None, tune: Tune | None = None
) -> bytes:
    """The bytes of an avatar file.

    `inputs`: [S, in] network inputs of the poses that matter (`evaluate.raw_inputs`), over which rounding errors of the
    correctives are weighed; without them, poses at random.
    """
    return _packed(*_quantised(a, precision, inputs, tune))


def _packed(header: dict[str, Any], values: dict[str, np.ndarray]) -> bytes:
    sections = []
    for name, shape in stream_shapes(header).items():
        coding, planes, raw = integer_tables.encode(values[name], shape.signed)
        sections.append(({"name": name, "coding": coding, "planes": planes}, raw))
    return container.write(header, sections)


def rounded(a: AvatarArrays, precision: Precision, inputs: np.ndarray | None = None) -> AvatarArrays:
    """`decode(encode(...))` without the file: what is left of an avatar in this precision."""
    header, values = _quantised(a, precision, inputs)
    return _as_avatar(header, dequantise(header, values))


def _quantised(
    a: AvatarArrays, precision: Precision, inputs: np.ndarray | None, tune: Tune | None = None
) -> tuple[dict[str, Any], dict]:
    """Header and streams."""
    _validate(a)
    samples = pose_samples(a, inputs)
    prepared = prepare(a, precision, samples)
    if tune is not None:
        prepared = tune(prepared, precision, samples)
    entries, values = quantise(prepared, precision, samples)
    header = {
        "num_gaussians": len(a.position),
        "num_parts": int(a.mlp_weights[0].shape[0]),
        "num_head_parts": int(a.num_head_parts),
        "num_nodes": len(a.node_part),
        "basis_size": a.basis_size,
        "layer_sizes": a.layer_sizes,
        "num_pose_inputs": int(a.num_pose_inputs),
        "leaky_relu_slope": 0.01,
        **entries,
        **({} if a.input_range is None else {"input_range": np.asarray(a.input_range, np.float64).tolist()}),
        **({"trained_regions": trained_poses.to_json(a.trained_regions)} if a.trained_regions else {}),
        **levels_header(a.levels),
        **({} if a.pixels_per_metre is None else {"pixels_per_metre": a.pixels_per_metre}),
        "meta": a.meta,
    }
    return header, values


@_damage_as_bundle_error()
def read_header(data: bytes) -> tuple[dict[str, Any], int]:
    """Header of an avatar file and the offset of its payload. Raises `BundleError` on anything that is not one.

    Added to what the file says: `version`, and for version 1 `kept`, the counts of the three lists.
    """
    version, header, start = container.read(data)
    check_header(header, version)
    container.check_length(data, header["payload_bytes"], start)
    header["version"] = version
    if version == 1:
        header["kept"] = kept_of_version_1(header)
    return header, start


@_damage_as_bundle_error()
def read_sections(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and the arrays of `ARRAYS`, as the GPU reads them (half precision, packed records)."""
    header, start = read_header(data)
    if header["version"] == 1:
        return header, _arrays_of_version_1(data, header, start)
    shapes = stream_shapes(header)

    def raw_bytes(entry: dict[str, Any]) -> int | None:
        shape = shapes.get(entry["name"])
        return None if shape is None else shape.items * entry["planes"]

    found = {
        entry["name"]: integer_tables.decode(raw, shapes[entry["name"]], entry["coding"], entry["planes"])
        for entry, raw in container.sections(data, header, start, raw_bytes)
    }
    _none_missing(shapes, found)
    return header, dequantise(header, found)


def _none_missing(expected: dict[str, Any], found: dict[str, np.ndarray]) -> None:
    missing = expected.keys() - found.keys()
    if missing:
        raise BundleError(f"sections missing: {', '.join(sorted(missing))}; export the file again")


def _arrays_of_version_1(data: bytes, header: dict[str, Any], start: int) -> dict[str, np.ndarray]:
    """Sections of version 1 are the arrays themselves, their bytes shuffled."""
    shapes = array_shapes(header)
    arrays: dict[str, np.ndarray] = {}

    def raw_bytes(entry: dict[str, Any]) -> int | None:
        return entry["raw_bytes"] if entry["name"] in ARRAYS else None

    for entry, raw in container.sections(data, header, start, raw_bytes):
        name = entry["name"]
        rows = np.frombuffer(raw, np.uint8).reshape(entry["shuffle"], -1)
        dtype = np.dtype(ARRAYS[name][0])
        if len(raw) != math.prod(shapes[name]) * dtype.itemsize:
            raise BundleError(
                f"section '{name}' has {len(raw)} bytes, expected {shapes[name]} of {dtype.name}; export it again"
            )
        arrays[name] = np.frombuffer(rows.T.tobytes(), dtype).reshape(shapes[name])
    _none_missing(ARRAYS, arrays)
    return arrays


@_damage_as_bundle_error()
def decode(data: bytes) -> AvatarArrays:
    """The avatar as a viewer sees it: every number as it comes out of the file's precision, in float32."""
    return _as_avatar(*read_sections(data))


def _as_avatar(header: dict[str, Any], s: dict[str, np.ndarray]) -> AvatarArrays:
    low, high = np.array(header["position_low"]), np.array(header["position_high"])
    parts = header["num_parts"]
    weights, biases, w0, b0 = [], [], 0, 0
    for fan_in, fan_out in layers(header):
        count = parts * fan_out * even(fan_in)
        layer = s["mlp_weights"][w0 : w0 + count].reshape(parts, fan_out, even(fan_in))
        weights.append(layer[:, :, :fan_in].astype(np.float32))
        biases.append(s["mlp_biases"][b0 : b0 + parts * fan_out].reshape(parts, fan_out).astype(np.float32))
        w0, b0 = w0 + count, b0 + parts * fan_out
    as_float = ("rotation_basis", "scale_basis", "color_basis", "node_basis")
    return AvatarArrays(
        **unpack_records(s["gaussians"], low, high),
        **{k: s[k].astype(np.int64) for k in ("rotation_index", "scale_index", "color_index", "node_part")},
        **{k: s[k].astype(np.float32) for k in as_float},
        mlp_weights=tuple(weights),
        mlp_biases=tuple(biases),
        num_head_parts=header["num_head_parts"],
        num_pose_inputs=header["num_pose_inputs"],
        joint_rest=s["joint_rest"],
        inverse_bind=s["inverse_bind"],
        joint_parent=s["joint_parent"],
        input_range=np.array(header["input_range"], np.float32) if "input_range" in header else None,
        trained_regions=trained_poses.from_json(header.get("trained_regions", []), header["num_pose_inputs"]),
        levels=read_levels(header),
        pixels_per_metre=read_pixels_per_metre(header),
        meta=header["meta"],
    )


def section_table(header: dict[str, Any]) -> list[dict[str, Any]]:
    """`name`, `dtype`, `shape`, `bytes` (as stored) of each section of a header, whatever the version, for people."""
    if header["version"] == 1:
        return [
            {k: e[k] for k in ("name", "dtype", "shape")} | {"bytes": e["stored_bytes"]} for e in header["sections"]
        ]
    shapes = stream_shapes(header)
    return [
        {
            "name": e["name"],
            "dtype": f"{'' if shapes[e['name']].signed else 'u'}int{8 * e['planes']}",
            "shape": [shapes[e["name"]].rows, shapes[e["name"]].columns],
            "bytes": e["stored_bytes"],
        }
        for e in header["sections"]
        if e["name"] in shapes
    ]


def load(path: Path) -> AvatarArrays:
    """Read and decode an avatar file; errors name the file."""
    try:
        return decode(path.read_bytes())
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
