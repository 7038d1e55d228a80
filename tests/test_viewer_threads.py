"""No thread of the viewer is inside torch when the program ends: that would abort it."""

import subprocess
import sys
import threading
import time

import pytest

from nerfstudio_mobavatar.viewer import threads
from nerfstudio_mobavatar.viewer.threads import end_all, start

IN_TORCH = """
import threading
import torch
from nerfstudio_mobavatar.viewer.threads import start

def multiply():
    a = torch.ones(300, 300)
    while not stopped.is_set():
        (a @ a).sum()

stopped = threading.Event()
start(threading.Thread(target=multiply), stopped.set)
"""


def test_a_program_ends_well_while_a_thread_is_in_torch() -> None:
    ended = subprocess.run([sys.executable, "-c", IN_TORCH], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_threads_are_forgotten_when_they_end_and_stopped_at_once_while_the_program_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "_running", {})
    monkeypatch.setattr(threads, "_is_ending", threading.Event())
    for _ in range(5):
        timer = threading.Timer(0.0, lambda: None)
        start(timer, timer.cancel)
        timer.join()
    assert len(threads._running) == 1
    late = threading.Timer(60.0, lambda: None)
    end_all()
    start(late, late.cancel)
    late.join(10)
    assert not late.is_alive()
    monkeypatch.setattr(threads, "END_SECONDS", 0.2)
    endless = threading.Event()
    start(threading.Thread(target=endless.wait), lambda: None)
    began = time.monotonic()
    end_all()
    assert 0.1 < time.monotonic() - began < 5
    endless.set()
