"""Files that one of the two readers once took and the other refused, or that an engine's JSON or gzip would take: both
readers say the same of each. `tests/bench/fuzz_bundle.py` looks for more."""

import base64
import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerfstudio_mobavatar.web_export import bundle, container
from tests.avatar_files import HEADER_START, with_header, with_section, with_text
from tests.bench import fuzz_bundle
from tests.browser import NO_CHROMIUM, browser, chromium, serve
from tests.synthetic_avatar import SyntheticAvatar
from tests.test_bundle import WRONG_NUMBERS, with_number
from tests.test_pose_binary import REFUSED as DAMAGED_MOTIONS

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (fuzz_bundle.VIEWER / "node_modules").is_dir(),
    reason="the page's reader needs node and the packages of web_export/viewer (npm ci there)",
)
DATA = (fuzz_bundle.GOLDENS / "avatar_v2_small.mobavatar").read_bytes()
OLD = (fuzz_bundle.GOLDENS / "avatar_v1.mobavatar").read_bytes()
HEADER: dict[str, Any] = container.read(DATA)[1]
TEXT = DATA[HEADER_START : container.read(DATA)[2]]
INPUTS = HEADER["layer_sizes"][0]
LEVEL = {"count": 9, "enlarge": 1.5, "pixels_per_metre": 3}
REGION = {"name": "a", "joints": [1], "mean": [0, 0, 0], "poses": [[0, 0, 0]], "radius": 1, "softness": 1}
EMPTY = gzip.compress(b"", mtime=0)


def _header(**change: Any) -> bytes:
    return with_header(DATA, change)


def _meta(**change: Any) -> bytes:
    return _header(meta=HEADER["meta"] | change)


def _text(old: str, new: str) -> bytes:
    assert TEXT.count(old.encode()) == 1, old
    return with_text(DATA, TEXT.replace(old.encode(), new.encode()))


def _steps(**change: Any) -> bytes:
    return _header(steps=HEADER["steps"] | change)


def _entry(name: str, **change: Any) -> bytes:
    return _header(sections=[e | change if e["name"] == name else e for e in HEADER["sections"]])


def _old(**change: Any) -> bytes:
    """Version 1, where the header has no checksum."""
    _, header, start = container.read(OLD)
    sections = [e | change if e["name"] == "gaussians" else e for e in header["sections"]]
    text = json.dumps(header | {"sections": sections}).encode()
    return OLD[:12] + np.uint32(len(text)).tobytes() + text + OLD[start:]


def _older(version: int) -> bytes:
    return DATA[:8] + np.uint32(version).tobytes() + DATA[12:]


def _weights_of_four_bytes(raw: bytes) -> bytes:
    rows = np.full((3, HEADER["num_gaussians"]), 0, np.uint32)
    rows[0, 0] = 1 << 31  # negative to a reader that takes it as signed
    planes = (rows[:, None] >> (8 * np.arange(4, dtype=np.uint32))[None, :, None]) & 255
    return gzip.compress(planes.astype(np.uint8).tobytes(), mtime=0)


@cache
def _avatar() -> bundle.AvatarArrays:
    """Its last Gaussian but one keeps a colour."""
    made = SyntheticAvatar(num_gaussians=500, num_parts=9, num_nodes=40, num_kept=60).build()
    return replace(made, color_index=np.r_[made.color_index[:-2], 498, 499])


def _with_number(name: str, value: int) -> bytes:
    return with_number(_avatar(), name, value)


def _still(raw: bytes) -> bytes:
    """Rotations of which the three small numbers are 0."""
    return gzip.compress(bytes(4 * HEADER["num_gaussians"]), mtime=0)


def _edge_of_the_root() -> bytes:
    return with_section(with_header(DATA, {"steps": HEADER["steps"] | {"rotation": 1e200}}), "rotation", _still,
                        coding="plain", planes=1)  # fmt: skip


REFUSED: dict[str, Callable[[], bytes]] = {
    "payload ends before the file": lambda: DATA + b"\0",
    "payload ends behind the file": lambda: _header(payload_bytes=HEADER["payload_bytes"] + 1),
    "a section ends behind the payload": lambda: _header(payload_bytes=HEADER["payload_bytes"] - 1),
    "format 0": lambda: _older(0),
    "nothing behind the preamble": lambda: DATA[:12] + bytes(4),
    "a header in UTF-16": lambda: with_text(DATA, TEXT.decode().encode("utf-16-le")),
    "a byte order mark": lambda: with_text(DATA, b"\xef\xbb\xbf" + TEXT),
    "half a surrogate pair": lambda: _text('"synthetic"', '"\\ud800"').replace(b"\\ud800", b"\xed\xa0\x80   "),
    "NaN": lambda: _text('"leaky_relu_slope":0.01', '"leaky_relu_slope":NaN'),
    "lists in lists": lambda: _meta(deep=json.loads("[" * 40 + "]" * 40)),
    "lists in lists, as many as break a reader": lambda: _text('"synthetic"', "[" * 5000 + "]" * 5000),
    "a header that is a list": lambda: with_text(DATA, b"[]"),
    "regions are null": lambda: _header(trained_regions=None),
    "a region's number is text": lambda: _header(trained_regions=[REGION | {"radius": "1"}]),
    "a region's number is true": lambda: _header(trained_regions=[REGION | {"mean": [True, 0, 0]}]),
    "a range of text": lambda: _header(input_range=[["0"] * INPUTS] * 2),
    "a range of true": lambda: _header(input_range=[[True] * INPUTS] * 2),
    "a range that descends beyond float32": lambda: _header(input_range=[[1.00000001] * INPUTS, [1] * INPUTS]),
    "a range beyond float32": lambda: _header(input_range=[[0] * INPUTS, [1e39] * INPUTS]),
    "levels are null": lambda: _header(levels=None),
    "levels are an object": lambda: _header(levels={}),
    "a level's factor is true": lambda: _header(levels=[LEVEL | {"enlarge": True}]),
    "fineness is null": lambda: _header(pixels_per_metre=None),
    "fineness is text": lambda: _header(pixels_per_metre="7"),
    "fineness is true": lambda: _header(pixels_per_metre=True),
    "no Gaussian": lambda: _header(num_gaussians=0),
    "no coefficient": lambda: _header(basis_size=0),
    "no set of joints": lambda: _header(num_skin_sets=0),
    "a last layer of another width": lambda: _header(layer_sizes=[*HEADER["layer_sizes"][:-1], 7]),
    "more of the head than parts": lambda: _header(num_head_parts=HEADER["num_parts"] + 1),
    "more of the pose than inputs": lambda: _header(num_pose_inputs=INPUTS + 1),
    "corners the wrong way round": lambda: _header(position_low=[999, 999, 999]),
    "a slope above 1": lambda: _header(leaky_relu_slope=1.5),
    "no third number of up": lambda: _meta(up=[0, 1]),
    "a centre of text": lambda: _meta(center=["0", "1", "0"]),
    "a radius of 0": lambda: _meta(radius=0),
    "a rate that is text": lambda: _meta(fps="30"),
    "a licence that is a number": lambda: _meta(license=3),
    "a step whose square is infinite": _edge_of_the_root,
    "a checksum that is true": lambda: _entry("part", crc32=True),
    "a coding that is a list": lambda: _entry("part", coding=["plain"]),
    "weights beyond 2^31": lambda: with_section(DATA, "skin_weight", _weights_of_four_bytes, coding="plain", planes=4),
    "two streams": lambda: with_section(DATA, "part", lambda stored: stored + stored),
    "a stream and an empty one": lambda: with_section(DATA, "part", lambda stored: stored + EMPTY),
    "zeros behind a stream": lambda: with_section(DATA, "part", lambda stored: stored + bytes(8)),
    "text behind a stream": lambda: with_section(DATA, "part", lambda stored: stored + b"xyz"),
    "no stream at all": lambda: with_section(DATA, "part", lambda _: b""),
    "half a stream": lambda: with_section(DATA, "part", lambda stored: stored[:-9]),
    **{f"{name} holds {value}": partial(_with_number, name, value) for name, value, _ in WRONG_NUMBERS},
    **{
        f"{name} holds {value}": partial(_with_number, name, value)
        for name, value in (
            ("rotation", -1),
            ("joint_parent", -2),
            ("mlp_weights_0", -(1 << 30)),
            ("color_index", 498),
            ("node_part", 1 << 31),
        )
    },
    "version 1, rows of -1": lambda: _old(shuffle=-1),
    "version 1, rows of 0": lambda: _old(shuffle=0),
    "version 1, a size of text": lambda: _old(raw_bytes="14448"),
    "version 1, no shape": lambda: _old(shape=None),
}
ACCEPTED: dict[str, Callable[[], bytes]] = {
    "as it is": lambda: DATA,
    "version 1 as it is": lambda: OLD,
    "counts with a decimal point": lambda: _text('"num_gaussians":301', '"num_gaussians":301.0'),
    "counts with an exponent": lambda: _text('"num_gaussians":301', '"num_gaussians":3.01e2'),
    "sections in another order": lambda: _header(sections=HEADER["sections"][::-1]),
    "a step that half a byte could not have": lambda: _steps(log_scale=1000),
    "whole steps": lambda: _text('"leaky_relu_slope":0.01', '"leaky_relu_slope":0'),
    "a number too large for a double, where nobody reads it": lambda: _text('"synthetic"', '"s","x":1e999'),
    "a number of 5000 digits, where nobody reads it": lambda: _text('"synthetic"', '"s","x":' + "9" * 5000),
    "a level with a note": lambda: _header(levels=[LEVEL | {"note": "from a later writer"}]),
    "a region": lambda: _header(trained_regions=[REGION]),
    "a section named like what every object has": lambda: _header(
        sections=[*HEADER["sections"], HEADER["sections"][0] | {"name": "toString"}]
    ),
    "a key named like what every object has": lambda: _header(__proto__={"kept": [1, 2, 3]}, constructor=1),
    "version 1 with a section named like what every object has": lambda: _with_old_section("toString"),
}


def _with_old_section(name: str) -> bytes:
    _, header, start = container.read(OLD)
    header["sections"].append({"name": name, "offset": 0, "stored_bytes": 9, "crc32": 0})
    text = json.dumps(header).encode()
    return OLD[:12] + np.uint32(len(text)).tobytes() + text + OLD[start:]


@cache
def _files() -> dict[str, bytes]:
    return {name: make() for name, make in (REFUSED | ACCEPTED).items()}


@pytest.mark.parametrize("name", REFUSED | ACCEPTED)
def test_python_refuses_or_reads(name: str):
    found = fuzz_bundle._by_python(_files()[name])
    assert ("sum" in found) == (name in ACCEPTED), found
    assert found.get("is_ours", True) and "TypeCheckError" not in found.get("error", ""), found


@needs_node
def test_the_page_says_the_same(tmp_path: Path):
    files = _files()
    found = dict(zip(files, fuzz_bundle.by_typescript(list(files.values()), tmp_path)))
    wrong = {name: f for name, f in found.items() if ("sum" in f) != (name in ACCEPTED) or not f.get("is_ours", True)}
    assert not wrong
    assert {name: found[name]["sum"] for name in ACCEPTED} == {n: fuzz_bundle.digest(files[n]) for n in ACCEPTED}


@needs_node
def test_the_page_refuses_the_same_motions(tmp_path: Path):
    files = {name: make() for name, (make, _) in DAMAGED_MOTIONS.items()}
    found = fuzz_bundle.by_typescript(list(files.values()), tmp_path)
    assert not [name for name, f in zip(files, found) if not f.get("is_ours")]


@needs_node
def test_the_page_reads_tables_of_more_than_one_block_alike(tmp_path: Path):
    """More Gaussians, rows of bases and rows of networks than the page takes at a time."""
    made = SyntheticAvatar(num_gaussians=9000, num_parts=40, num_nodes=300, num_kept=600, basis_size=6, hidden=(7,))
    data = bundle.encode(made.build(), bundle.PRESETS["balanced"])
    (found,) = fuzz_bundle.by_typescript([data], tmp_path)
    assert found.get("sum") == fuzz_bundle.digest(data), found


@needs_node
@pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)
def test_a_browser_says_the_same(tmp_path: Path):
    """Its JSON and gzip are not Node's. A stream behind an empty one is left to it: Node reads on."""
    files = _files() | {"an empty stream and another": with_section(DATA, "part", lambda stored: EMPTY + stored)}
    build = ["node", "build.mjs", "--load", str(tmp_path)]
    subprocess.run(build, cwd=fuzz_bundle.VIEWER, check=True, capture_output=True, timeout=120)
    (tmp_path / "index.html").write_text('<!doctype html><meta charset="utf-8"><script src="load.js"></script>')
    with browser(()) as chrome, serve(tmp_path) as url:
        page = chrome.new_page()
        page.goto(url)
        encoded = {name: base64.b64encode(data).decode() for name, data in files.items()}
        found = page.evaluate("(files) => load.verdicts(files)", encoded)
    assert {name for name, error in found.items() if error is None} == set(ACCEPTED), found
    with pytest.raises(bundle.BundleError, match="not one whole gzip stream"):
        bundle.decode(files["an empty stream and another"])
