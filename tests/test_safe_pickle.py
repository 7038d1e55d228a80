"""Pickled data is read as numbers, and nothing that a file names is ever called."""

import os
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.dataparsers.safe_pickle import load_plain


class Malicious:
    """Creates a file when it is unpickled the ordinary way."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


class Named:
    """A harmless class of the writer's own program."""


CONTENT = {
    "cams": {"K": [np.eye(3), 2 * np.eye(3)], "T": [np.ones((3, 1))]},
    "ims": [{"ims": ["Camera_B1/000000.jpg"]}],
    "scale": np.float64(1.5),
    7: (1, 2.5, None, True, "text", b"bytes", {3}),
    "objects": np.array([{"a": np.arange(3)}, None], dtype=object),
}


def same(found: Any, true: Any) -> None:
    assert repr(found) == repr(true)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_content_comes_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    same(load_plain(path), CONTENT)


def test_numpy_file_with_a_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "annots.npy"
    np.save(path, CONTENT)  # type: ignore[arg-type]
    same(load_plain(path), CONTENT)
    np.save(path, np.arange(6).reshape(2, 3))
    same(load_plain(path), np.arange(6).reshape(2, 3))


def test_a_dictionary_with_defaults_comes_back_as_a_plain_one(tmp_path: Path) -> None:
    """Motion tools collect results per person in `defaultdict(dict)`, whose pickle names the builder `dict`."""
    results: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    results[3]["pose"] = np.arange(6.0)
    path = tmp_path / "results.pkl"
    path.write_bytes(pickle.dumps(results))
    found = load_plain(path)
    assert type(found) is dict
    same(found, {3: {"pose": np.arange(6.0)}})


@pytest.mark.parametrize("order", ["C", "F"])
def test_joblib_file(tmp_path: Path, order: str) -> None:
    path = tmp_path / "fit.pkl"
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    content = {1: {"pose": np.asarray(array, order=order), "betas": np.float32([1, 2])}}  # type: ignore[call-overload]
    joblib.dump(content, path)
    found = load_plain(path)
    np.testing.assert_array_equal(found[1]["pose"], array)
    np.testing.assert_array_equal(found[1]["betas"], [1, 2])


def test_tensors_become_arrays(tmp_path: Path) -> None:
    path = tmp_path / "smpl.pkl"
    tensors = OrderedDict(pose=torch.arange(6.0).view(2, 3).T, betas=torch.ones(1, 10))
    path.write_bytes(pickle.dumps(tensors))
    found = load_plain(path)
    assert type(found["pose"]) is np.ndarray
    np.testing.assert_array_equal(found["pose"], tensors["pose"].numpy())


@pytest.mark.parametrize("how", ["pickle", "npy", "joblib", "object array in joblib", "inside a torch storage"])
def test_nothing_is_executed(tmp_path: Path, how: str) -> None:
    bait, path = tmp_path / "executed", tmp_path / "data"
    content: Any = {"pose": Malicious(bait)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    elif how == "npy":
        with path.open("wb") as stream:
            np.save(stream, content)
    elif how == "joblib":
        joblib.dump(content, path)
    elif how == "object array in joblib":
        joblib.dump({"pose": np.array([Malicious(bait)], dtype=object)}, path)
    else:
        torch.save(Malicious(bait), path)  # what a tensor's pickle hands to torch.load, with any content
        inner = path.read_bytes()
        call = b"ctorch.storage\n_load_from_bytes\n"
        path.write_bytes(b"\x80\x03" + call + b"B" + len(inner).to_bytes(4, "little") + inner + b"\x85R.")
    with pytest.raises(CaptureError, match=r"data: expected .* found .*(refused|cannot be read)"):
        load_plain(path)
    assert not bait.exists()


def test_what_is_not_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(Named()))
    with pytest.raises(CaptureError, match=r"found 'tests.test_safe_pickle.Named', refused .* Save it again as .npz"):
        load_plain(path)
    path.write_bytes(pickle.dumps({"dtype": np.dtype(np.float32)}))
    with pytest.raises(CaptureError, match=r"which is neither a number nor a container"):
        load_plain(path)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    with pytest.raises(CaptureError, match=r"data.pkl: expected a file, found none. Copy it there"):
        load_plain(path)
    path.write_bytes(pickle.dumps(CONTENT)[:-20])
    with pytest.raises(CaptureError, match=r"expected a pickle of numbers, found that it cannot be read .* Copy"):
        load_plain(path)
    joblib.dump({"a": np.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CaptureError, match=r"cannot be read .* Copy the file again"):
        load_plain(path)
    joblib.dump({"a": np.zeros(1000)}, path, compress=3)
    with pytest.raises(CaptureError, match=r"saved again without compression"):
        load_plain(path)
