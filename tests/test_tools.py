"""The tools that continuous integration relies on."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.bench import common, coverage

ROOT = Path(__file__).resolve().parent.parent
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.wgsl.test_sort" name="test_keys"><system-out>text</system-out></testcase>
<testcase classname="tests.wgsl.test_sort" name="test_fast"><skipped message="needs CUDA"/></testcase>
<testcase classname="tests.test_browser" name="test_page"><skipped message="no Chromium found"/></testcase>
<testcase classname="tests.test_render" name="test_wrong"><failure message="wrong"/></testcase>
</testsuite></testsuites>"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("tests.wgsl", []),
        ("tests.test_browser", ["expected at least one passed test", "test_page was skipped: no Chromium found"]),
        ("tests.test_render", ["tests.test_render: expected at least one passed test, found none among 1"]),
        ("tests.renamed", ["tests.renamed: expected at least one passed test, found none among 0"]),
    ],
)
def test_check_ran_tells_a_skip_from_a_pass(prefix: str, expected: list[str], tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT)
    lines = load("check_ran").problems(junit, [prefix])
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected, strict=True):
        assert part in line


def test_install_is_skipped_only_when_nothing_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install = load("install")
    calls: list[str] = []
    monkeypatch.setattr(install, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(install, "LOG", tmp_path / "log")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("one")
    monkeypatch.setattr(install, "torch_here", lambda: "0.1")  # the user's own: the locks are left aside
    monkeypatch.setattr(install, "report_device", lambda: None)
    monkeypatch.setattr(install, "cuda_version", lambda: "13.0")
    monkeypatch.setattr(install, "pip", lambda what, *arguments: calls.append(arguments[-1]) or True)

    assert install.main("demo") == 0 and calls == [".", install.GSPLAT_FOR_CUDA_13]
    assert install.main("demo") == 0 and len(calls) == 2
    assert install.main("test") == 0 and calls[2:] == [".[dev]", install.GSPLAT_FOR_CUDA_13]
    assert install.main("demo") == 0 and len(calls) == 4  # what the tests need is enough for the demo
    (tmp_path / "pyproject.toml").write_text("two")
    monkeypatch.setattr(install, "cuda_version", lambda: "12.8")
    assert install.main("demo") == 0 and calls[4:] == ["."]  # nerfstudio's own gsplat fits CUDA 12
    monkeypatch.setattr(install, "pip", lambda what, *arguments: False)
    assert install.main("test") == 1
    assert not (tmp_path / "stamp").exists()


IN_A_PROGRAM_OF_ITS_OWN = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import nerfstudio_mobavatar.web_export.schema"], check=True)
"""


def test_lines_that_a_program_of_a_test_runs_are_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `make coverage` counts, with this project's settings; the folder beside the package by its own name."""
    script, data, report = tmp_path / "test.py", f"--data-file={tmp_path / 'data'}", tmp_path / "coverage.json"
    script.write_text(IN_A_PROGRAM_OF_ITS_OWN)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")} | {"PYTHONPATH": str(ROOT)}
    only = "--include=web_export/schema.py,nerfstudio_mobavatar/freed_memory.py,nerfstudio_mobavatar/viewer/threads.py"
    for arguments in (["run", data, script], ["combine", data, tmp_path], ["json", data, only, "-o", report]):
        command = [sys.executable, "-m", "coverage", *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setattr(common, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["coverage", str(report)])
    coverage.main()
    found = json.loads((tmp_path / "results/reliability.json").read_text())
    folders = found["line_coverage_by_folder"]
    assert folders == {"core": 0.0, "viewer": 0.0, "web_export": folders["web_export"]}
    assert 0.5 < folders["web_export"] <= 1 and 0 < found["line_coverage"] < folders["web_export"]


def test_coverage_is_of_all_statements_not_a_mean_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {
        "nerfstudio_mobavatar/model.py": (90, 100),
        "nerfstudio_mobavatar/viewer/panel.py": (0, 50),
        "nerfstudio_mobavatar/viewer/player.py": (50, 50),
        "dataparsers/generic.py": (3, 4),
        "web_export/__init__.py": (0, 0),
    }
    summaries = {
        name: {"summary": {"covered_lines": covered, "num_statements": of}} for name, (covered, of) in counted.items()
    }
    expected = {"": round(143 / 204, 4), "core": 0.9, "dataparsers": 0.75, "viewer": 0.5}
    assert coverage.shares({"files": summaries}) == expected
    (tmp_path / "none.json").write_text('{"files": {}}')
    monkeypatch.setattr(sys, "argv", ["coverage", str(tmp_path / "none.json")])
    with pytest.raises(SystemExit, match="expected files of the package in the report, found none"):
        coverage.main()
