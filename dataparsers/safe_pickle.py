"""Pickled data files (`.pkl`, `.npy` with Python objects, joblib), read without running anything that is in them.

Data sets store plain containers of numpy arrays this way, but a pickle may name any function of Python to be called.
The unpicklers here know the builders of numpy arrays, ordered dictionaries and torch tensors, and refuse every other
name. What comes back holds only dictionaries, lists, tuples, sets, text, numbers and numpy arrays.
"""

import io
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from nerfstudio_mobavatar.body_file import BodyFileError, numpy_builder
from nerfstudio_mobavatar.capture import CaptureError

NPY_MAGIC = b"\x93NUMPY"
JOBLIB_ARRAY = ("joblib.numpy_pickle", "NumpyArrayWrapper")
REMEDY = "Save it again as .npz of plain arrays, on a machine where you trust the file."


class RefusedPickleError(pickle.UnpicklingError):
    """The file names something that is not plain data."""


def load_plain(path: Path) -> Any:
    """Content of a pickle, a joblib file (uncompressed) or a `.npy`, numbers and containers only.

    Raises:
        CaptureError: no such file, damaged, or it holds something that would have to be executed.
    """
    if not path.is_file():
        raise CaptureError(f"{path}: expected a file, found none. Copy it there, or correct the path.")
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(NPY_MAGIC))
            stream.seek(0)
            content = _read_npy(stream) if magic == NPY_MAGIC else _DataUnpickler(stream).load()
        return _plain(content)
    except (RefusedPickleError, BodyFileError) as error:
        raise CaptureError(f"{path}: expected plain numbers and containers, found {error}. {REMEDY}") from error
    except Exception as error:  # a damaged pickle can raise anything at all
        raise CaptureError(
            f"{path}: expected a pickle of numbers, found that it cannot be read ({type(error).__name__}: {error}). "
            "Copy the file again; a compressed joblib file must be saved again without compression."
        ) from error


def _read_npy(stream: io.BufferedReader) -> Any:
    """An array, or the object that `numpy.save` pickled (other tools read it with the unsafe `allow_pickle`)."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if not dtype.hasobject:
        stream.seek(0)
        return np.load(stream, allow_pickle=False)
    content = _DataUnpickler(stream).load()
    return content.item() if shape == () and isinstance(content, ndarray) else content


class _JoblibArray:
    """Stands in for joblib's placeholder: its state says how to read the array bytes that follow it in the file."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.order = "C"
        self.dtype: np.dtype = np.dtype(np.float32)
        self.numpy_array_alignment_bytes: int | None = None

    def read(self, stream: Any) -> ndarray:
        if self.numpy_array_alignment_bytes is not None:
            stream.read(stream.read(1)[0])  # the length of the padding, and the padding
        count = int(np.prod(self.shape, dtype=np.int64))
        # arrays of Python objects are a pickle of their own in the file; numpy refuses them here
        flat = np.frombuffer(stream.read(count * self.dtype.itemsize), self.dtype, count)
        return flat.reshape(self.shape, order="F" if self.order == "F" else "C").copy()


class _DataUnpickler(pickle._Unpickler):  # type: ignore[name-defined]  # in Python: joblib's arrays interrupt the stream
    """Finds the builders of plain data and refuses every other name."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, stream: Any):
        super().__init__(stream, encoding="latin1")
        self._stream = stream

    def find_class(self, module: str, name: str) -> Any:
        found = _builder(module, name)
        if found is None:
            raise RefusedPickleError(f"'{module}.{name}', refused because loading this name could run code")
        return found

    def load_build(self) -> None:
        super().load_build()  # type: ignore[misc]
        if isinstance(self.stack[-1], _JoblibArray):  # type: ignore[attr-defined]
            self.stack[-1] = self.stack[-1].read(self._stream)  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build


def _builder(module: str, name: str) -> Callable[..., Any] | None:
    if (module, name) == JOBLIB_ARRAY:
        return _JoblibArray
    if module == "collections":
        return {"OrderedDict": OrderedDict, "defaultdict": defaultdict}.get(name)
    if module in ("builtins", "__builtin__"):
        plain = (dict, list, set, bytes, bytearray, complex)
        return {kind.__name__: kind for kind in plain}.get(name)
    if name == "_frombuffer" and module in ("numpy.core.numeric", "numpy._core.numeric"):
        return _array_from_buffer
    if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        import torch._utils

        return getattr(torch._utils, name)
    if (module, name) == ("torch.storage", "_load_from_bytes"):
        return _torch_storage
    return numpy_builder(module, name)


def _array_from_buffer(content: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> ndarray:
    """How numpy stores arrays from pickle protocol 5 on."""
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _torch_storage(content: bytes) -> Any:
    """The numbers of a pickled tensor, on the CPU; torch itself would unpickle anything here."""
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _plain(content: Any) -> Any:
    """The same with numpy arrays in place of tensors. Raises for anything that is not data."""
    if isinstance(content, dict):
        return {_plain(key): _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple, set)):
        return type(content)(_plain(value) for value in content)
    if isinstance(content, ndarray) and content.dtype.hasobject:
        values = np.empty(content.shape, object)
        values.ravel()[:] = [_plain(value) for value in content.ravel()]
        return values
    if content is None or isinstance(content, (ndarray, np.generic, str, bytes, bool, int, float, complex)):
        return content
    if type(content).__module__ == "torch" and hasattr(content, "detach"):
        return content.detach().numpy()
    raise RefusedPickleError(f"a {type(content).__name__}, which is neither a number nor a container")
