"""A user's template mesh: read, welded, and refused where it cannot be this person's (every error before training).

Formats and their parsers are trimesh's: OBJ, PLY, glTF binary, STL, OFF. Any triangles will do: open surfaces, several
shells, non-manifold edges. What a mesh must be: metres, the capture's axes, around the whole body, in a known pose.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import permutations, product
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

SUFFIXES = (".obj", ".ply", ".glb", ".stl", ".off")
LEAST_VERTICES, MOST_VERTICES = 200, 500_000
"""Below, a mesh is no person; above, it is a scan that only costs time (Gaussians are sampled on it anyway)."""
MOST_BYTES = 256 << 20
NEAR_M = 0.15
"""Half of the template must lie this close to the body, and so must `LEAST_COVERED` of the body to the template."""
LEAST_COVERED = 0.75
UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001, "inches": 0.0254, "decimetres": 0.1}
_SAMPLES = 400


class TemplateError(ValueError):
    """A template mesh that cannot be used. The message says where, what was expected, what was found, what to do."""


@dataclass(frozen=True)
class TemplateMesh:
    """Triangles around a person, and the pose that the person has in them."""

    source: str
    """What messages call it."""
    vertices: Float[ndarray, "v 3"]
    """Metres, the world in which `pose` and `transl` place the body."""
    faces: Int[ndarray, "f 3"]
    pose: Float[Tensor, "55 3"]
    """Axis-angle, as in a body fit."""
    transl: Float[Tensor, " 3"]


def read_triangles(path: Path) -> tuple[Float[ndarray, "v 3"], Int[ndarray, "f 3"]]:
    """Welded vertices and triangles of a mesh file.

    Raises `TemplateError` where the file is missing, unreadable, empty, not finite, or of an absurd size.
    """
    if not path.is_file():
        raise TemplateError(f"{path}: no such template mesh; expected a file ending in {', '.join(SUFFIXES)}")
    if path.suffix.lower() not in SUFFIXES:
        raise TemplateError(f"{path}: expected a mesh ending in {', '.join(SUFFIXES)}, found '{path.suffix}'")
    if path.stat().st_size > MOST_BYTES:
        raise TemplateError(f"{path}: {path.stat().st_size >> 20} MB; expected at most {MOST_BYTES >> 20}: simplify it")
    import trimesh  # only users with a template mesh pay for the import

    try:
        if path.suffix.lower() == ".glb":
            _check_glb(path)
        # as a stream, without a resolver: a mesh may name other files (materials, pictures), which stay closed
        with BytesIO(path.read_bytes()) as stream:
            scene = trimesh.load_scene(stream, file_type=path.suffix[1:].lower(), process=False, skip_materials=True)
        points = sum(len(part.vertices) for part in scene.geometry.values() if hasattr(part, "vertices"))
        loaded = scene.to_mesh()
        vertices, faces = np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces, np.int64)
        if len(faces) and (vertices.shape[1:] != (3,) or faces.shape[1:] != (3,)):
            raise ValueError(f"vertices {vertices.shape}, triangles {faces.shape}")
    except Exception as error:  # a damaged file can raise anything at all
        said = f"{type(error).__name__}: {str(error)[:300]}"
        raise TemplateError(f"{path}: cannot be read as a mesh ({said})") from error
    if len(faces) == 0:
        kind = f"{points:,} points without triangles (a scan?): make a surface of them first" if points else "nothing"
        raise TemplateError(f"{path}: expected a triangle mesh, found {kind}")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise TemplateError(f"{path}: a triangle names vertex {faces.max()} of {len(vertices)}; write the file again")
    bad = int((~np.isfinite(vertices[np.unique(faces)])).any(1).sum())
    if bad:
        raise TemplateError(f"{path}: {bad} of {len(vertices)} vertices are not finite numbers; remove or mend them")
    with np.errstate(over="ignore", invalid="ignore"):
        vertices, faces = weld(vertices, faces)
    if not LEAST_VERTICES <= len(vertices) <= MOST_VERTICES:
        remedy = "simplify it (20,000 are plenty)" if len(vertices) > MOST_VERTICES else "give the whole person's mesh"
        raise TemplateError(
            f"{path}: {len(vertices):,} vertices; expected {LEAST_VERTICES:,} to {MOST_VERTICES:,}: {remedy}"
        )
    return vertices.astype(np.float32), faces


def _check_glb(path: Path) -> None:
    """trimesh sets memory aside for as many numbers as a glTF's accessors claim. Raises anything for a damaged file."""
    content = path.read_bytes()
    document = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    counts = [accessor["count"] for accessor in document.get("accessors", [])]
    if not all(type(count) is int and count >= 0 for count in counts) or sum(counts) > len(content):
        raise ValueError("it claims more numbers than it has bytes")


def weld(vertices: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"]) -> tuple[ndarray, ndarray]:
    """One vertex for each place (texture seams and STL have several), without flat triangles and unused vertices."""
    used, faces = np.unique(faces, return_inverse=True)
    points, faces = vertices[used], faces.reshape(-1, 3)
    step = max(float(np.ptp(points, axis=0).max()), 1e-12) * 1e-6
    _, first, inverse = np.unique(np.round(points / step), axis=0, return_index=True, return_inverse=True)
    faces = inverse.ravel()[faces]
    flat = (faces[:, 0] == faces[:, 1]) | (faces[:, 1] == faces[:, 2]) | (faces[:, 2] == faces[:, 0])
    used, faces = np.unique(faces[~flat], return_inverse=True)
    return points[first[used]], faces.reshape(-1, 3).astype(np.int64)


def check_fits(mesh: TemplateMesh, bodies: dict[str, Float[ndarray, "b 3"]], named: str) -> None:
    """Raise `TemplateError` unless the mesh lies around the body.

    Args:
        bodies: the person's body in every pose that the mesh could have been made in, in metres.
        named: key of the pose that the user says the mesh is in.
    """
    body = bodies[named]
    points = _spread(mesh.vertices)
    there, back = _distances(points, _spread(body, 4 * _SAMPLES))
    covered = float((back <= NEAR_M).mean())
    if np.median(there) <= NEAR_M and covered >= LEAST_COVERED:
        _check_pose(mesh, points, bodies, named)
        return
    found = f"it lies {np.median(there):.2f} m (median) from the body and covers {covered:.0%} of it"
    raise TemplateError(
        f"{mesh.source}: expected a mesh around the whole body in the pose '{named}', in metres, found that {found}. "
        f"{_advice(points, mesh.vertices, body, covered)}"
    )


def _check_pose(mesh: TemplateMesh, points: ndarray, bodies: dict[str, ndarray], named: str) -> None:
    """Legs apart or together: the mesh may lie around the body and still be in another pose than it is said to be."""
    error = {name: float(np.mean(_distances(points, _spread(body, 4 * _SAMPLES))[1])) for name, body in bodies.items()}
    best = min(error, key=lambda name: error[name])
    if error[best] < 0.6 * error[named]:
        raise TemplateError(
            f"{mesh.source}: expected the pose '{named}', found that it fits the pose '{best}' better (the body is "
            f"{error[best] * 100:.1f} instead of {error[named] * 100:.1f} cm from it): --pipeline.model.template-pose "
            f"{best}, or pose the mesh anew"
        )


def _advice(points: ndarray, vertices: ndarray, body: ndarray, covered: float) -> str:
    """Which unit, axes or place would fit; else what the mesh seems to be."""
    target = _spread(body)
    tree = KDTree(target)
    size = float(np.linalg.norm(np.ptp(vertices, axis=0))) / float(np.linalg.norm(np.ptp(body, axis=0)))

    def misfit(moved: ndarray) -> float:
        return float(np.mean(tree.query(moved)[0]) + np.mean(KDTree(moved).query(target)[0]))

    tried = []
    for unit, scale in UNITS.items():
        if 0.4 < size * scale < 2.5:
            for name, R in _axes():
                turned = scale * points @ R.T
                shift = 0.5 * (target.min(0) + target.max(0) - turned.min(0) - turned.max(0))
                tried.append((misfit(turned), 0, unit, name, None))
                tried.append((misfit(turned + shift) + 0.02, 1, unit, name, shift))
    if not tried:
        return (
            f"Its size is {size:.3g} times the body's, which is no unit that is known here "
            f"({', '.join(UNITS)}): scale it to metres"
        )
    error, _, unit, axes, shift = min(tried, key=lambda t: t[:2])
    if error > 2 * NEAR_M:
        part = "; a part of the clothing alone is not enough, join it with the body" if covered < LEAST_COVERED else ""
        return f"No unit, axes or shift make it fit: is it this person, in this pose{part}?"
    wrong = []
    if unit != "metres":
        wrong.append(f"its numbers look like {unit}: scale it by {UNITS[unit]:g}")
    if axes:
        wrong.append(f"its axes look turned: {axes}")
    if shift is not None:
        wrong.append(f"it stands elsewhere: move it by ({', '.join(f'{s:.2f}' for s in shift)}) m")
    return ("Then it would fit: " + "; ".join(wrong)) if wrong else "Is it this person, in this pose?"


def _axes() -> Iterator[tuple[str, Float[ndarray, "3 3"]]]:
    """The 24 rotations that map axes to axes, and how to undo what the file seems to have; the identity first."""
    yield "", np.eye(3)
    names = "xyz"
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            R = np.zeros((3, 3))
            for row, (column, sign) in enumerate(zip(order, signs)):
                R[row, column] = sign
            if np.linalg.det(R) > 0 and not np.allclose(R, np.eye(3)):
                up = f"{'-' if signs[1] < 0 else ''}{names[order[1]]}"
                what = " ".join(f"{'-' if s < 0 else ''}{names[c]}" for c, s in zip(order, signs))
                yield f"the body's y is the file's {up}; write ({what}) as (x y z)", R


def _spread(points: ndarray, count: int = _SAMPLES) -> ndarray:
    return points[np.linspace(0, len(points) - 1, min(count, len(points))).astype(int)].astype(np.float64)


def _distances(a: ndarray, b: ndarray) -> tuple[ndarray, ndarray]:
    return KDTree(b).query(a)[0], KDTree(a).query(b)[0]
