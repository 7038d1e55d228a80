"""The locks cover what pyproject.toml asks for, on every supported Python, and name the hash of every file."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import install

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ["3.10", "3.11", "3.12"]
LOCKS = ["demo", "test"]


def project() -> dict:
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str, python: str) -> dict[str, str]:
    """Versions that pip would install from the lock on Linux x86_64 with this Python."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.7",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "os_name": "posix",
    }
    found: dict[str, str] = {}
    for line in (ROOT / "tools/locks" / f"{name}.txt").read_text().splitlines():
        if re.match(r"^[A-Za-z0-9]", line):
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate(environment):
                package = canonicalize_name(requirement.name)
                assert package not in found, f"{package} twice for Python {python}"
                found[package] = str(requirement.specifier).removeprefix("==")
    return found


def asked(name: str) -> list[Requirement]:
    text = project()["project"]
    return [
        Requirement(line)
        for line in text["dependencies"] + (text["optional-dependencies"]["dev"] if name == "test" else [])
    ]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_meets_the_projects_demands(name: str, python: str) -> None:
    versions = locked(name, python)
    for requirement in asked(name):
        package = canonicalize_name(requirement.name)
        assert package in versions, f"{package} is not in tools/locks/{name}.txt for Python {python}: run `make lock`"
        assert requirement.specifier.contains(versions[package], prereleases=True), (
            f"tools/locks/{name}.txt has {package} {versions[package]}, pyproject.toml asks for {requirement}: "
            "run `make lock`"
        )
    for line in project()["tool"]["uv"]["override-dependencies"] + project()["tool"]["uv"]["constraint-dependencies"]:
        pinned = Requirement(line)
        assert pinned.specifier.contains(versions[canonicalize_name(pinned.name)]), line


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_of_the_lock_has_its_hash(name: str) -> None:
    text = (ROOT / "tools/locks" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert len(entries) > 200
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]
        assert "://" not in entry.split("# via")[0], f"not from the registry: {entry[:80]}"


def test_what_users_get_is_what_the_tests_ran_with() -> None:
    for python in PYTHONS:
        tested = locked("test", python)
        assert locked("demo", python).items() <= tested.items()


def test_the_page_and_the_readers_are_locked_with_hashes() -> None:
    for folder in ("web_export/viewer", "tests/exchange_tools", "tests/bench/peers"):
        lock = json.loads((ROOT / folder / "package-lock.json").read_text())
        packages = {name: entry for name, entry in lock["packages"].items() if name and not entry.get("link")}
        assert packages, folder
        for name, entry in packages.items():
            assert entry.get("integrity", "").startswith("sha512-"), f"{folder}: {name} has no hash"


@pytest.mark.skipif(not (shutil.which("make") and shutil.which("npm")), reason="no make or no npm on this machine")
def test_make_sbom_lists_all_that_is_locked(tmp_path: Path) -> None:
    """By the Makefile's own lines, but for what installs their tools and for the validation, which takes 8 s."""
    here = [f"BIN={Path(sys.executable).parent}", f"OUT={tmp_path}", "ARGS=--no-validate"]
    command = ["make", "-o", "setup-test", "-o", "viewer-packages", *here, "sbom"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lists = {name: json.loads((tmp_path / f"sbom-{name}.json").read_text()) for name in ("python", "page")}
    lock = (ROOT / "tools/locks/demo.txt").read_text()
    packages = json.loads((ROOT / "web_export/viewer/package-lock.json").read_text())["packages"]
    locked = {
        "python": set(re.findall(r"^([A-Za-z0-9][\w.-]*)==(\S+)", lock, re.MULTILINE)),
        "page": {(path.rpartition("node_modules/")[2], entry["version"]) for path, entry in packages.items() if path},
    }
    for name, found in lists.items():
        assert found["bomFormat"] == "CycloneDX"
        assert {(c["name"], c["version"]) for c in found["components"]} == locked[name]
        for component in found["components"]:
            text = json.dumps(component)
            assert re.search(r'"purl": "pkg:(pypi|npm)/', text) and re.search(r'"alg": "SHA-(256|512)"', text), text


def test_a_torch_of_the_users_own_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only a .venv without torch, or with the locked one, is filled from the lock."""
    ran: list[str] = []
    monkeypatch.setattr(install, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(install, "LOG", tmp_path / "log")
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    monkeypatch.setattr(install.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(install, "install_locked", lambda lock: ran.append(lock.stem) or True)
    monkeypatch.setattr(install, "install_resolved", lambda target: ran.append(target) or True)
    monkeypatch.setattr(install, "report_device", lambda: None)
    monkeypatch.setattr(install.shutil, "rmtree", lambda *arguments, **options: None)
    for own, expected in ((None, "demo"), ("2.14.1", "demo"), ("2.9.1", ".")):
        monkeypatch.setattr(install, "torch_here", lambda own=own: own)
        (tmp_path / "stamp").unlink(missing_ok=True)
        assert install.main("demo") == 0
        assert ran.pop() == expected
