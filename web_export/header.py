"""The JSON header of an avatar file: read as a page reads it, and refused where it says nonsense. Twin: header.ts.

Both readers refuse the same headers: a number is what JavaScript makes of it (`7.0` is a count, integers are exact up
to 2^53), a list is a list, true is no number. Whatever is optional is checked like the rest where it is there.
"""

import json
import math
from typing import Any

from nerfstudio_mobavatar import trained_poses
from nerfstudio_mobavatar.integer_tables import CODINGS, MAX_PLANES

from .arrays import BundleError
from .detail import levels_fault
from .schema import ARRAYS, ATTRIBUTES, COUNT_LIMITS, MAX_BASIS, MAX_GAUSSIANS, MAX_INPUT, MAX_METRES, STEPS, WHOLES
from .schema import streams as stream_shapes

MAX_DEPTH = 16
"""Lists and objects inside each other; how many a JSON reader survives differs."""
MAX_SECTIONS = 1000
MAX_SHUFFLE = 64
"""Version 1: most bytes of a row."""


def parse(text: bytes) -> dict[str, Any]:
    """The header's text as an object. Raises `BundleError`."""
    try:
        found = json.loads(
            text.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_number, parse_int=_number
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"the header is not JSON ({error}); the file is damaged, copy or export it again") from None
    need(isinstance(found, dict), "expected an object")
    need(_depth_within(found, MAX_DEPTH), f"lists lie more than {MAX_DEPTH} deep in each other")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _number(text: str) -> int | float:
    """A double, as JavaScript has them; int where that says the same."""
    x = float(text)
    return int(x) if abs(x) <= 1 << 53 and x.is_integer() else x


def _depth_within(value: Any, most: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inside = value.values() if isinstance(value, dict) else value
    return most > 0 and all(_depth_within(v, most - 1) for v in inside)


def is_count(x: Any, low: int = 0, high: int = 1 << 31) -> bool:
    """Whether it is an integer in that range."""
    return isinstance(x, int) and not isinstance(x, bool) and low <= x <= high


def is_number(x: Any, low: int | float = -math.inf, high: int | float = math.inf) -> bool:
    """Whether it is a finite number in that range."""
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) and low <= x <= high


def is_row(x: Any, length: int, most: int | float = math.inf) -> bool:
    """Whether it is a list of so many finite numbers of at most that size."""
    return isinstance(x, list) and len(x) == length and all(is_number(v, -most, most) for v in x)


def need(ok: bool, what: str) -> None:
    """Raise `BundleError` for a header that says something else."""
    if not ok:
        raise BundleError(f"the header is damaged: {what}; copy or export the file again")


def check(header: dict[str, Any], version: int) -> None:
    """Raise `BundleError` unless the header describes an avatar; before anything of it sizes an array."""
    _check_counts(header)
    _check_options(header)
    _check_meta(header.get("meta"))
    _check_entries(header)
    if version > 1:
        _check_precision(header)
    else:
        _check_version_1(header)


def _check_counts(header: dict[str, Any]) -> None:
    for key, (low, high) in COUNT_LIMITS.items():
        found = header.get(key)
        need(is_count(found, low, high), f"{key} is {found}, expected a count of {low} to {high}")
    sizes = header.get("layer_sizes")
    is_sizes = isinstance(sizes, list) and 2 <= len(sizes) <= 64 and all(is_count(s, 1, 2 * MAX_BASIS) for s in sizes)
    need(is_sizes, "layer_sizes must be two counts or more")
    need(header["layer_sizes"][-1] == 2 * header["basis_size"], "the last layer is not two bases wide")
    need(header["num_pose_inputs"] <= header["layer_sizes"][0], "more pose inputs than inputs")
    need(header["num_head_parts"] <= header["num_parts"], "more parts on the head than parts")
    low, high = header.get("position_low"), header.get("position_high")
    for key, corner in (("position_low", low), ("position_high", high)):
        need(is_row(corner, 3, MAX_METRES), f"{key} must be three numbers of at most {MAX_METRES} metres")
    need(all(a <= b for a, b in zip(low or (), high or ())), "position_low lies beyond position_high")
    slope = header.get("leaky_relu_slope")
    need(is_number(slope, 0, 1), f"leaky_relu_slope is {slope}, expected a number of 0 to 1")


def _check_options(header: dict[str, Any]) -> None:
    """What a header may leave out."""
    inputs = header["layer_sizes"][0]
    if "input_range" in header:
        rows = header["input_range"]
        is_range = isinstance(rows, list) and len(rows) == 2 and all(is_row(row, inputs, MAX_INPUT) for row in rows)
        is_range = is_range and all(low <= high for low, high in zip(*rows))
        need(is_range, f"input_range must be two rows of {inputs} ascending numbers")
    fault = trained_poses.regions_fault(header.get("trained_regions", []), header["num_pose_inputs"])
    need(fault is None, fault or "")
    fault = levels_fault(header.get("levels", []), header["num_gaussians"])
    need(fault is None, fault or "")
    fineness = header.get("pixels_per_metre", 1)
    need(is_number(fineness) and fineness > 0, f"pixels_per_metre is {fineness}, expected a number above 0")


def _check_meta(meta: Any) -> None:
    """What hosts draw and show by; the rest of `meta` is anybody's."""
    need(isinstance(meta, dict), "meta must be an object")
    for key in ("up", "front", "center"):
        need(key not in meta or is_row(meta[key], 3, MAX_METRES), f"meta.{key} must be three numbers")
    for key in ("radius", "fps"):
        found = meta.get(key, 1)
        need(is_number(found, 0, MAX_METRES) and found > 0, f"meta.{key} is {found}, expected a number above 0")
    for key in ("generator", "body", "body_license", "license"):
        need(isinstance(meta.get(key, ""), str), f"meta.{key} must be text")


def _check_entries(header: dict[str, Any]) -> None:
    """Sections have names of their own and lie inside the payload."""
    entries = header.get("sections")
    is_list = isinstance(entries, list) and len(entries) <= MAX_SECTIONS and all(isinstance(e, dict) for e in entries)
    need(is_list, f"sections must be a list of at most {MAX_SECTIONS} objects")
    for entry in header["sections"]:
        name = entry.get("name")
        need(isinstance(name, str), "a section has no name")
        for key in ("offset", "stored_bytes", "crc32"):
            need(is_count(entry.get(key), 0, (1 << 32) - 1), f"section '{name}' has the {key} {entry.get(key)}")
        end = entry["offset"] + entry["stored_bytes"]
        need(end <= header["payload_bytes"], f"section '{name}' ends beyond the payload")
    names = [entry["name"] for entry in header["sections"]]
    need(len(set(names)) == len(names), "a section comes twice")


def _check_precision(header: dict[str, Any]) -> None:
    """What version 2 adds to the header."""
    kept, n = header.get("kept"), header["num_gaussians"]
    need(isinstance(kept, list) and len(kept) == 3 and all(is_count(c, 0, n) for c in kept), "kept must be 3 counts")
    need(is_count(header.get("num_skin_sets"), 1, MAX_GAUSSIANS), "num_skin_sets must be a count")
    steps, levels = header.get("steps"), header.get("shares")
    for name in STEPS:
        value: Any = steps.get(name) if isinstance(steps, dict) else None
        need(is_number(value) and value > 0, f"steps.{name} is {value}, expected a number above 0")
    for name, whole in WHOLES.items():
        value: Any = levels.get(name) if isinstance(levels, dict) else None
        need(is_count(value, 1, whole) and whole % value == 0, f"shares.{name} is {value}, no divisor of {whole}")
    known = stream_shapes(header)
    for entry in header["sections"]:
        coding, planes = entry.get("coding"), entry.get("planes")
        is_known = isinstance(coding, str) and coding in CODINGS and is_count(planes, 1, MAX_PLANES)
        need(
            entry["name"] not in known or is_known,
            f"section '{entry['name']}' has the coding {coding} of {planes} bytes",
        )


def _check_version_1(header: dict[str, Any]) -> None:
    """Sections of version 1 say themselves what they are."""
    for entry in header["sections"]:
        name = entry["name"]
        if name not in ARRAYS:
            continue
        shape, dtype = entry.get("shape"), ARRAYS[name][0]
        is_shape = isinstance(shape, list) and 1 <= len(shape) <= 4 and all(is_count(s) for s in shape)
        need(entry.get("dtype") == dtype, f"section '{name}' holds {entry.get('dtype')}, expected {dtype}")
        need(is_shape, f"section '{name}' has no shape")
        size, row = entry.get("raw_bytes"), entry.get("shuffle")
        need(is_count(size), f"section '{name}' has the raw_bytes {size}")
        is_row_size = is_count(row, 1, MAX_SHUFFLE) and entry["raw_bytes"] % entry["shuffle"] == 0
        need(is_row_size, f"section '{name}' of {size} bytes has rows of {row}")
    for name, count in zip(ATTRIBUTES, kept_of_version_1(header)):
        need(count <= header["num_gaussians"], f"'{name}_index' is longer than the list of Gaussians")


def kept_of_version_1(header: dict[str, Any]) -> list[int]:
    """What version 2 writes as `kept`."""
    shapes = {entry["name"]: entry.get("shape") for entry in header["sections"]}
    return [shapes.get(f"{name}_index", [0])[0] for name in ATTRIBUTES]
