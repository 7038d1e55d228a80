"""The committed page is the one that its sources build to, byte by byte."""

import shutil
import subprocess
from pathlib import Path

import pytest

WEB_EXPORT = Path(__file__).resolve().parent.parent / "web_export"
VIEWER = WEB_EXPORT / "viewer"


@pytest.mark.skipif(
    not (VIEWER / "node_modules").is_dir(), reason="web_export/viewer/node_modules is missing: run make viewer-packages"
)
def test_dist_is_built_from_these_sources(tmp_path: Path) -> None:
    """Built in a copy, so that the test never repairs what it is to find."""
    ignore = shutil.ignore_patterns("node_modules", "dist", "build", "__pycache__")
    copy = shutil.copytree(WEB_EXPORT, tmp_path / "web_export", ignore=ignore) / "viewer"
    (copy / "node_modules").symlink_to(VIEWER / "node_modules")
    result = subprocess.run(["npm", "run", "build"], cwd=copy, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    built = {path.relative_to(copy): path.read_bytes() for path in (copy / "dist").rglob("*") if path.is_file()}
    committed = {path.relative_to(VIEWER): path.read_bytes() for path in (VIEWER / "dist").rglob("*") if path.is_file()}
    assert built.keys() == committed.keys()
    stale = [str(path) for path in built if built[path] != committed[path]]
    assert not stale, f"{stale}: not what the sources build to; run make viewer and commit web_export/viewer/dist"
