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
    message = r"data: expected .* found .*(refused|cannot be read|joblib's own|neither a number)"
    with pytest.raises(CaptureError, match=message):
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


@pytest.mark.parametrize(
    "stored",
    [b"c" + b"e" * 100_000 + b"\nf\n.", b"c_codecs\nencode\n(Vtext\nV" + b"e" * 100_000 + b"\ntR."],
    ids=["name", "codec"],
)
def test_a_message_does_not_repeat_an_endless_name(tmp_path: Path, stored: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(stored)
    with pytest.raises(CaptureError, match=r"a\.pkl: expected plain numbers and containers, found .*eee") as caught:
        load_plain(tmp_path / "a.pkl")
    assert len(str(caught.value)) < 600 + len(str(tmp_path))


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


def short(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


FORGED = (
    b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01K\x01\x85cnumpy\ndtype\n("
    + (
        short("O8")
        + b"\x89\x88tR(K\x03"
        + short("|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89C\x08AAAAAAAAtb."
    )
)
"""An array of objects whose type says in its flags that it is none, so that numpy takes bytes for pointers."""


def shared(times: int) -> list[Any]:
    content: list[Any] = ["x"]
    for _ in range(times):
        content = [content, content]
    return content


def inside_itself() -> list[Any]:
    content: list[Any] = []
    content.append(content)
    return content


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (FORGED, "no list of 1 objects|cannot be read"),
        (b"\x80\x04cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", "cannot be read"),  # eight gigabytes
        (b"\x80\x04cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.", "bytes made from a int"),
        (b"\x80\x05\x96\xff\xff\xff\xff\x7f\x00\x00\x00A.", "cannot be read"),  # a bytearray of as many bytes
        (b"\x80\x04cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n" + short("O8") + b"\x85RC\x08AAAAAAAAtR.",
        "cannot be"),
        (b"\x80\x04ccollections\nOrderedDict\n)R}" + short("x") + b"K\x01sb.", "state for a OrderedDict, refused"),
        (b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n}" + short("read") + b"K\x01sb.",
        "state for a type, refused"),
        (pickle.dumps(shared(40)), "more than 64 MB of data in so short a file"),
        (pickle.dumps([np.zeros(1 << 20)] * 2 + [None]) + b"", None),
        (pickle.dumps(inside_itself()), "a container inside itself"),
        (b"\x80\x04csubprocess\nPopen\n.", r"'subprocess.Popen', refused"),
    ],
)  # fmt: skip
def test_nothing_in_a_file_reaches_c_code_unchecked(tmp_path: Path, stored: bytes, message: str | None) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(stored)
    if message is None:
        assert len(load_plain(path)) == 3
        return
    with pytest.raises(CaptureError, match=rf"data.pkl: expected .*found .*({message})") as caught:
        repr(load_plain(path))
    assert len(str(caught.value)) < 1000


class Tensor:
    """Pickled as a tensor of six numbers that may claim others."""

    def __init__(self, *claimed: Any):
        self.claimed = claimed

    def __reduce__(self) -> tuple[Any, ...]:
        import torch._utils

        return torch._utils._rebuild_tensor_v2, (torch.arange(6.0).storage(), *self.claimed, False, OrderedDict())


CLAIMED = [(0, (7,), (1,)), (3, (4,), (1,)), (0, (2,), (6,)), (-1, (2,), (1,)), (0, (1 << 40,), (0,)), (0, (2,), (-1,))]


@pytest.mark.parametrize("claimed", CLAIMED)
def test_tensors_stay_inside_their_storage(tmp_path: Path, claimed: tuple) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(Tensor(1, (2, 2), (2, 1))))
    np.testing.assert_array_equal(load_plain(path), [[1, 2], [3, 4]])
    path.write_bytes(pickle.dumps(Tensor(*claimed)))
    with pytest.raises(CaptureError, match=r"cannot be read"):
        load_plain(path)


def test_a_storage_that_would_run_code(tmp_path: Path) -> None:
    bait, path = tmp_path / "executed", tmp_path / "data.pkl"
    stored = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, Malicious(bait), []))
    content = b"\x80\x03ctorch._utils\n_rebuild_tensor_v2\n(ctorch.storage\n_load_from_bytes\n"
    content += b"B" + len(stored).to_bytes(4, "little") + stored + b"\x85RK\x00)))tR."
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=r"'posix.system', refused"):
        load_plain(path)
    assert not bait.exists()
