"""Pickles of numbers and containers, rebuilt here: nothing that a file names is called, and no state that it holds
reaches C code unchecked.

A pickle may name any function of Python to be called. An unpickler that lets numpy's own builders through is not
enough: their `__setstate__` takes whatever a file says, so that crafted bytes become pointers (an object type whose
flags say that it is none), and they set memory aside before they look at the data. So every name that data files use is
answered by a stand-in of this module, which notes arguments and state; arrays are made of them from checked sizes.
"""

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from nerfstudio_mobavatar.plain_data import check_shape

ALWAYS_FINE = 64 << 20
MOST_EXPANDED = 16
"""Times the file's own size that its content may take in memory, where it takes more than `ALWAYS_FINE` bytes."""
NODE_BYTES = 64
"""That one value counts for."""
DTYPE = re.compile(r"(b1|[iu][1248]|f2|f4|f8|f16|c8|c16|[SU]\d{1,6}|O8?|O4|bool|u?int(8|16|32|64)|float(16|32|64))")
TORCH_KINDS = {
    "Float": "f4", "Double": "f8", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1",
    "Bool": "b1",
}  # fmt: skip
"""Torch's kinds of storages, and numpy's types of their elements."""
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
MOST_SHOWN = 100
"""Characters of a name that the file gives, which a message repeats."""


class RefusedPickleError(pickle.UnpicklingError):
    """The file names something that is not plain data."""


class StandIn:
    """Takes the place of an object that is not made while its pickled arguments and state are read."""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = None

    def value(self, plain: Callable[[Any], Any]) -> Any:
        """What the object is, with what is inside made plain. Raises anything for damaged state."""
        name = type(self).__name__.removesuffix("StandIn").lower()
        raise RefusedPickleError(f"a {name}, which is neither a number nor a container")


class DtypeStandIn(StandIn):
    """`numpy.dtype`: only plain numbers, text, and the mark of an array of objects."""

    @property
    def dtype(self) -> np.dtype:
        name = self.args[0]
        name = name.decode("ascii") if isinstance(name, bytes) else name
        if not isinstance(name, str) or not DTYPE.fullmatch(name.lstrip("<>|=")):
            raise RefusedPickleError(f"elements of type {str(name)[:60]!r}, which are not plain numbers")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        order = order.decode("ascii") if isinstance(order, bytes) else order
        found = np.dtype(name)
        return found.newbyteorder(order) if order in ("<", ">") else found


class ArrayStandIn(StandIn):
    """`numpy.ndarray`, from the state that numpy pickles: (version,) shape, type, whether columns come first, bytes."""

    def value(self, plain: Callable[[Any], Any]) -> Any:
        if not isinstance(self.state, tuple) or len(self.state) < 4:
            raise ValueError("an array without state")
        shape, stand_in, fortran, raw = self.state[-4:]
        return array_of(shape, _dtype(stand_in), bool(fortran), raw, plain)


class BufferArrayStandIn(StandIn):
    """`numpy.core.numeric._frombuffer(bytes, type, shape, order)`, of pickle protocol 5."""

    def value(self, plain: Callable[[Any], Any]) -> Any:
        raw, stand_in, shape, order = self.args
        return array_of(shape, _dtype(stand_in), order == "F", raw, plain)


class ScalarStandIn(StandIn):
    """`numpy.core.multiarray.scalar(type, bytes)`."""

    def value(self, plain: Callable[[Any], Any]) -> Any:
        stand_in, raw = self.args
        return array_of((), _dtype(stand_in), False, raw, plain)[()]


class JoblibStandIn(StandIn):
    """joblib's placeholder: its state says how to read the array's bytes, which follow it in the file."""

    raw = b""

    def read(self, stream: BytesIO) -> None:
        state = self.state
        if state.get("numpy_array_alignment_bytes") is not None:
            stream.read(stream.read(1)[0])  # the length of the padding, and the padding
        dtype = _dtype(state["dtype"])
        if dtype.hasobject:  # these are a pickle of their own in the file
            raise RefusedPickleError("an array of Python objects inside joblib's own format")
        self.raw = stream.read(check_shape(state["shape"]) * dtype.itemsize)

    def value(self, plain: Callable[[Any], Any]) -> Any:
        state = self.state
        return array_of(state["shape"], _dtype(state["dtype"]), state.get("order") == "F", self.raw, plain)


class TensorStandIn(StandIn):
    """`torch._utils._rebuild_tensor(storage, offset, size, stride, ...)`."""

    def value(self, plain: Callable[[Any], Any]) -> Any:
        storage, offset, size, stride = self.args[:4]
        if not isinstance(storage, StorageStandIn):
            raise ValueError("a tensor without storage")
        flat = storage.numbers()
        count = check_shape(size)
        check_shape(stride)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if type(offset) is not int or offset < 0 or (count and last >= len(flat)) or count > max(len(flat), 1 << 20):
            raise ValueError(f"a tensor of shape {size} beyond its {len(flat)} numbers")
        if not count:
            return np.zeros(size, flat.dtype)
        steps = [step * flat.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(flat[offset:], size, steps, writeable=False).copy()


class StorageStandIn(StandIn):
    """`torch.storage._load_from_bytes(bytes)`: one storage as `torch.save` wrote it in its older format, which is five
    pickles and the numbers."""

    def numbers(self) -> ndarray:
        stream = BytesIO(_bytes(self.args[0]))
        if _Unpickler(stream, _torch_name).load() != TORCH_MAGIC:
            raise ValueError("a torch storage of another format")
        parts = [_Unpickler(stream, _torch_name).load() for _ in range(4)]
        described = parts[2]
        if not isinstance(described, _TorchId) or described.what[0] != "storage":
            raise RefusedPickleError("something else than a storage inside a tensor")
        dtype = np.dtype(TORCH_KINDS[described.what[1].args[0]])
        count = int.from_bytes(stream.read(8), "little")
        raw = stream.read(min(count * dtype.itemsize, len(stream.getbuffer())))
        return np.frombuffer(raw, dtype, count)


class _TorchId:
    """A persistent name in torch's pickles: ("storage", kind, key, place, length, view)."""

    def __init__(self, what: Any) -> None:
        self.what = what


def array_of(shape: Any, dtype: np.dtype, fortran: bool, raw: Any, plain: Callable[[Any], Any]) -> ndarray:
    """An array of its bytes, or of the list of its objects. Raises `ValueError` where they are more or fewer."""
    if isinstance(shape, (int, np.integer)):
        shape = (int(shape),)
    count, order = check_shape(shape), "F" if fortran else "C"
    if dtype.hasobject:
        if not isinstance(raw, list) or len(raw) != count:
            raise ValueError(f"no list of {count} objects for an array of shape {shape}")
        values = np.empty(count, object)
        values[:] = [plain(value) for value in raw]
        return values.reshape(shape, order=order)
    raw = _bytes(raw)
    if len(raw) != count * dtype.itemsize:
        raise ValueError(f"{len(raw)} bytes of an array that needs {count * dtype.itemsize}")
    return np.frombuffer(raw, dtype, count).reshape(shape, order=order).copy(order="K")


def _dtype(stand_in: Any) -> np.dtype:
    if not isinstance(stand_in, DtypeStandIn):
        raise ValueError("an array without a type")
    return stand_in.dtype


def _bytes(*args: Any) -> bytes:
    """`bytes` and `bytearray` of what is there, never of a length; text of older protocols is latin-1."""
    given = args[0] if args else b""
    if isinstance(given, str):
        return given.encode("latin1")
    if isinstance(given, (bytes, bytearray)):
        return bytes(given)
    if isinstance(given, list):
        return bytes(given)
    raise RefusedPickleError(f"bytes made from a {type(given).__name__}")


def _default_dictionary(*_: Any) -> dict[Any, Any]:
    return {}


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes inside pickles of old protocols are written as text plus this call; no other codec is needed."""
    if encoding.lower() not in ("latin1", "latin-1"):
        raise RefusedPickleError(f"codec {encoding[:MOST_SHOWN]!r}, refused")
    return text.encode("latin1")


def find_plain(module: str, name: str) -> Any:
    """What stands in for a name of plain data; None for every other name."""
    if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        return {"_reconstruct": ArrayStandIn, "scalar": ScalarStandIn}.get(name)
    if module in ("numpy.core.numeric", "numpy._core.numeric"):
        return BufferArrayStandIn if name == "_frombuffer" else None
    if module == "numpy":
        return {"ndarray": ArrayStandIn, "dtype": DtypeStandIn}.get(name)
    if module == "collections":
        return {"OrderedDict": OrderedDict, "defaultdict": _default_dictionary}.get(name)
    if module in ("builtins", "__builtin__"):
        plain: dict[str, Any] = {"dict": dict, "list": list, "set": set, "complex": complex}
        return (plain | {"bytes": _bytes, "bytearray": _bytes}).get(name)
    if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        return TensorStandIn
    others = {
        ("_codecs", "encode"): _encode,
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): JoblibStandIn,
        ("torch.storage", "_load_from_bytes"): StorageStandIn,
    }
    return others.get((module, name))


def _torch_name(module: str, name: str) -> Any:
    if module == "torch" and name.removesuffix("Storage") in TORCH_KINDS:
        return StandIn(name.removesuffix("Storage"))
    return find_plain(module, name)


def load(content: bytes, find: Callable[[str, str], Any] = find_plain) -> Any:
    """What a pickle holds, stand-ins and all: give it to `plain`. `find` answers names, None refuses.

    Raises:
        RefusedPickleError: a name that is not of plain data.
        Exception: a damaged pickle can raise anything at all.
    """
    return load_from(BytesIO(content), find)


def load_from(stream: BytesIO, find: Callable[[str, str], Any] = find_plain) -> Any:
    """`load` from where the stream is."""
    return _Unpickler(stream, find).load()


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined]  # in Python: joblib's arrays interrupt the stream
    """Answers every name with a stand-in, or refuses it, and sets state on nothing but stand-ins."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, stream: BytesIO, find: Callable[[str, str], Any]):
        super().__init__(stream, encoding="latin1")
        self._stream, self._find = stream, find

    def find_class(self, module: str, name: str) -> Any:
        found = self._find(module, name)
        if found is None:
            called = f"{module}.{name}"[:MOST_SHOWN]
            raise RefusedPickleError(f"'{called}', refused because loading this name could run code")
        return found

    def persistent_load(self, pid: Any) -> Any:
        return _TorchId(pid) if self._find is _torch_name else super().persistent_load(pid)

    def load_build(self) -> None:
        stack = self.stack  # type: ignore[attr-defined]
        state, target = stack.pop(), stack[-1]
        if not isinstance(target, StandIn):  # the state could replace anything of an object, a class or a function
            raise RefusedPickleError(f"state for a {type(target).__name__}, refused")
        target.state = state
        if isinstance(target, JoblibStandIn):
            target.read(self._stream)

    def load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")  # type: ignore[attr-defined]
        self.append(self.read(length))  # type: ignore[attr-defined]  # the one of Python sets this much aside

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def plain(content: Any, stored_bytes: int) -> Any:
    """The same of nothing but dictionaries, lists, tuples, sets, text, numbers and arrays.

    What a file holds once and refers to many times counts as often: a few bytes can stand for more than any memory.

    Raises:
        RefusedPickleError: anything else, something inside itself, or more than a file of `stored_bytes` can mean.
    """
    return _Plain(max(ALWAYS_FINE, MOST_EXPANDED * stored_bytes)).made(content)


class _Plain:
    """Makes content plain, every object once, and counts what it takes with every reference to it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._kept: list[Any] = []
        """Originals: an identity is only taken for another object once the object is gone."""

    def made(self, content: Any) -> Any:
        return self._made(content)[0]

    def _made(self, content: Any) -> tuple[Any, int]:
        if content is None or type(content) in (bool, float, complex):
            return content, NODE_BYTES
        if isinstance(content, (int, str, bytes, bytearray)):
            size = content.bit_length() // 8 if isinstance(content, int) else len(content)
            return self._counted(bytes(content) if isinstance(content, bytearray) else content, NODE_BYTES + size)
        key = id(content)
        if key in self._open:
            raise RefusedPickleError("a container inside itself")
        if key not in self._done:
            self._open.add(key)
            self._done[key] = self._counted(*self._container(content))
            self._kept.append(content)
            self._open.discard(key)
        return self._done[key]

    def _counted(self, made: Any, size: int) -> tuple[Any, int]:
        if size > self.most:
            raise RefusedPickleError(f"more than {self.most >> 20} MB of data in so short a file")
        return made, size

    def _container(self, content: Any) -> tuple[Any, int]:
        size = NODE_BYTES

        def inner(value: Any) -> Any:
            nonlocal size
            made, more = self._made(value)
            size += more
            self._counted(None, size)
            return made

        if isinstance(content, dict):
            return {inner(key): inner(value) for key, value in content.items()}, size
        for kind in (list, tuple, set):
            if isinstance(content, kind):
                made = [inner(value) for value in content]
                return (made if kind is list else kind(made)), size
        if isinstance(content, np.generic) or (isinstance(content, ndarray) and not content.dtype.hasobject):
            return content, size + content.nbytes
        if isinstance(content, StandIn):
            made = content.value(inner)
            return made, size + getattr(made, "nbytes", 0)
        raise RefusedPickleError(f"a {type(content).__name__}, which is neither a number nor a container")
