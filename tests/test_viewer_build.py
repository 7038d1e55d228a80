"""The committed page is what its sources build, and its TypeScript agrees with the Python that it mirrors."""

import gzip
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nerfstudio_mobavatar.web_export import gen_ts

ROOT = Path(__file__).parent.parent
VIEWER = ROOT / "web_export" / "viewer"
GOLDENS = ROOT / "tests" / "goldens"
MAX_GZIPPED_BYTES = {"core": 40 * 1024, "ui": 60 * 1024}
"""Budget of what embedding pages load, without and with controls; other viewers of splats take 44 KB to 969 KB."""
COMMAND_SECONDS = 240
BUILT = ("dist", "webcam")
"""Folders of the viewer that are built and committed."""

needs_npm = pytest.mark.skipif(
    shutil.which("npm") is None, reason="no npm on this machine (Debian: apt-get install npm)"
)


def run(folder: Path, *command: str) -> str:
    """Output of a command in `folder`; fails the test with the output's end where the command fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert done.returncode == 0, f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The viewer's sources alone, in a new place, with the locked tools installed."""
    root = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("node_modules", "build", "dist")
    shutil.copytree(VIEWER, root / "web_export" / "viewer", ignore=ignored)
    shutil.copytree(ROOT / "web_export" / "wgsl", root / "web_export" / "wgsl")
    shutil.copytree(GOLDENS, root / "tests" / "goldens")
    viewer = root / "web_export" / "viewer"
    run(viewer, "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline")
    return viewer


@needs_npm
def test_built_folders_are_what_the_sources_build(copy: Path) -> None:
    run(copy, "npm", "run", "build")
    for folder in BUILT:
        built = {path.name: path.read_bytes() for path in (copy / folder).iterdir()}
        committed = {path.name: path.read_bytes() for path in (VIEWER / folder).iterdir()}
        assert built.keys() == committed.keys()
        stale = [name for name in built if built[name] != committed[name]]
        assert not stale, f"{stale} in web_export/viewer/{folder} are old: run 'npm ci && npm run build', commit it"


@needs_npm
def test_types_check(copy: Path) -> None:
    run(copy, "npm", "run", "check")


@needs_npm
def test_units_pass_in_node(copy: Path) -> None:
    output = run(copy, "npm", "test")
    assert "# pass" in output and "# pass 0" not in output


@needs_npm
def test_modules_are_small(copy: Path) -> None:
    sizes = json.loads(run(copy, "node", "build.mjs", "--sizes"))
    assert sizes.keys() == MAX_GZIPPED_BYTES.keys()
    assert all(10_000 < sizes[name] <= most for name, most in MAX_GZIPPED_BYTES.items()), sizes
    assert len(gzip.compress((VIEWER / "dist" / "viewer.js").read_bytes(), 9)) <= MAX_GZIPPED_BYTES["ui"]


def test_page_asks_nobody_else() -> None:
    """No address of another server in what is shipped; the SVG namespace is a name, not an address."""
    for path in (path for folder in BUILT for path in (VIEWER / folder).iterdir()):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "").replace("http://localhost:8000", "")
        assert "http://" not in text and "https://" not in text and "//cdn" not in text, path.name


@pytest.mark.parametrize(
    ("file", "text"), [(gen_ts.GENERATED, gen_ts.generate), (gen_ts.POSING, gen_ts.generate_posing)]
)
def test_generated_typescript_is_current(file: Path, text: Callable[[], str]) -> None:
    assert file.read_text() == text(), (
        f"{file.name} is old: run 'python -m nerfstudio_mobavatar.web_export.gen_ts', then build the viewer"
    )


def script(name: str) -> ModuleType:
    """A golden's script as a module."""
    spec = importlib.util.spec_from_file_location(name, GOLDENS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_same(found: Any, expected: Any, where: str) -> None:
    """Equal, numbers up to what another processor's arithmetic may change."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            assert_same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list) and expected and isinstance(expected[0], float):
        np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=where)
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, (a, b) in enumerate(zip(found, expected)):
            assert_same(a, b, f"{where}[{i}]")
    else:
        assert found == expected, where


@pytest.mark.parametrize("name", ["kinematics", "layout", "posing"])
def test_goldens_are_current(name: str) -> None:
    module = script(f"make_{name}")
    expected = json.loads((GOLDENS / f"{name}.json").read_text())
    assert_same(json.loads(module.text()), expected, name)
