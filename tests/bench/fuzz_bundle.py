"""Damaged avatar files through the Python and the TypeScript reader: an error that says so, or the same avatar in both.

    python -m tests.bench.fuzz_bundle --files 100000

Bits flipped, bytes lost, pieces swapped, headers and streams that lie with checksums that are right, zip bombs. A
failure is an error of another kind than the readers' own, a file that takes longer than `SECONDS` or a process that
takes more than `MAX_MB`, two readers that hand out different arrays, or another avatar from a file whose checksums were
not repaired.
"""

import argparse
import gzip
import hashlib
import json
import resource
import subprocess
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar.web_export import bundle, container
from tests.avatar_files import checksum
from tests.bench.common import device_name, write

GOLDENS = Path(__file__).resolve().parents[1] / "goldens"
VIEWER = Path(bundle.__file__).parent / "viewer"
SECONDS, MAX_MB = 5.0, 400
BATCH = 500
NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    1,
    2,
    255,
    65535,
    65536,
    1 << 22,
    1 << 31,
    1 << 53,
    0.5,
    1e308,
    None,
    "7",
    [],
    {},
    True,
)


def digest(data: bytes) -> str:
    """SHA-256 of the arrays that the Python reader hands out."""
    _, arrays = bundle.read_sections(data)
    bundle.decode(data)
    whole = hashlib.sha256()
    for name in bundle.ARRAYS:
        whole.update(np.ascontiguousarray(arrays[name]).tobytes())
    return whole.hexdigest()


def _seal(data: bytes, header: dict[str, Any], start: int, payload: bytes | None = None) -> bytes:
    """The file with this header, checksums right where the version has one."""
    text = json.dumps(header).encode()
    preamble = data[:12] + np.array([len(text)], "<u4").tobytes()
    is_sealed = data[8] > 1
    return (
        preamble
        + (checksum(preamble, text) if is_sealed else b"")
        + text
        + (data[start:] if payload is None else payload)
    )


def _flip(rng: np.random.Generator, data: bytes) -> bytes:
    out = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 5)):
        out[place] ^= 1 << rng.integers(0, 8)
    return bytes(out)


def _cut(rng: np.random.Generator, data: bytes) -> bytes:
    a, b = sorted(rng.integers(0, len(data), 2))
    return data[:a] if rng.random() < 0.5 else data[:a] + data[b:]


def _splice(rng: np.random.Generator, data: bytes) -> bytes:
    a, b, size = *rng.integers(0, len(data), 2), int(rng.integers(1, 400))
    out = bytearray(data)
    out[a : a + size] = data[b : b + size]
    return bytes(out)


def _lie(rng: np.random.Generator, data: bytes) -> bytes:
    """Another number somewhere in the header."""
    _, header, start = container.read(data)
    place: Any = header
    key: Any = rng.choice(list(header))
    while isinstance(place[key], dict | list) and len(place[key]) > 0 and rng.random() < 0.9:
        place = place[key]
        key = rng.choice(list(place)) if isinstance(place, dict) else int(rng.integers(0, len(place)))
    known = isinstance(place[key], int | float) and not isinstance(place[key], bool)
    if known and rng.random() < 0.5:
        place[key] = place[key] + int(rng.integers(-3, 4))
    else:
        place[key] = NUMBERS[rng.integers(0, len(NUMBERS))]
    return _seal(data, header, start)


def _restream(rng: np.random.Generator, data: bytes) -> bytes:
    """A section with other content, its checksum right: noise, another length, a zip bomb, not gzip at all."""
    _, header, start = container.read(data)
    entry = header["sections"][rng.integers(0, len(header["sections"]))]
    at = start + entry["offset"]
    stored = data[at : at + entry["stored_bytes"]]
    kind = rng.integers(0, 5)
    raw = gzip.decompress(stored)
    if kind == 0:
        raw = _flip(rng, raw) if raw else b"x"
    elif kind == 1:
        raw = raw[: rng.integers(0, len(raw) + 1)]
    elif kind == 2:
        raw = raw + bytes(int(rng.choice([1, 100, 10_000_000])))
    elif kind == 3:
        raw = rng.bytes(len(raw))
    new = _flip(rng, stored) if kind == 4 else gzip.compress(raw, 1, mtime=0)
    payload = data[start:] + new
    entry |= {"offset": len(data) - start, "stored_bytes": len(new), "crc32": zlib.crc32(new)}
    header["payload_bytes"] = len(payload)
    return _seal(data, header, start, payload)


BLIND, SEALED = (_flip, _cut, _splice), (_lie, _restream)


def mutate(rng: np.random.Generator, originals: list[bytes]) -> tuple[int, bool, bytes]:
    """Which original it was, whether its checksums are right, and the damaged file."""
    which = int(rng.integers(0, len(originals)))
    makers = BLIND + SEALED
    maker = makers[rng.integers(0, len(makers))]
    return which, maker in SEALED, maker(rng, originals[which])


def _by_python(data: bytes) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        found: dict[str, Any] = {"sum": digest(data)}
    except bundle.BundleError as error:
        found = {"error": str(error), "is_ours": True}
    except Exception as error:
        found = {"error": repr(error), "is_ours": False}
    return found | {"ms": 1e3 * (time.perf_counter() - started)}


def _by_typescript(files: list[bytes], folder: Path) -> list[dict[str, Any]]:
    source, target = folder / "files", folder / "found.json"
    source.write_bytes(b"".join(np.uint32(len(f)).astype("<u4").tobytes() + f for f in files))
    command = ["node", "--expose-gc", str(folder / "fuzz.mjs"), str(source), str(target)]
    subprocess.run(command, check=True, capture_output=True, timeout=60 + SECONDS * len(files) / 50)
    found = json.loads(target.read_text())
    if not found["peak_kb"] <= 1024 * MAX_MB:
        raise RuntimeError(f"the TypeScript reader took {found['peak_kb'] / 1024:.0f} MB")
    return found["files"]


def failure(original: str, is_sealed: bool, python: dict[str, Any], page: dict[str, Any]) -> str | None:
    """What is wrong with how a file was read."""
    for name, found in (("python", python), ("page", page)):
        if found["ms"] > 1e3 * SECONDS:
            return f"{name} took {found['ms']:.0f} ms"
        if "error" in found and not found["is_ours"]:
            return f"{name}: {found['error']}"
        if "sum" in found and not is_sealed and found["sum"] != original:
            return f"{name} reads another avatar without an error"
    if "sum" in python and "sum" in page and python["sum"] != page["sum"]:
        return "the readers hand out different arrays"
    return None


def _peak_mb() -> float:
    """Most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(files: int, seed: int, keep: Path | None = None) -> dict[str, Any]:
    """Counts, and what went wrong; failing files are kept in the folder `keep`."""
    peak_before = _peak_mb()
    originals = [path.read_bytes() for path in sorted(GOLDENS.glob("*.mobavatar"))]
    sums = [digest(data) for data in originals]
    rng = np.random.default_rng(seed)
    failures, read_by = [], {"python": 0, "page": 0}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build = ["node", "build.mjs", "--fuzz", temporary]
        subprocess.run(build, cwd=VIEWER, check=True, capture_output=True, timeout=120)
        for first in range(0, files, BATCH):
            made = [mutate(rng, originals) for _ in range(min(BATCH, files - first))]
            pages = _by_typescript([data for _, _, data in made], folder)
            for i, ((which, is_sealed, data), page) in enumerate(zip(made, pages)):
                python = _by_python(data)
                read_by["python"] += "sum" in python
                read_by["page"] += "sum" in page
                wrong = failure(sums[which], is_sealed, python, page)
                if wrong:
                    failures.append(f"file {first + i}: {wrong}")
                    if keep:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{seed}_{first + i}.mobavatar").write_bytes(data)
    peak = _peak_mb() - peak_before
    if peak > MAX_MB:
        failures.append(f"the Python reader took {peak:.0f} MB more than this process had before")
    return {"files": files, "read_by": read_by, "failures": failures, "peak_mb": round(peak)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that fail")
    args = parser.parse_args()
    found = run(args.files, args.seed, args.keep)
    print("\n".join(found["failures"][:50]))
    write(
        "bundle",
        {
            "fuzz_files": found["files"],
            "fuzz_failures": len(found["failures"]),
            "fuzz_read_without_error": found["read_by"],
            "fuzz_device": device_name("cpu"),
            "fuzz_command": f"python -m tests.bench.fuzz_bundle --files {args.files} --seed {args.seed}",
        },
    )


if __name__ == "__main__":
    main()
