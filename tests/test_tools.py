"""The tools that continuous integration relies on."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

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
