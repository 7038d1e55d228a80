"""Other people's readers of splats: PlayCanvas' splat-transform (with Niantic's and Adobe's own `.spz` code) and
pygltflib; Khronos' glTF validator. None of them shares code with `web_export/exchange`.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
from scipy.spatial.transform import Rotation

TOOLS = Path(__file__).parent / "exchange_tools"
SPLAT_TRANSFORM = TOOLS / "node_modules" / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs"
VALIDATOR = TOOLS / "node_modules" / "gltf-validator"
needs_tools = pytest.mark.skipif(
    not (SPLAT_TRANSFORM.is_file() and VALIDATOR.is_dir()),
    reason="tests/exchange_tools has no packages (npm ci there; `make test` does it)",
)
SH_C0 = 0.28209479177387814
VALIDATE = """
import { readFile } from 'node:fs/promises';
import { validateBytes } from 'gltf-validator';
const report = await validateBytes(new Uint8Array(await readFile(process.argv[1])), { maxIssues: 0 });
console.log(JSON.stringify(report));
"""


def splat_transform(source: Path, target: Path) -> None:
    """Convert; splat-transform's tables are in the axes of a `.ply`, whatever the source was."""
    command = ["node", str(SPLAT_TRANSFORM), "-q", "-w", str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def read_csv(path: Path) -> dict[str, np.ndarray]:
    """Columns of a table that splat-transform wrote."""
    names = path.read_text().partition("\n")[0].split(",")
    table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return {name: table[:, i] for i, name in enumerate(names)}


def gaussians_of_table(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mean, covariance, colour and opacity of the columns of 3D Gaussian splatting's `.ply`."""

    def columns(*names: str) -> np.ndarray:
        return np.stack([np.asarray(table[name], np.float64) for name in names], 1)

    R = Rotation.from_quat(columns("rot_1", "rot_2", "rot_3", "rot_0")).as_matrix()
    half = R * np.exp(columns("scale_0", "scale_1", "scale_2"))[:, None]
    return {
        "mean": columns("x", "y", "z"),
        "covariance": half @ half.transpose(0, 2, 1),
        "color": np.maximum(0.5 + SH_C0 * columns("f_dc_0", "f_dc_1", "f_dc_2"), 0),
        "opacity": 1 / (1 + np.exp(-np.asarray(table["opacity"], np.float64))),
    }


def turned(g: dict[str, np.ndarray], R: np.ndarray) -> dict[str, np.ndarray]:
    """The same Gaussians in other axes."""
    return g | {"mean": g["mean"] @ R.T, "covariance": R @ g["covariance"] @ R.T}


def validate(path: Path) -> dict[str, Any]:
    """The report of Khronos' validator."""
    command = ["node", "--input-type=module", "-e", VALIDATE, str(path.absolute())]
    done = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def problems(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Errors and warnings, without those that say that the validator (2.0.0-dev.3.10) does not know the extension."""
    unknown = "KHR_gaussian_splatting"
    found = [message for message in report["issues"]["messages"] if message["severity"] <= 1]
    return [
        message for message in found
        if not (message["code"] == "MESH_PRIMITIVE_INVALID_ATTRIBUTE" and f"/{unknown}:" in message["pointer"])
        and not (message["code"] == "UNSUPPORTED_EXTENSION" and unknown in message["message"])
    ]  # fmt: skip


DTYPES = {5126: "<f4", 5121: "u1", 5123: "<u2", 5125: "<u4"}
WIDTHS = {"SCALAR": (), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}


def load_glb(path: Path) -> Any:
    """The document; pygltflib's own types say of everything that it may be missing."""
    return pygltflib.GLTF2().load_binary(str(path))


def accessor(gltf: Any, index: int) -> np.ndarray:
    """The numbers of one accessor; normalised integers as 0..1, matrices by rows."""
    entry = gltf.accessors[index]
    view = gltf.bufferViews[entry.bufferView]
    start = (view.byteOffset or 0) + (entry.byteOffset or 0)
    shape, dtype = (entry.count, *WIDTHS[entry.type]), np.dtype(DTYPES[entry.componentType])
    count = int(np.prod(shape))
    values = np.frombuffer(gltf.binary_blob(), dtype, count, start).reshape(shape)
    if len(shape) == 3:
        values = values.transpose(0, 2, 1)
    return values / np.iinfo(dtype).max if entry.normalized else values


def gaussians_of_gltf(path: Path) -> dict[str, np.ndarray]:
    """Mean, covariance, colour and opacity of a primitive with KHR_gaussian_splatting."""
    gltf = load_glb(path)
    assert "KHR_gaussian_splatting" in gltf.extensionsUsed
    primitive = gltf.meshes[0].primitives[0]
    assert primitive.mode == pygltflib.POINTS and "KHR_gaussian_splatting" in primitive.extensions
    named = {
        key.rpartition(":")[2]: accessor(gltf, i) for key, i in vars(primitive.attributes).items() if i is not None
    }
    half = Rotation.from_quat(named["ROTATION"]).as_matrix() * named["SCALE"][:, None].astype(np.float64)
    return {
        "mean": named["POSITION"].astype(np.float64),
        "covariance": half @ half.transpose(0, 2, 1),
        "color": np.maximum(0.5 + SH_C0 * named["SH_DEGREE_0_COEF_0"], 0),
        "opacity": named["OPACITY"],
        "points": named["COLOR_0"],
    }
