"""nerfstudio's own commands, each in its own process, on a run of this method."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import pytest

from tests.training_runs import run, tiny_config

TIMEOUT_S = 180
"""Importing nerfstudio alone takes 10 to 20 seconds on a busy machine."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"nerfstudio.scripts.{module}", *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}


def finish(arguments: list[str]) -> str:
    """Run to the end; what it printed."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def config_path(mini_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tiny_config(mini_capture, tmp_path_factory.mktemp("training"))).base_dir / "config.yml"


def test_ns_render_writes_the_held_out_pictures(config_path: Path, tmp_path: Path):
    finish(command("render", "dataset", "--load-config", config_path, "--output-path", tmp_path, "--split", "test"))
    for name in ("rgb", "gt-rgb", "depth", "accumulation"):
        pictures = sorted((tmp_path / "test" / name).rglob("*.jpg"))
        assert len(pictures) == 8  # five of the held-out camera and three of the held-out pose
        for path in pictures:
            picture = cv2.imread(str(path))
            assert picture is not None and picture.shape == (96, 72, 3)
            assert name == "depth" or picture.std() > 5  # a person, not one colour


def test_ns_viewer_answers_on_its_port_and_ends_when_told(config_path: Path, tmp_path: Path):
    port, log = free_port(), tmp_path / "log"
    arguments = command("viewer.run_viewer", "--load-config", config_path, "--viewer.websocket-port", port)
    with log.open("w") as out:
        viewer = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT, env=environment())
    try:
        page = wait_for_page(f"http://127.0.0.1:{port}/", viewer, log)
        assert b"<html" in page
        wait_for_line("disabled local writer", viewer, log)  # nerfstudio says so when it has read the whole pipeline
        time.sleep(5)  # what follows prints nothing: cameras and their pictures go into the scene; an error ends it
        assert viewer.poll() is None, log.read_text()
        viewer.terminate()
        viewer.wait(30)
        assert "Traceback" not in log.read_text()
    finally:
        viewer.kill()
        viewer.wait()


def wait_for_page(url: str, process: subprocess.Popen, log: Path) -> bytes:
    """The page, as soon as `process` serves it."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(f"{url} did not answer in {TIMEOUT_S} s; the command printed:\n{log.read_text()}")


def wait_for_line(text: str, process: subprocess.Popen, log: Path) -> None:
    """Until the log of `process` holds `text`."""
    end = time.monotonic() + TIMEOUT_S
    while text not in log.read_text():
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.2)


def test_ns_train_with_its_viewer_ends_by_itself(mini_capture: Path, tmp_path: Path):
    """The default of both methods is `viewer+tensorboard`: the viewer reads a datamanager that holds no pictures, and
    neither its threads nor the loading processes keep the command alive."""
    model = "--pipeline.model.avatar."
    finish(
        command(
            *("train", "mobavatar-tiny", "--data", mini_capture, "--output-dir", tmp_path),
            *("--timestamp", "run", "--max-num-iterations", 4, "--machine.device-type", "cpu"),
            *("--vis", "viewer+tensorboard", "--viewer.quit-on-train-completion", "True"),
            *("--viewer.websocket-port", free_port(), "--pipeline.datamanager.num-workers", 1),
            *(f"{model}num-gaussians", 200, f"{model}num-nodes", 20, f"{model}num-parts", 6),
        )
    )
    written = {p.suffix for p in tmp_path.rglob("run/**/*") if p.is_file()}
    assert ".yml" in written and ".ckpt" in written
    assert any(p.name.startswith("events.out.tfevents") for p in tmp_path.rglob("run/*"))
