"""Loading processes: what arrives is what was loaded, slots are never written over, and nothing is left behind."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import torch.distributed as dist

from nerfstudio_mobavatar import loading
from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.cutouts import processes_share
from nerfstudio_mobavatar.loading import SLOTS, LoaderDiedError, Loaders, Slots
from tests.tiny_capture import write_capture
from tests.training_runs import STEPS, tiny_config

CPU = torch.device("cpu")
TIMEOUT_S = 20.0


class Pictures:
    """Sizes and values that tell the step."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.shapes: list[tuple[int, ...]] = [(2, 5 + step % 3, 7, channels) for channels in (3, 1)]

    def write(self, image: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        image[:], mask[:] = self.step, self.step + 100
        return {"K": np.full((2, 3, 3), 0.5 * self.step), "pose_row": self.step}


class Large(Pictures):
    """Takes 100 MB while it is loaded."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        np.ones(100_000_000, np.uint8)


LARGEST = 2 * 7 * 7 * 4


def loaders(load: Callable[[int], Any] = Pictures, first: int = 0, workers: int = 2, ahead: int = 1) -> Loaders:
    return Loaders(load, first, workers, ahead, LARGEST, CPU)


def check(sample: dict[str, Any], step: int) -> None:
    image, mask = (np.empty(shape, np.uint8) for shape in Pictures(step).shapes)
    wanted = Pictures(step).write(image, mask) | {"image": image, "mask": mask}
    assert sample.keys() == wanted.keys() and sample["pose_row"] == step
    for key in ("image", "mask", "K"):
        np.testing.assert_array_equal(sample[key].numpy(), wanted[key])


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_steps_come_in_order_as_they_were_loaded_and_stay(workers: int, ahead: int) -> None:
    """However long the program takes: the processes do all that they may meanwhile."""
    steps = loaders(first=7, workers=workers, ahead=ahead)
    taken = []
    for step in range(7, 17):
        taken.append(steps.take(TIMEOUT_S))
        if workers and step < 10:
            time.sleep(0.05)
        check(taken[-1], step)
    for step, sample in enumerate(taken, 7):
        check(sample, step)


def test_without_common_memory_whole_samples_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems that cannot fork."""
    monkeypatch.setattr(loading, "processes_share", lambda: False)
    steps = loaders(workers=1)
    assert type(steps.processes[0]).__name__ == "SpawnProcess"
    for step in range(3):
        check(steps.take(60.0), step)
    steps.close()


def failing(step: int) -> Pictures:
    if step == 1:
        raise CaptureError("cam1.jpg: expected a picture")
    if step == 2:
        raise KeyError("what cannot be foreseen")
    return Pictures(step)


def test_errors_arrive_with_their_words() -> None:
    steps = loaders(failing, workers=3)
    check(steps.take(TIMEOUT_S), 0)
    with pytest.raises(CaptureError, match=r"^cam1.jpg: expected a picture$"):
        steps.take(TIMEOUT_S)
    with pytest.raises(RuntimeError, match=r"(?s)a loading process failed: Traceback.*what cannot be foreseen"):
        loaders(failing, first=2, workers=1).take(TIMEOUT_S)


def test_a_process_that_dies_and_one_that_hangs_are_told_apart() -> None:
    steps = loaders()
    steps.take(TIMEOUT_S)
    os.kill(steps.processes[1].pid, signal.SIGKILL)
    with pytest.raises(LoaderDiedError, match="ended with exit code -9"):
        for _ in range(SLOTS):  # what had been put into a slot is good
            steps.take(TIMEOUT_S)
            steps.take(TIMEOUT_S)
    with pytest.raises(TimeoutError, match=r"timed out after 0.1 seconds"):
        loaders(lambda step: time.sleep(60) or {}, workers=1).take(0.1)


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.mark.parametrize("how", ["close", "drop"])
def test_processes_end_with_their_owner(how: str) -> None:
    steps = loaders(lambda step: time.sleep(60) or {} if step > 2 else Pictures(step))
    processes, handles = list(steps.processes), open_files()
    steps.take(TIMEOUT_S)
    if how == "close":
        steps.close()
    else:
        del steps
    assert not any(process.is_alive() for process in processes)
    assert open_files() <= max(0, handles - len(processes))


ORPHANS = """
import os, signal
from tests.test_loading import loaders
steps = loaders(workers=3)
steps.take(20.0)
print(*[p.pid for p in steps.processes], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not processes_share(), reason="looks at /proc")
def test_processes_end_when_the_training_process_is_killed() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHANS], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    until = time.monotonic() + TIMEOUT_S
    for pid in done.stdout.split():
        while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert not Path(f"/proc/{pid}").exists()


class Driver:
    """Pins and unpins like CUDA's: no range twice, and only memory that is mapped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pinned: dict[int, int] = {}
        self.refuses = False
        monkeypatch.setattr(loading, "_register", self.register)
        monkeypatch.setattr(loading, "_unregister", self.unregister)

    def register(self, memory: torch.Tensor, *_: Any) -> str | None:
        low, high = memory.data_ptr(), memory.data_ptr() + memory.numel()
        if self.refuses or any(low < b and a < high for a, b in self.pinned.items()):
            return "refused"
        self.pinned[low] = high
        return None

    def unregister(self, memory: torch.Tensor, *_: Any) -> None:
        memory.fill_(1)  # a crash, were it not mapped
        del self.pinned[memory.data_ptr()]


@pytest.mark.parametrize("how", ["close", "drop", "cycle"])
def test_slots_are_pinned_once_and_given_back_before_they_are_unmapped(how: str, monkeypatch) -> None:
    """Run after run in one process, also where the one before waits for the garbage collector."""
    driver, gpu = Driver(monkeypatch), torch.device("cuda")
    gc.disable()
    for run in range(3):
        slots: Any = Slots(2**16)
        slots.pin(gpu)
        assert slots._unpin is not None and len(driver.pinned) == (run + 1 if how == "cycle" else 1)
        if how == "close":
            slots.close()
            slots.close()
        elif how == "cycle":
            slots.me = slots
        del slots
        assert len(driver.pinned) == (run + 1 if how == "cycle" else 0)
    gc.enable()
    gc.collect()
    assert not driver.pinned


def test_refused_pinning_is_said_once(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    driver, slots = Driver(monkeypatch), Slots(100)
    driver.refuses = True
    slots.pin(torch.device("cuda"))
    slots.close()
    said = " ".join(capsys.readouterr().out.split())
    assert said == "Pictures take one more copy on their way to the GPU: no pinned memory (refused)"


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA: pinned memory")


@needs_cuda
def test_on_a_gpu_pictures_arrive_from_pinned_slots_run_after_run() -> None:
    kept = []
    for run in range(4):
        steps = Loaders(Pictures, 0, 2, 1, 2**24, "cuda")
        slots: Any = steps._slots
        assert slots._memory.is_pinned() and slots._unpin is not None
        for step in range(8):
            sample = steps.take(TIMEOUT_S)
            assert sample["image"].is_cuda and not sample["K"].is_cuda
            check({k: v.cpu() if isinstance(v, torch.Tensor) else v for k, v in sample.items()}, step)
        if run % 2:
            steps.close()
            assert not slots._memory.is_pinned()
        kept.append(steps)


@needs_cuda
def test_on_a_gpu_that_does_not_pin_pictures_arrive_all_the_same(monkeypatch) -> None:
    """CUDA's own refusal, which the next kernel must not be blamed for."""
    memory, register = torch.zeros(2**20, dtype=torch.uint8), loading._register
    gpu = torch.device("cuda")
    assert register(memory, gpu) is None
    why = register(memory, gpu)
    assert why is not None and "already" in why
    torch.ones(3, device="cuda").sum().item()
    monkeypatch.setattr(loading, "_register", lambda *_: register(memory, gpu))
    steps = Loaders(Pictures, 0, 2, 1, LARGEST, "cuda")
    for step in range(5):
        check({k: v.cpu() if isinstance(v, torch.Tensor) else v for k, v in steps.take(TIMEOUT_S).items()}, step)
    loading._unregister(memory, gpu, os.getpid())
    assert not memory.is_pinned()


@needs_cuda
def test_on_a_gpu_trainings_follow_each_other_in_one_process_and_in_a_process_group(tmp_path: Path) -> None:
    capture, trainers = write_capture(tmp_path / "capture"), []
    for run in range(3):
        config = tiny_config(capture, tmp_path / str(run))
        config.machine.device_type, config.check_capture = "cuda", False
        manager: Any = config.pipeline.datamanager
        model: Any = config.pipeline.model
        model.compile = "off"  # the tracer does not see through the shape checks that tests run with
        manager.num_workers = 2
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        if run == 2:
            dist.init_process_group("nccl", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
            trainer.pipeline._wrap([0], all_used=True)
        pinned = []
        take = trainer.pipeline.datamanager._take

        def taken(step: int, data: Any = trainer.pipeline.datamanager, take: Any = take, pinned: Any = pinned) -> Any:
            pinned.append(data._steps._slots._unpin is not None)
            return take(step)

        trainer.pipeline.datamanager._take = taken
        trainer.train()
        assert pinned == [True] * STEPS and trainer.pipeline.datamanager._steps is None
        trainers.append(trainer)
    dist.destroy_process_group()


MEGABYTES_AFTER_FREE = """
import re, sys
from nerfstudio_mobavatar.freed_memory import give_memory_back, keep_freed_memory

def own():  # without mapped files: code that runs for the first time does not count
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1e3

if sys.argv[1] == "True":
    keep_freed_memory()
own()
before = own()
block = b"x" * 30_000_000
taken = own()
del block
freed = own()
give_memory_back()
print(*(megabytes - before for megabytes in (taken, freed, own())))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
@pytest.mark.parametrize("keep", [True, False])
def test_freed_memory_is_kept_until_it_is_given_back(keep: bool) -> None:
    """In a program of its own, with no settings of ours: one that has freed much before takes from that."""
    command = [sys.executable, "-c", MEGABYTES_AFTER_FREE, str(keep)]
    done = subprocess.run(command, capture_output=True, text=True, env={}, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    taken, kept, given_back = map(float, done.stdout.split())
    figures = f"MB of 30: {taken:.1f} while they are used, {kept:.1f} when freed, {given_back:.1f} when given back"
    assert taken > 25 and given_back < 5, figures
    assert kept > 25 if keep else kept < 5, figures


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_a_process_that_has_loaded_keeps_little_memory() -> None:
    steps = loaders(Large, workers=1)
    steps.take(TIMEOUT_S)
    until = time.monotonic() + TIMEOUT_S
    while (more := psutil.Process(steps.processes[0].pid).memory_full_info().uss / 1e6) > 60:
        assert time.monotonic() < until, f"{more} MB"
        time.sleep(0.05)
