"""Damaged avatar files and motions through both readers (Python, TypeScript): an error that says so, or one result.

    python -m tests.bench.fuzz_bundle --files 100000 --jobs 60

Bits flipped, bytes lost, pieces swapped, headers and streams that lie with checksums that are right, zip bombs. A
failure is an error of another kind than the readers' own, a file that takes longer than `SECONDS` or a process that
takes more than `MAX_MB`, a file that only one of the readers refuses or of which they hand out different arrays, or
another avatar from a file whose checksums were not repaired. What was found stands in `tests/test_readers_agree.py`.
"""

import argparse
import gzip
import hashlib
import json
import multiprocessing
import re
import shutil
import subprocess
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar.motion import MotionError, pose_binary
from nerfstudio_mobavatar.web_export import bundle, container
from tests.avatar_files import checksum
from tests.bench.common import device_name, write

GOLDENS = Path(__file__).resolve().parents[1] / "goldens"
VIEWER = Path(bundle.__file__).parent / "viewer"
SECONDS, MAX_MB = 5.0, 400
BATCH = 500
LETTERS = np.frombuffer(b'0123456789.-+eE"[]{},: truefalsenul\\\xff\x00', np.uint8)
Report = Callable[["Found"], None]
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
    """SHA-256 of the arrays that the Python reader hands out, of an avatar or of a motion (by its first bytes)."""
    if data[:8] == pose_binary.MAGIC:
        return motion_digest(pose_binary.decode_file(data))
    _, arrays = bundle.read_sections(data)
    bundle.decode(data)
    whole = hashlib.sha256()
    for name in bundle.ARRAYS:
        whole.update(np.ascontiguousarray(arrays[name]).tobytes())
    return whole.hexdigest()


def motion_digest(found: pose_binary.PoseSequence) -> str:
    """SHA-256 of the rate and of all rows."""
    whole = hashlib.sha256(np.float64(found.fps).tobytes())
    for row in found.rows:
        for array in (row.pose, row.Rh, row.Th, row.expression):
            whole.update(np.ascontiguousarray(array, np.float32).tobytes())
    return whole.hexdigest()


def _seal(data: bytes, header: dict[str, Any], start: int, payload: bytes | None = None) -> bytes:
    """The file with this header, checksums right where the version has one."""
    return _sealed(data, json.dumps(header).encode(), data[start:] if payload is None else payload)


def _sealed(data: bytes, text: bytes, payload: bytes) -> bytes:
    preamble = data[:12] + np.array([len(text)], "<u4").tobytes()
    return preamble + (checksum(preamble, text) if data[8] > 1 else b"") + text + payload


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
    kind = rng.integers(0, 6)
    raw = gzip.decompress(stored)
    if kind == 0:
        raw = _flip(rng, raw) if raw else b"x"
    elif kind == 1:
        raw = raw[: rng.integers(0, len(raw) + 1)]
    elif kind == 2:
        raw = raw + bytes(int(rng.choice([1, 100, 10_000_000])))
    elif kind == 3:
        raw = rng.bytes(len(raw))
    elif kind == 5:
        stored += bytes(8) if rng.random() < 0.5 else stored
    new = (_flip(rng, stored), stored)[kind - 4] if kind >= 4 else gzip.compress(raw, 1, mtime=0)
    payload = data[start:] + new
    entry |= {"offset": len(data) - start, "stored_bytes": len(new), "crc32": zlib.crc32(new)}
    header["payload_bytes"] = len(payload)
    return _seal(data, header, start, payload)


def _retype(rng: np.random.Generator, data: bytes) -> bytes:
    """Other letters in the header's text."""
    _, _, start = container.read(data)
    text = bytearray(data[container.PREAMBLE_BYTES + (container.CHECKSUM_BYTES if data[8] > 1 else 0) : start])
    for place in rng.integers(0, len(text.rstrip()), rng.integers(1, 4)):
        text[place] = rng.choice(LETTERS)
    return _sealed(data, bytes(text), data[start:])


def _remotion(rng: np.random.Generator, data: bytes) -> bytes:
    """A motion with other numbers in its header or other ones behind it, its checksum right."""
    head, stored = bytearray(data[: pose_binary.HEADER.size - 4]), data[pose_binary.HEADER.size :]
    kind = rng.integers(0, 4)
    if kind == 0:
        place = int(rng.integers(2, 6)) * 4
        old = int.from_bytes(head[place : place + 4], "little")
        new = rng.choice([0, 1, 1 << 20, (1 << 32) - 1, 0x7F800000, max(old - 1, 0), old + 1, old ^ 1 << 31])
        head[place : place + 4] = int(new).to_bytes(4, "little")
    elif kind == 1:
        stored = _flip(rng, stored)
    else:
        raw = gzip.decompress(stored)
        raw = _flip(rng, raw) if kind == 2 else raw + bytes(int(rng.choice([1, 100, 10_000_000])))
        stored = gzip.compress(raw, 1, mtime=0) + (b"", b"", bytes(8))[rng.integers(0, 3)]
    return bytes(head) + zlib.crc32(stored, zlib.crc32(head)).to_bytes(4, "little") + stored


BLIND, SEALED = (_flip, _cut, _splice), (_lie, _restream, _retype)


def mutate(rng: np.random.Generator, originals: list[bytes]) -> tuple[int, bool, bytes]:
    """Which original it was, whether its checksums are right, and the damaged file."""
    which = int(rng.integers(0, len(originals)))
    sealed = (_remotion,) if originals[which][:8] == pose_binary.MAGIC else SEALED
    makers = BLIND + sealed
    maker = makers[rng.integers(0, len(makers))]
    return which, maker in sealed, maker(rng, originals[which])


def _by_python(data: bytes) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        found: dict[str, Any] = {"sum": digest(data)}
    except (bundle.BundleError, MotionError) as error:
        found = {"error": str(error), "is_ours": True}
    except Exception as error:
        found = {"error": repr(error), "is_ours": False}
    return found | {"ms": 1e3 * (time.perf_counter() - started)}


def build_reader(folder: Path) -> None:
    """The page's reader for Node, `fuzz.mjs` in the folder."""
    build = ["node", "build.mjs", "--fuzz", str(folder)]
    subprocess.run(build, cwd=VIEWER, check=True, capture_output=True, timeout=120)


def by_typescript(files: list[bytes], folder: Path) -> list[dict[str, Any]]:
    """`sum` or `error`, `is_ours` and `ms` of each file, by the page's reader, which is built there if it is not.

    A file at which the reader's process ends, or does not come to an end, is found by halves.
    """
    if not (folder / "fuzz.mjs").is_file():
        build_reader(folder)
    source, target = folder / "files", folder / "found.json"
    source.write_bytes(b"".join(np.uint32(len(f)).astype("<u4").tobytes() + f for f in files))
    command = ["node", "--expose-gc", str(folder / "fuzz.mjs"), str(source), str(target)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60 + SECONDS * len(files) / 50)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        half = len(files) // 2
        if half == 0:
            return [{"error": f"the reader's process: {error}", "is_ours": False, "ms": 0.0}]
        return by_typescript(files[:half], folder) + by_typescript(files[half:], folder)
    found = json.loads(target.read_text())
    if found["peak_kb"] > 1024 * MAX_MB:
        found["files"][-1] |= {"error": f"the reader took {found['peak_kb'] / 1024:.0f} MB", "is_ours": False}
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
    if ("sum" in python) != ("sum" in page):
        refusing, error = ("page", page["error"]) if "sum" in python else ("python", python["error"])
        return f"only {refusing} refuses: {error}"
    if "sum" in python and python["sum"] != page["sum"]:
        return "the readers hand out different arrays"
    return None


def _peak_mb() -> float:
    """Most memory that this process has held. Not `ru_maxrss`, in which Linux hands a child its parent's peak."""
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) / 1024


@dataclass
class Found:
    """Of a batch of files, or of all."""

    files: int = 0
    read_by: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    peak_mb: float = 0.0
    """Most memory that reading in Python took beyond what the process had before."""

    def add(self, other: "Found") -> None:
        """Counts of both."""
        self.files += other.files
        self.read_by.update(other.read_by)
        self.failures += other.failures
        self.peak_mb = max(self.peak_mb, other.peak_mb)


def batch(first: int, count: int, seed: int, reader: Path, keep: Path | None) -> Found:
    """Files `first`, `first` + 1 ...: always the same ones of a seed, whoever reads them."""
    before = _peak_mb()
    originals = [path.read_bytes() for path in (*sorted(GOLDENS.glob("*.mobavatar")), GOLDENS / "walk.pose.bin")]
    sums = [digest(data) for data in originals]
    rng = np.random.default_rng([seed, first])
    made = [mutate(rng, originals) for _ in range(count)]
    found = Found(files=count)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(reader / "fuzz.mjs", folder)
        pages = by_typescript([data for _, _, data in made], folder)
    for i, ((which, is_sealed, data), page) in enumerate(zip(made, pages)):
        python = _by_python(data)
        found.read_by.update(name for name, by in (("python", python), ("page", page)) if "sum" in by)
        wrong = failure(sums[which], is_sealed, python, page)
        if wrong:
            found.failures.append(f"file {first + i}: {wrong}")
            if keep:
                (keep / f"{seed}_{first + i}.mobavatar").write_bytes(data)
    found.peak_mb = _peak_mb() - before
    if found.peak_mb > MAX_MB:
        found.failures.append(f"files from {first} on: the Python reader took {found.peak_mb:.0f} MB more than before")
    return found


def run(files: int, seed: int, keep: Path | None = None, jobs: int = 1, report: Report = lambda _: None) -> Found:
    """Counts, and what went wrong; failing files go into the folder `keep`, what is known so far to `report`."""
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
    found = Found()
    with tempfile.TemporaryDirectory() as temporary:
        reader = Path(temporary)
        build_reader(reader)
        todo = [(first, min(BATCH, files - first), seed, reader, keep) for first in range(0, files, BATCH)]
        if jobs == 1:
            for arguments in todo:
                found.add(batch(*arguments))
                report(found)
            return found
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            for done in as_completed([pool.submit(batch, *arguments) for arguments in todo]):
                found.add(done.result())
                report(found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes; each starts a node besides")
    parser.add_argument("--keep", type=Path, help="folder for files that fail")
    args = parser.parse_args()

    def report(found: Found) -> None:
        print(f"{found.files} files, {len(found.failures)} failures", flush=True)
        write(
            "bundle",
            {
                "fuzz_files": found.files,
                "fuzz_failures": len(found.failures),
                "fuzz_read_without_error": dict(sorted(found.read_by.items())),
                "fuzz_device": device_name("cpu"),
                "fuzz_command": f"python -m tests.bench.fuzz_bundle --files {args.files} --seed {args.seed}",
            },
        )

    found = run(args.files, args.seed, args.keep, args.jobs, report)
    print("\n".join(sorted(found.failures)[:50]))


if __name__ == "__main__":
    main()
