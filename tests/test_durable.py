"""Files are whole or not there at all: full disks, folders that cannot be written, processes killed in the middle."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nerfstudio_mobavatar import durable


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(("code", "told"), [(errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False)])
def test_a_folder_that_cannot_be_synced_is_told_from_a_disk_that_fails(tmp_path, monkeypatch, code, told) -> None:
    monkeypatch.setattr(os, "fsync", failing(code))
    if told:
        with pytest.raises(OSError) as caught:
            durable.sync_folder(tmp_path)
        assert caught.value.errno == code
    else:
        durable.sync_folder(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, code, call) -> None:
    path = tmp_path / "a"
    durable.write(path, "old")
    with pytest.raises(OSError) as caught, durable.replacing(path) as file:
        file.write(b"new")
        if call == "write":
            failing(code)()
        monkeypatch.setattr(os, "fsync", failing(code))
    assert caught.value.errno == code
    assert content(tmp_path) == {"a": b"old"}


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_the_call_returns(
    tmp_path, monkeypatch
) -> None:
    """Else a power cut may leave an empty file of the right name."""
    done = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (done.append(str(Path(f"/proc/self/fd/{fd}").readlink())), fsync(fd))[1]
    )
    monkeypatch.setattr(Path, "replace", lambda a, b: (done.append("renamed"), replace(a, b))[1])
    durable.write(tmp_path / "a", b"x" * 10)
    draft, renamed, folder = done
    assert Path(draft).name.startswith(durable.UNFINISHED) and renamed == "renamed" and folder == str(tmp_path)


KILLED = """
import os, pathlib, signal, sys
from nerfstudio_mobavatar import durable
folder = pathlib.Path(sys.argv[1])
with durable.replacing(folder / "step-000000007.ckpt") as file, durable.staging(folder / "page") as page:
    file.write(b"half")
    file.flush()
    (page / "index.html").write_text("half")
    print("writing", flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def writer(folder: Path, how: str) -> subprocess.Popen:
    command = [sys.executable, "-c", KILLED, str(folder), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path) -> None:
    assert writer(tmp_path, "killed").wait(20) == -signal.SIGKILL
    (left,) = tmp_path.glob(f"{durable.UNFINISHED}*")
    (half,) = tmp_path.glob(".page-*")
    living = writer(tmp_path, "living")
    try:
        (tmp_path / ".page-mine").mkdir()
        assert durable.remove_unfinished(tmp_path) == [left.name]
        with durable.staging(tmp_path / "page") as page:
            (page / "index.html").write_text("whole")
        assert not half.exists() and (tmp_path / ".page-mine").is_dir()
        assert len([*tmp_path.glob(".page-unfinished-*")]) == len([*tmp_path.glob(f"{durable.UNFINISHED}*")]) == 1
    finally:
        living.kill()
        living.communicate()
    assert (tmp_path / "page" / "index.html").read_text() == "whole"


RENAMED = """
import os, pathlib, signal, sys
from nerfstudio_mobavatar import durable
page = pathlib.Path(sys.argv[1])
durable.sync_folder = lambda folder: os.kill(os.getpid(), signal.SIGKILL) if page.exists() else None
with durable.staging(page) as new:
    (new / "index.html").write_text("whole")
"""


def test_what_a_process_left_that_was_killed_once_the_folder_was_there_is_removed(tmp_path) -> None:
    """It lies beside the folder, where the next one, which finds a folder, has no need to write."""
    page = tmp_path / "page"
    done = subprocess.run([sys.executable, "-c", RENAMED, str(page)])
    assert done.returncode == -signal.SIGKILL and content(page) == {"index.html": b"whole"}
    assert [*tmp_path.glob(".page-unfinished-*")]
    with durable.staging(page):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_unfinished_checkpoints_never_look_like_the_newest_to_nerfstudio(tmp_path) -> None:
    """Its tools take this of every name in the folder for a step."""
    seen = []
    for step in (10, 20):
        with durable.replacing(tmp_path / f"step-{step:09d}.ckpt") as file:
            file.write(b"x")
            names = [path.name for path in tmp_path.iterdir()]
            seen.append(max(int(name[name.find("-") + 1 : name.find(".")]) for name in names))
    assert seen == [0, 10]


def test_a_new_folder_appears_as_a_whole_with_the_permissions_of_any_folder(tmp_path) -> None:
    (tmp_path / "other").mkdir()
    with durable.staging(tmp_path / "page") as page:
        (page / "sub").mkdir()
        (page / "sub" / "a").write_text("a")
        assert not (tmp_path / "page").exists()
    assert content(tmp_path) == {"page/sub/a": b"a"}
    assert (tmp_path / "page").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_files_of_a_folder_that_exists_are_replaced_one_by_one_and_others_stay(tmp_path) -> None:
    page = tmp_path / "page"
    (page / "sub").mkdir(parents=True)
    for name in ("a", "mine", "sub/b"):
        (page / name).write_text("old")
    with pytest.raises(OSError), durable.staging(page) as new:
        (new / "a").write_text("new")
        failing(errno.ENOSPC)()
    assert set(content(tmp_path).values()) == {b"old"}
    with durable.staging(page) as new:
        (new / "sub").mkdir()
        for name in ("a", "sub/b"):
            (new / name).write_text("new")
    assert content(page) == {"a": b"new", "mine": b"old", "sub/b": b"new"}


def test_the_reason_is_told_in_words(tmp_path) -> None:
    full = durable.reason(OSError(errno.ENOSPC, "No space left"), tmp_path, 5_000_000)
    assert f"the disk that holds {tmp_path} is full; 5 MB are needed and" in full and "make room" in full
    closed = durable.reason(OSError(errno.EROFS, "Read-only file system"), tmp_path)
    assert f"{tmp_path} cannot be written to (Read-only file system)" in closed
