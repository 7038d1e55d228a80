"""Pickles that want something: programs of the pickle machine at random, with names that tempt an unpickler."""

import io
import pickle
import random
import struct
import zipfile
from typing import Any

import numpy as np

from tests.fuzz.mutate import BYTES, Mutator, flip
from tests.fuzz.mutate_arrays import array

NAMES = (
    ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray",
    "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy.core.numeric", "_frombuffer"), ("collections", "OrderedDict"),
    ("collections", "defaultdict"), ("builtins", "bytearray"), ("builtins", "bytes"), ("builtins", "set"),
    ("builtins", "list"),
    ("builtins", "complex"), ("builtins", "dict"), ("torch._utils", "_rebuild_tensor_v2"), ("torch.storage",
    "_load_from_bytes"),
    ("joblib.numpy_pickle", "NumpyArrayWrapper"), ("_codecs", "encode"), ("copyreg", "_reconstructor"), ("builtins",
    "object"),
    ("scipy.sparse.csc", "csc_matrix"), ("scipy.sparse._csr", "csr_matrix"), ("chumpy.ch", "Ch"), ("os", "system"),
    ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"), ("subprocess", "Popen"), ("nt", "system"),
    ("posix", "system"),
    ("torch", "FloatStorage"), ("torch.serialization", "load"), ("numpy", "load"), ("pathlib", "Path"), ("", ""),
    ("a.b", "c.d.__init__"),
    ("numpy", "core.multiarray.scalar"), ("importlib", "import_module"), ("builtins", "__import__"), ("pickle",
    "loads"),
)  # fmt: skip
DTYPES = ("f8", "f4", "i4", "u1", "O8", "O", "U3", "S9", "V8", "b1", "f8,i4", "c16", "M8[s]", "x", "", "S999999")


def plain(rng: random.Random, depth: int = 0) -> Any:
    """Ordinary content, some of it odd."""
    kind = rng.randrange(12 if depth < 4 else 7)
    if kind < 4:
        return rng.choice(
            (None, True, 0, -1, 2**70, 1.5, float("nan"), "pose", "", "x" * 1000, b"", b"\0" * 9, (1, 2), 1j)
        )
    if kind < 7:
        return array(rng)
    if kind < 9:
        return [plain(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind < 11:
        keys = (
            "pose",
            "betas",
            "cams",
            "ims",
            "K",
            "R",
            "T",
            "D",
            0,
            1,
            "poses",
            "Rh",
            "Th",
            "shapes",
            "trans",
            "v_template",
        )
        return {rng.choice(keys): plain(rng, depth + 1) for _ in range(rng.randrange(5))}
    shared = [plain(rng, depth + 1)]
    for _ in range(rng.choice((2, 5, 40))):
        shared = [shared, shared]
    return shared


def other(rng: random.Random, data: bytes) -> bytes:
    """Another pickle altogether."""
    return pickle.dumps(plain(rng), rng.randrange(6))


def _push(rng: random.Random) -> bytes:
    kind = rng.randrange(14)
    if kind < 5:
        module, name = rng.choice(NAMES)
        if rng.random() < 0.5:
            return f"c{module}\n{name}\n".encode()
        return b"".join(b"X" + struct.pack("<I", len(t)) + t.encode() for t in (module, name)) + b"\x93"
    if kind == 5:
        return b"K" + bytes([rng.randrange(256)])
    if kind == 6:
        return b"J" + struct.pack("<i", rng.choice((-1, 0, 2**31 - 1, -(2**31), 10**9)))
    if kind == 7:
        return rng.choice((b"N", b"\x88", b"\x89", b")", b"}", b"]", b"\x8f"))
    if kind == 8:
        text = rng.choice((*DTYPES, "<", "|", "latin1", "C", "F")).encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if kind == 9:
        size = rng.choice((0, 1, 8, 16, 2**31 - 1))
        return b"B" + struct.pack("<I", size) + b"A" * min(size, 16)
    if kind == 10:
        return rng.choice((b"\x8e", b"\x8d", b"\x96")) + struct.pack("<Q", rng.choice((0, 3, 2**40, 2**63))) + b"AAA"
    if kind == 11:
        size = rng.choice((1, 3, 2**31 - 1))
        return b"\x8b" + struct.pack("<i", size) + b"\x7f" * min(size, 3)
    if kind == 12:
        return b"\x8a" + bytes([8]) + struct.pack("<q", rng.choice((2**62, -1, 10**12)))
    return b"G" + struct.pack(">d", rng.choice((0.0, float("nan"), 1e308)))


def program(rng: random.Random, data: bytes) -> bytes:
    """A random program; every name that it can name is called with what is there, and given state."""
    out = [b"\x80" + bytes([rng.choice((2, 3, 4, 5))])]
    for _ in range(rng.randrange(2, 30)):
        out.append(_push(rng))
        if rng.random() < 0.5:
            out.append(rng.choice((b"\x85", b"\x86", b"\x87", b"R", b"\x81", b"b", b"(", b"t", b"a", b"s", b"e", b"u",
                b"0", b"2", b"\x94",
                                   b"q\x00", b"h\x00", b"r\xff\xff\xff\xff", b"o", b"l", b"d", b"\x90", b"\x91", b"Q",
                                   b"\x92")))  # fmt: skip
    return b"".join(out) + b"."


def numpy_program(rng: random.Random, data: bytes) -> bytes:
    """numpy's own builders with arguments and state that lie."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def number(value: int) -> bytes:
        return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)

    def sized(value: bytes) -> bytes:
        return b"B" + struct.pack("<I", len(value)) + value

    shape = b"(" + b"".join(number(rng.choice((0, 1, 2, 8, 2**31, 2**40, -1))) for _ in range(rng.randrange(3))) + b"t"
    order, flags = text(rng.choice(("<", ">", "|", "="))), number(rng.choice((0, 63, 16, -1)))
    size = number(rng.choice((-1, 0, 8, 10**9)))
    dtype = (
        b"cnumpy\ndtype\n("
        + text(rng.choice(DTYPES))
        + b"\x89\x88tR(K\x03"
        + order
        + b"NNN"
        + size
        + size
        + flags
        + b"tb"
    )
    raw = rng.choice((sized(b"A" * rng.choice((0, 1, 8, 16, 64))), b"]", b"(K\x01K\x02l", text("AAAAAAAA"), b"N"))
    kind = rng.randrange(4)
    if kind == 0:
        made = b"cnumpy.core.multiarray\nscalar\n(" + dtype + raw + b"tR"
    elif kind == 1:
        made = b"cnumpy.core.numeric\n_frombuffer\n(" + raw + dtype + shape + text("C") + b"tR"
    else:
        made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + shape + sized(b"b") + b"tR"
        made += b"(K\x01" + shape + dtype + rng.choice((b"\x88", b"\x89")) + raw + b"tb"
    key = text(rng.choice(("pose", "v_template", "poses", "J_regressor")))
    return b"\x80\x03}" + key + made + b"s." if rng.random() < 0.5 else b"\x80\x03" + made + b"."


def torch_inside(rng: random.Random, data: bytes) -> bytes:
    """Another pickle, or other numbers, inside what `torch.save` wrote."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:
        return flip(rng, data)
    at = next((i for i, (name, _) in enumerate(members) if name.endswith("data.pkl")), 0)
    if rng.random() < 0.3:
        at = rng.randrange(len(members))
    name, content = members[at]
    members[at] = name, rng.choice((flip, flip, *BYTES, program, other))(rng, content)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


ALL: tuple[Mutator, ...] = (program, program, numpy_program, numpy_program, other, flip, flip)
TORCH: tuple[Mutator, ...] = (torch_inside,) * 6
_ = np
