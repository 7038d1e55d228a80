"""Some hundred damaged files through every reader; `python -m tests.fuzz run` takes as many as one likes."""

import faulthandler
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerfstudio_mobavatar.capture import CaptureError
from tests.fuzz import guard, guided, runner
from tests.fuzz.__main__ import is_open
from tests.fuzz.targets import BY_NAME, TARGETS, Target

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and audit need Linux")


def test_no_reader_fails(tmp_path: Path) -> None:
    """All readers of single files, and one whole capture: making the others takes longer than reading them.

    In a process of its own, since the checks of types in tests run code that they generate."""
    chosen = [t.name for t in TARGETS if not t.name.startswith("capture_") or t.name == "capture_avatarrex"]
    options = ["--executions", "1500", "--seed", "1", "--result", str(tmp_path / "found.json")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "run", *options, "--readers", *chosen], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    executions = json.loads((tmp_path / "found.json").read_text())["executions"]
    assert executions.keys() == set(chosen)
    assert min(executions.values()) >= 5 and sum(executions.values()) > 1400


def crash(_: Path) -> None:
    faulthandler.disable()  # pytest's trace of a crash that is meant would look like one that is not
    os.abort()


def hang(_: Path) -> None:
    while True:
        pass


def wait(_: Path) -> None:
    threading.Event().wait()


def take(_: Path) -> Any:
    return np.ones(70_000_000).sum()


def claim(folder: Path) -> None:
    try:
        np.empty(1 << 40, np.uint8)
    except MemoryError as error:
        raise CaptureError(f"{folder}: too large") from error


def fail(_: Path) -> None:
    raise KeyError("K")


def unnamed(_: Path) -> None:
    raise CaptureError("a file is damaged")


def look_elsewhere(_: Path) -> None:
    Path("/etc/passwd").read_text()


def write(folder: Path) -> None:
    (folder / "new").write_text("")


def write_elsewhere(_: Path) -> None:
    (runner.memory_folder() or Path("/tmp")).joinpath("fuzz-elsewhere").write_text("")


def remove(folder: Path) -> None:
    next(folder.glob("*.txt")).unlink()


def start(_: Path) -> None:
    subprocess.run(["true"], check=False)


def shell(_: Path) -> None:
    os.system("true")


def connect(_: Path) -> None:
    socket.socket().close()


def evaluate(_: Path) -> None:
    eval("1 + 1")


def unpickle(_: Path) -> None:
    import pickle

    pickle.loads(b"cos\ngetcwd\n.")


def fine(folder: Path) -> None:
    if len((folder / "a.txt").read_bytes()) > 3:
        raise CaptureError(f"{folder / 'a.txt'}: expected 3 bytes")


BAD: dict[Callable[[Path], Any], str] = {
    crash: "ended by signal SIGABRT",
    hang: "time test_fuzz_readers.py",
    wait: "ended by signal SIGKILL",
    take: "memory",
    claim: "memory test_fuzz_readers.py",
    fail: "KeyError test_fuzz_readers.py",
    unnamed: "unnamed test_fuzz_readers.py",
    look_elsewhere: "event open",
    write: "event open",
    write_elsewhere: "event open",
    remove: "event os.remove",
    start: "event subprocess.Popen",
    shell: "event os.system",
    connect: "event socket",
    evaluate: "event exec",
    unpickle: "event pickle.find_class",
}


def make(folder: Path) -> None:
    (folder / "a.txt").write_text("one")


@pytest.mark.parametrize("read", BAD, ids=lambda read: read.__name__)
def test_what_a_reader_must_not_do(
    read: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.3 if read is hang else 10.0)
    monkeypatch.setattr(runner, "STUCK_SECONDS", 3.0 if read is wait else 60.0)

    def read_damaged(folder: Path) -> None:
        if (folder / "a.txt").read_bytes() != b"one":
            read(folder)

    target = Target("bad", make, read_damaged)
    found = runner.run([target], executions=4, jobs=1, seed=1, keep=tmp_path / "kept")
    kinds = [kind.removeprefix("bad: ") for kind in found.failures]
    assert kinds and all(re.match(BAD[read], kind) for kind in kinds), found.failures
    assert list((tmp_path / "kept").glob("bad__*/*__a.txt"))


def test_a_reader_that_keeps_to_it_has_no_failures() -> None:
    found = runner.run([Target("good", make, fine)], executions=200, jobs=2, seed=1, keep=None)
    assert not found.failures and found.executions["good"] == 200


def test_a_kept_file_tells_whether_its_failure_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("bad", make, lambda folder: crash(folder) if (folder / "a.txt").read_text() == "two" else None)
    monkeypatch.setitem(BY_NAME, "bad", target)
    kind, kept = "bad: ended by signal SIGABRT", [tmp_path]
    assert is_open(kind, kept), "no file"
    runner.samples_of(tmp_path, kind).mkdir()
    sample = runner.samples_of(tmp_path, kind) / "1__a.txt"
    for text in ("three", "two"):
        sample.write_text(text)
        assert is_open(kind, kept) == (text == "two")


def test_fuzzing_guided_by_coverage_finds_and_keeps_what_fails(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="needs atheris")

    def read(folder: Path) -> None:
        if (folder / "a.txt").read_bytes() != b"one":
            raise ValueError("not one")

    found = guided.run_each([Target("bad", make, read), Target("good", make, fine)], 50, 1, tmp_path)
    assert found.executions == {"bad": 50, "good": 50}
    (kind,) = found.failures
    assert kind.startswith("bad: ValueError") and list(runner.samples_of(tmp_path, kind).glob("*__a.txt"))
