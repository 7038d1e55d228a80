"""What `make` says before it installs anything: tools/install.py."""

import importlib.util
import platform
import shutil
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "install.py"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, its .venv a folder that holds 100 kB."""
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "some").write_bytes(bytes(100_000))
    monkeypatch.setattr(module.sys, "prefix", str(tmp_path))
    monkeypatch.setattr(module, "LOCKED", (platform.system(), platform.machine()))
    monkeypatch.setattr(module, "torch_here", lambda: None)
    monkeypatch.setattr(module, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(module, "LOG", tmp_path / "log")
    return module


def disk(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, int(free)))


def test_a_full_disk_is_said_before_anything_is_downloaded(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk(monkeypatch, 4.2e9)
    monkeypatch.setattr(install, "run", lambda *_: pytest.fail("something was installed"))
    assert install.main("test") == 1
    said = capsys.readouterr().err
    assert f"{tmp_path}: 4.2 GB free" in said and "9 GB needed" in said and "run make again" in said


def test_somebodys_own_torch_needs_less_room_than_the_locked_one(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, 4.2e9)
    monkeypatch.setattr(install, "torch_here", lambda: "2.6.0")
    installed = []
    monkeypatch.setattr(install, "install_resolved", lambda target: installed.append(target))
    assert install.main("test") == 1 and installed == [".[dev]"]


def test_what_is_installed_already_needs_no_room(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk(monkeypatch, install.ROOM_GB * 1e9 - 100_001)
    assert install.lacking_room(tmp_path)
    disk(monkeypatch, install.ROOM_GB * 1e9 - 100_000)
    assert install.lacking_room(tmp_path) is None
