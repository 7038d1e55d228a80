"""Reading body files in SMPL-X format: numbers only, nothing in the file is ever executed.

`.npz` is read without pickles, taking only the known numeric keys. `.pkl` (how the SMPL family was first published)
goes through an unpickler (`plain_pickle`) that knows numpy arrays, SciPy sparse matrices and the arrays inside `chumpy`
objects, and refuses everything else. `chumpy` itself is never imported (it no longer installs).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from nerfstudio_mobavatar import plain_pickle
from nerfstudio_mobavatar.capture import NUM_JOINTS
from nerfstudio_mobavatar.plain_data import MOST_BYTES, NotPlainError, read_npz
from nerfstudio_mobavatar.plain_pickle import RefusedPickleError, StandIn

MARKER_KEY = "mobavatar_body"
"""Key that only our own CC0 body carries; such a file never needs the `smplx` package."""

REQUIRED_KEYS = (
    "v_template", "f", "weights", "J_regressor", "shapedirs", "posedirs", "kintree_table",
    "hands_componentsl", "hands_componentsr", "hands_meanl", "hands_meanr",
)  # fmt: skip
OPTIONAL_KEYS = ("lmk_faces_idx", "lmk_bary_coords", "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords", "vt", "ft")
GENDERS = ("neutral", "male", "female")

FULL_SHAPE_COLUMNS = 300
"""Files with at least 400 `shapedirs` columns hold 300 shape and 100 expression directions; smaller ones hold 10 shape
directions followed by at most 10 expression directions (the rule of the `smplx` package)."""
FULL_EXPRESSION_COLUMNS = 100
MOST_DENSE = 1 << 24
"""Numbers of a sparse matrix made dense; SMPL-X's joint regressor has 576,000."""


class BodyFileError(ValueError):
    """A body file that cannot be used. The message says which file, what was found, what was expected, what to do."""


@dataclass(frozen=True)
class BodyFile:
    """The numbers of one SMPL-X-format file, checked. `v` vertices, 55 joints; metres."""

    path: Path
    marker: str
    """Text of the open body's marker, empty for any other file."""
    v_template: Float[ndarray, "v 3"]
    faces: Int[ndarray, "f 3"]
    weights: Float[ndarray, "v 55"]
    J_regressor: Float[ndarray, "55 v"]
    shape_dirs: Float[ndarray, "v 3 b"]
    expression_dirs: Float[ndarray, "v 3 e"]
    pose_dirs: Float[ndarray, "v 3 486"]
    """Offset per entry of `R_parent_joint - I` of joints 1..54, row-major."""
    parents: tuple[int, ...]
    hand_mean: Float[ndarray, "30 3"]
    """Left 15 joints, then right 15."""
    hand_components: Float[ndarray, "2 45 45"]
    """Rows are principal components of the left and the right hand."""
    arrays: dict[str, ndarray]
    """The same content under the file's own key names, for the `smplx` package."""


def find_body_file(source: Path, gender: str) -> Path:
    """The model file meant by `source`: the file itself, or `SMPLX_<GENDER>.npz/.pkl` in that folder or in its
    `smplx/` subfolder. Raises `BodyFileError` if there is none."""
    if gender not in GENDERS:
        raise BodyFileError(f"gender={gender!r}: expected one of {', '.join(GENDERS)}")
    if source.is_file():
        return source
    names = [f"SMPLX_{gender.upper()}.{ext}" for ext in ("npz", "pkl")]
    candidates = [folder / name for folder in (source, source / "smplx") for name in names]
    for path in candidates:
        if path.is_file():
            return path
    what = "does not exist" if not source.exists() else "is a folder without such a file"
    raise BodyFileError(
        f"{source} {what}: expected an SMPL-X model file (.npz or .pkl) or a folder holding {' or '.join(names)}. "
        "Download SMPL-X from https://smpl-x.is.tue.mpg.de and give its path, or use the body called 'open'."
    )


def read_body_file(path: Path) -> BodyFile:
    """Read and check one SMPL-X-format file. Raises `BodyFileError` for anything else."""
    arrays, marker, found = read_arrays(path, (*REQUIRED_KEYS, *OPTIONAL_KEYS))
    _check(path, arrays, found)
    return _assemble(path, arrays, marker)


def read_arrays(path: Path, keys: Sequence[str]) -> tuple[dict[str, ndarray], str, list[str]]:
    """Those of the arrays `keys` that a body file (`.npz` or `.pkl`) holds, the open body's marker, and the names of
    everything in it. Raises `BodyFileError`."""
    if path.suffix == ".npz":
        return _read_npz(path, keys)
    if path.suffix == ".pkl":
        return _read_pickle(path, keys)
    raise BodyFileError(f"{path}: expected a body file ending in .npz or .pkl, found '{path.suffix}'")


def _read_npz(path: Path, keys: Sequence[str]) -> tuple[dict[str, ndarray], str, list[str]]:
    try:
        arrays, found = read_npz(path, (*keys, MARKER_KEY))
    except NotPlainError as error:
        raise BodyFileError(
            f"{path}: not a readable .npz of plain numeric arrays, found {error}. Expected an SMPL-X model file; if it "
            "was saved with pickled objects inside, give the original download instead."
        ) from error
    marker = str(arrays.pop(MARKER_KEY, ""))
    return arrays, marker, found


def _read_pickle(path: Path, keys: Sequence[str]) -> tuple[dict[str, ndarray], str, list[str]]:
    if path.stat().st_size > MOST_BYTES:
        raise BodyFileError(f"{path}: expected a body model of at most {MOST_BYTES >> 30} GB, found more")
    stored = path.read_bytes()
    try:
        content = plain_pickle.load(stored, _find)
        if not isinstance(content, dict):
            raise BodyFileError(f"expected a pickled dictionary of arrays, found {type(content).__name__}")
        # only what is asked for: the rest may hold anything
        arrays = {key: np.asarray(plain_pickle.plain(content[key], len(stored))) for key in keys if key in content}
    except (BodyFileError, plain_pickle.RefusedPickleError) as error:
        raise BodyFileError(
            f"{path}: found {error}. A body file may hold only numbers: give the original model download, or convert "
            "the file to .npz where you trust it."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything at all
        raise BodyFileError(f"{path}: not a readable pickle ({type(error).__name__}: {str(error)[:300]})") from error
    return arrays, "", sorted(str(key)[:60] for key in content)


def _check(path: Path, arrays: dict[str, ndarray], found: list[str]) -> None:
    """Raise unless the arrays are an SMPL-X body: keys, kinds, finite numbers and shapes that fit together."""
    listing = ", ".join(found) if found else "nothing"
    remedy = "Give an SMPL-X model file (SMPLX_NEUTRAL.npz or .pkl), or use the body called 'open'."
    if "kintree_table" in arrays and arrays["kintree_table"].ndim == 2:
        joints = arrays["kintree_table"].shape[1]
        names = {24: "an SMPL file", 52: "an SMPL-H file", 16: "a MANO file", 5: "a FLAME file"}
        if joints != NUM_JOINTS:
            kind = names.get(joints, "another format")
            raise BodyFileError(f"{path}: {joints} joints, this is {kind}; expected 55 (SMPL-X). {remedy}")
    missing = [key for key in REQUIRED_KEYS if key not in arrays]
    if missing:
        raise BodyFileError(f"{path}: not an SMPL-X body, lacks {', '.join(missing)} (found: {listing}). {remedy}")
    for key, value in arrays.items():
        if value.dtype.kind not in "fiu":
            raise BodyFileError(f"{path}: '{key}' has type {value.dtype}, expected plain numbers. {remedy}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise BodyFileError(f"{path}: '{key}' holds NaN or infinite values. {remedy}")
    _check_shapes(path, arrays, remedy)


def _check_shapes(path: Path, arrays: dict[str, ndarray], remedy: str) -> None:
    v = np.atleast_1d(arrays["v_template"]).shape[0]
    expected: dict[str, tuple[int | None, ...]] = {
        "v_template": (v, 3), "f": (None, 3), "weights": (v, NUM_JOINTS), "J_regressor": (NUM_JOINTS, v),
        "shapedirs": (v, 3, None), "posedirs": (v, 3, 9 * (NUM_JOINTS - 1)), "kintree_table": (2, NUM_JOINTS),
        "hands_componentsl": (45, 45), "hands_componentsr": (45, 45), "hands_meanl": (45,), "hands_meanr": (45,),
    }  # fmt: skip
    for key, shape in expected.items():
        actual = arrays[key].shape
        if len(actual) != len(shape) or any(want not in (None, have) for want, have in zip(shape, actual)):
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise BodyFileError(f"{path}: '{key}' has shape {tuple(actual)}, expected ({wanted}). {remedy}")
    if arrays["shapedirs"].shape[2] <= 10:
        raise BodyFileError(
            f"{path}: 'shapedirs' has {arrays['shapedirs'].shape[2]} columns, expected more than 10 (shape, then "
            f"expression). {remedy}"
        )
    if arrays["f"].size == 0 or arrays["f"].min() < 0 or arrays["f"].max() >= v:
        found = f"names vertex {arrays['f'].max()} of {v}" if arrays["f"].size else "has no triangles"
        raise BodyFileError(f"{path}: 'f' {found}. {remedy}")
    parents = arrays["kintree_table"][0, 1:].astype(np.int64)
    if (parents < 0).any() or (parents >= np.arange(1, NUM_JOINTS)).any():
        raise BodyFileError(f"{path}: 'kintree_table' does not list parents before children. {remedy}")


def _assemble(path: Path, arrays: dict[str, ndarray], marker: str) -> BodyFile:
    shapedirs = arrays["shapedirs"].astype(np.float32)
    columns = shapedirs.shape[2]
    full = columns >= FULL_SHAPE_COLUMNS + FULL_EXPRESSION_COLUMNS
    first, last = (FULL_SHAPE_COLUMNS, FULL_SHAPE_COLUMNS + FULL_EXPRESSION_COLUMNS) if full else (10, min(20, columns))
    hand_mean = np.concatenate([arrays["hands_meanl"], arrays["hands_meanr"]]).reshape(30, 3)
    return BodyFile(
        path=path,
        marker=marker,
        v_template=arrays["v_template"].astype(np.float32),
        faces=arrays["f"].astype(np.int64),
        weights=arrays["weights"].astype(np.float32),
        J_regressor=arrays["J_regressor"].astype(np.float32),
        shape_dirs=shapedirs[..., :first],
        expression_dirs=shapedirs[..., first:last],
        pose_dirs=arrays["posedirs"].astype(np.float32),
        parents=(-1, *(int(p) for p in arrays["kintree_table"][0, 1:])),
        hand_mean=hand_mean.astype(np.float32),
        hand_components=np.stack([arrays["hands_componentsl"], arrays["hands_componentsr"]]).astype(np.float32),
        arrays=arrays,
    )


class _ChumpyStandIn(StandIn):
    """A `chumpy` object that only holds an array (`Ch`); its value is the state entry `x`."""

    def value(self, plain: Callable[[Any], Any]) -> ndarray:
        held = self.state.get("x") if isinstance(self.state, dict) else None
        found = plain(held) if isinstance(held, StandIn) else held
        if not isinstance(found, ndarray):
            raise BodyFileError(
                "a chumpy expression rather than a stored array; expected numbers. Save the file again with numpy "
                "arrays (where chumpy works: np.savez(path, **{k: np.asarray(v) for k, v in model.items()}))"
            )
        return found


class _SparseStandIn(StandIn):
    """A SciPy compressed-column or compressed-row matrix, made dense on reading (the joint regressor is small). SciPy
    itself would write wherever a damaged index points."""

    by_column = True

    def value(self, plain: Callable[[Any], Any]) -> ndarray:
        state = self.state if isinstance(self.state, dict) else {}
        shape = plain(state.get("_shape", state.get("shape")))
        if shape is None or any(key not in state for key in ("data", "indices", "indptr")):
            raise BodyFileError(f"a damaged sparse matrix (it has {sorted(map(str, state))[:9]})")
        data, indices, ends = (np.asarray(plain(state[key])) for key in ("data", "indices", "indptr"))
        rows, columns = (int(n) for n in shape)
        lines, width = (columns, rows) if self.by_column else (rows, columns)
        whole = indices.dtype.kind in "iu" and ends.dtype.kind in "iu" and data.dtype.kind in "fiu"
        if not whole or not 0 <= rows * columns <= MOST_DENSE or ends.shape != (lines + 1,) or data.ndim != 1:
            raise BodyFileError(f"a damaged sparse matrix of {rows} x {columns}")
        counts = np.diff(ends.astype(np.int64))
        if (counts < 0).any() or ends[0] != 0 or not len(data) == len(indices) == ends[-1]:
            raise BodyFileError(f"a damaged sparse matrix of {rows} x {columns}")
        if len(indices) and not 0 <= indices.min() <= indices.max() < width:
            raise BodyFileError(f"a sparse matrix of {rows} x {columns} with numbers outside")
        dense = np.zeros((lines, width), data.dtype)
        np.add.at(dense, (np.repeat(np.arange(lines), counts), indices), data)
        return dense.T if self.by_column else dense


class _SparseRowStandIn(_SparseStandIn):
    by_column = False


def _reconstructed(cls: Any, base: Any, state: Any) -> StandIn:
    """`copyreg._reconstructor` for stand-ins only."""
    if not (isinstance(cls, type) and issubclass(cls, StandIn)):
        raise RefusedPickleError("an object of a class that is not allowed")
    return cls()


def _find(module: str, name: str) -> Any:
    """Stand-ins for what body models are pickled with; None for every other name."""
    if module == "chumpy" or module.startswith("chumpy."):
        return _ChumpyStandIn
    if module.startswith("scipy.sparse"):
        columns, rows = ("csc_matrix", "csc_array"), ("csr_matrix", "csr_array")
        return _SparseStandIn if name in columns else _SparseRowStandIn if name in rows else None
    if module in ("copy_reg", "copyreg"):
        return _reconstructed if name == "_reconstructor" else None
    if module in ("__builtin__", "builtins") and name == "object":
        return object
    return plain_pickle.find_plain(module, name)
