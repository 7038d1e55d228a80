"""The wheel: what it holds, and that it works where the repository is out of sight."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("nerfstudio_mobavatar", "dataparsers", "web_export", "pyproject.toml", "README.md", "LICENSE")
SUBCOMMANDS = ("pointcloud", "tsdf", "poisson", "marching-cubes", "cameras", "gaussian-splat", "mobavatar")
"""The first six are nerfstudio 1.1.5's own."""


def copy_sources(target: Path) -> Path:
    """The files that a build reads; building in the repository itself would litter it."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("node_modules", "__pycache__")
            shutil.copytree(source, target / name, symlinks=True, ignore=ignore)
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(source, target / name)
    return target


def build(kind: str, sources: Path, out: Path) -> Path:
    """Call the build backend in a process of its own: kind is 'wheel' or 'sdist'."""
    code = f"import sys; from setuptools import build_meta; print('BUILT', build_meta.build_{kind}(sys.argv[1]))"
    result = run([sys.executable, "-c", code, str(out)], cwd=sources)
    found = re.search(r"^BUILT (.+)$", result.stdout, re.MULTILINE)
    assert found, result.stdout
    return out / found[1]


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = copy_sources(tmp_path_factory.mktemp("sources") / "repo")
    return build("wheel", sources, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def overlay(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel in it, and behind it the dependencies of the running one.

    The running one's site-packages are only appended to the path, so that its editable install does not take part:
    .pth files of an appended folder are not read.
    """
    folder = tmp_path_factory.mktemp("overlay") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)], cwd=folder.parent)
    bin_dir = folder / "bin"
    site = run(
        [str(bin_dir / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], cwd=folder
    ).stdout
    (Path(site.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(bin_dir / "python"), "install", "--no-deps", "--no-index"]
    run([*pip, "--ignore-installed", str(wheel)], cwd=folder)
    return bin_dir


def test_wheel_holds_every_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"nerfstudio_mobavatar", next(top for top in tops if top.endswith(".dist-info"))}
    python = {
        str(Path("nerfstudio_mobavatar", *path.parts[path.parts[0] == "nerfstudio_mobavatar" :]))
        for folder in ("nerfstudio_mobavatar", "dataparsers", "web_export")
        for path in (file.relative_to(ROOT) for file in (ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts
    }
    assert {name for name in names if name.endswith(".py")} == python
    for needed in (
        "nerfstudio_mobavatar/py.typed",
        "nerfstudio_mobavatar/assets/open_body.npz",
        "nerfstudio_mobavatar/web_export/FORMAT.md",
        "nerfstudio_mobavatar/web_export/viewer/dist/index.html",
        "nerfstudio_mobavatar/web_export/viewer/webcam/webcam.html",
    ):
        assert needed in names
    shaders = {file.name for file in (ROOT / "web_export/wgsl").glob("*.wgsl")}
    assert shaders and {Path(name).name for name in names if name.endswith(".wgsl")} == shaders
    assert not [name for name in names if "/src/" in name or "node_modules" in name or name.endswith(".ts")]


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", copy_sources(tmp_path / "repo"), tmp_path)
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()]
        archive.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / sdist.name.removesuffix(".tar.gz"), tmp_path)
    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_entry_points_load_from_the_wheel(overlay: Path, tmp_path: Path) -> None:
    code = """
import importlib.metadata as metadata, importlib.resources as resources, sys
points = [p for group in ("nerfstudio.method_configs", "nerfstudio.dataparser_configs", "console_scripts")
          for p in metadata.entry_points(group=group) if p.dist.name == "nerfstudio-mobavatar"]
for point in points:
    point.load()
shader = next((resources.files("nerfstudio_mobavatar.web_export") / "wgsl").iterdir())
assert shader.name.endswith(".wgsl") and "fn " in shader.read_text(), shader
import nerfstudio_mobavatar, nerfstudio_mobavatar.web_export.bundle
import nerfstudio_mobavatar.dataparsers.avatarrex as parser
assert nerfstudio_mobavatar.__version__ == metadata.version("nerfstudio-mobavatar")
print(*sorted(point.name for point in points))
print(parser.__file__)
"""
    names, parser = run([str(overlay / "python"), "-c", code], cwd=tmp_path).stdout.strip().splitlines()[-2:]
    layouts = {
        "avatarrex",
        "thuman4",
        "actorshq",
        "dna-rendering",
        "dreams",
        "generic",
        "mvhumannet",
        "zju-mocap",
        "neuman",
        "people-snapshot",
    }
    assert {"mobavatar", "mobavatar-tiny", *layouts} <= set(names.split())
    assert names.split().count("mobavatar") == 2  # the method and the console script
    assert Path(parser).is_relative_to(overlay.parent)


@pytest.mark.parametrize("name", ["dataparsers", "web_export"])
def test_no_top_level_module(name: str, overlay: Path, tmp_path: Path) -> None:
    code = f"import importlib.util; assert importlib.util.find_spec('{name}') is None"
    run([str(overlay / "python"), "-c", code], cwd=tmp_path)
    # in the repository the folder is importable by accident; it says what to import instead
    result = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0
    assert f"ImportError: '{name}' was imported as a top-level package" in result.stderr
    assert f"import 'nerfstudio_mobavatar.{name}' instead" in result.stderr


def test_ns_export_lists_our_subcommand(overlay: Path, tmp_path: Path) -> None:
    code = "from nerfstudio.scripts.exporter import entrypoint; entrypoint()"  # what the script ns-export runs
    text = run([str(overlay / "python"), "-c", code, "--help"], cwd=tmp_path).stdout
    for subcommand in SUBCOMMANDS:
        assert re.search(rf"\b{subcommand}\b", text), f"{subcommand} is not in:\n{text}"
    as_module = run([str(overlay / "python"), "-m", "nerfstudio.scripts.exporter", "--help"], cwd=tmp_path).stdout
    assert re.search(r"\bmobavatar\b", as_module)


def test_console_script_works_from_the_wheel(overlay: Path, tmp_path: Path) -> None:
    text = run([str(overlay / "mobavatar"), "--help"], cwd=tmp_path).stdout
    for subcommand in ("demo", "demo-data", "export"):
        assert re.search(rf"\b{subcommand}\b", text), f"{subcommand} is not in:\n{text}"


def test_capture_to_page_from_the_wheel(overlay: Path, tmp_path: Path) -> None:
    """The three doors once, at toy size, with nothing of the repository in sight."""
    size = ["--frames", "6", "--cameras", "4", "--width", "72", "--height", "96", "--frame-step", "10"]
    run([str(overlay / "mobavatar"), "demo-data", "capture", *size], cwd=tmp_path)
    python = str(overlay / "python")
    train = "from nerfstudio.scripts.train import entrypoint; entrypoint()"
    options = ["--max-num-iterations", "4", "--vis", "tensorboard", "--machine.device-type", "cpu"]
    names = ["--output-dir", "runs", "--experiment-name", "toy", "--timestamp", "run"]
    sizes = ["--pipeline.model.avatar.num-gaussians", "300", "--pipeline.model.avatar.num-nodes", "50"]
    run([python, "-c", train, "mobavatar-tiny", "--data", "capture", *options, *names, *sizes], cwd=tmp_path)
    config = "runs/toy/mobavatar-tiny/run/config.yml"
    export = "from nerfstudio.scripts.exporter import entrypoint; entrypoint()"
    run([python, "-c", export, "mobavatar", "--load-config", config, "--output-dir", "page"], cwd=tmp_path)
    page = {path.name for path in (tmp_path / "page").iterdir()}
    assert page >= {"index.html", "viewer.js", "avatar.mobavatar", "motion.pose.bin", "poster.jpg", "README.txt"}
