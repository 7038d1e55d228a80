"""What is cut out of pictures and kept: equal to what the files say, bounded, shared by the loading processes."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from nerfstudio_mobavatar import cutouts
from nerfstudio_mobavatar.capture import CaptureError, CaptureImage
from nerfstudio_mobavatar.cutouts import CutOut, CutOutStore, load_cutout, pack, scratch_folder, unpack
from nerfstudio_mobavatar.datamanager import AvatarDataManager, AvatarDataManagerConfig
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig
from nerfstudio_mobavatar.images import Box, CameraView, UndistortMaps, load_image, load_matte, person_box
from tests.tiny_capture import write_capture

WIDTH, HEIGHT = 50, 41


def write_picture(folder: Path, matte: np.ndarray, distortion: tuple[float, ...] = (0, 0, 0, 0, 0)) -> Any:
    """A picture of noise with this matte, without loss: what `load_cutout` takes."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    cv2.imwrite(str(folder / "image.png"), rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    cv2.imwrite(str(folder / "mask.png"), matte)
    K = np.array([[60.0, 0, WIDTH / 2], [0, 60.0, HEIGHT / 2], [0, 0, 1]])
    view = CameraView("c", K, np.eye(4), WIDTH, HEIGHT, np.array(distortion, float), WIDTH, HEIGHT)
    return CaptureImage(0, 0, folder / "image.png", folder / "mask.png"), view


def mattes() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    soft, empty = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    soft[9:33, 13:30] = rng.integers(0, 256, (24, 17))
    faint = soft.copy()
    faint[2, 47] = 3  # no person, but no background either
    return {"soft": soft, "faint": faint, "empty": empty, "full": np.full_like(empty, 255)}


@pytest.mark.parametrize("name", mattes())
@pytest.mark.parametrize("distortion", [(0, 0, 0, 0, 0), (-0.2, 0.05, 0, 0, 0)])
def test_a_cutout_is_the_picture_where_the_matte_is_not_zero(tmp_path: Path, name: str, distortion: Any) -> None:
    """Against the whole picture, in windows that hold the person, cut it, and miss it; kept and not."""
    image, view = write_picture(tmp_path, mattes()[name], distortion)
    matte = load_matte(image.mask_path, view, UndistortMaps())
    whole = np.where(matte[..., None] > 0, load_image(image.image_path, view, UndistortMaps()), 0)
    cutout = load_cutout(image, view, UndistortMaps())
    assert cutout.person == person_box(matte, 0)
    for found in (cutout, unpack(pack(cutout))):
        assert (found.box, found.person) == (cutout.box, cutout.person)
        for window in (Box(0, 0, WIDTH, HEIGHT), Box(10, 12, 26, 28), Box(0, 0, 5, 5), Box(20, 0, 50, 41)):
            rgb = np.full((window.height, window.width, 3), 7, np.uint8)
            mask = np.full((window.height, window.width), 7, np.uint8)
            found.paste(window, rgb, mask)
            rows, columns = slice(window.y0, window.y1), slice(window.x0, window.x1)
            np.testing.assert_array_equal(mask, matte[rows, columns])
            np.testing.assert_array_equal(rgb, whole[rows, columns])


def some(value: int) -> CutOut:
    rgb, matte = np.full((20, 30, 3), value, np.uint8), np.full((20, 30), 255, np.uint8)
    return CutOut(Box(1, 2, 31, 22), Box(1, 2, 31, 22), rgb, matte)


class Loader:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def get(self, store: CutOutStore, index: int) -> int:
        def load() -> CutOut:
            self.asked.append(index)
            return some(index)

        return int(store.get(index, load).rgb[0, 0, 0])


SIZE = len(pack(some(0)))


@pytest.fixture(autouse=True)
def writing_is_always_allowed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "rarely" not in request.node.name:
        monkeypatch.setattr(cutouts, "MOST_WRITING", 1e9)


def test_each_is_loaded_once_and_leaves_no_name_on_the_disk(tmp_path: Path) -> None:
    store, loader = CutOutStore(tmp_path, 5, 2**20), Loader()
    for index in (3, 1, 3, 4, 1, 3):
        assert loader.get(store, index) == index
    assert loader.asked == [3, 1, 4] and store.num_kept() == 3 and store.used_bytes() == 3 * SIZE
    assert not store.is_full and not list(tmp_path.iterdir())


def test_no_more_is_kept_than_allowed(tmp_path: Path) -> None:
    store, loader = CutOutStore(tmp_path, 5, 2 * SIZE), Loader()
    for index in (0, 1, 2, 0, 1, 2):
        assert loader.get(store, index) == index
    assert loader.asked == [0, 1, 2, 2] and store.is_full and store.used_bytes() == 2 * SIZE


def test_half_of_the_disk_stays_free(tmp_path: Path) -> None:
    store, loader = CutOutStore(tmp_path, 5, 2**20), Loader()
    assert 0.4 < store.least_free / shutil.disk_usage(tmp_path).free < 0.6
    store.least_free = 2**60
    assert [loader.get(store, 0), loader.get(store, 0)] == [0, 0]
    assert loader.asked == [0, 0] and store.is_full and store.num_kept() == 0


@pytest.mark.parametrize("failing", ["pwrite", "pread"])
@pytest.mark.parametrize("how", ["error", "short"])
def test_a_disk_that_fails_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, how: str
) -> None:
    store, loader = CutOutStore(tmp_path, 5, 2**20), Loader()
    loader.get(store, 0)

    def fail(*_: Any) -> Any:
        if how == "error":
            raise OSError(5, "Input/output error")
        return 3 if failing == "pwrite" else b"abc"

    monkeypatch.setattr(os, failing, fail)
    assert [loader.get(store, 1), loader.get(store, 0), loader.get(store, 1)] == [1, 0, 1]
    assert loader.asked == ([0, 1, 0, 1] if failing == "pread" else [0, 1, 1])
    assert store.is_full == (failing == "pwrite")
    if store.is_full:
        assert store.why_full()[0].startswith("There is no more room" if how == "short" else "The disk takes no more")
        assert ("Input/output error" in store.why_full()[0]) == (how == "error")


def test_a_slow_disk_is_written_to_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding takes one second here, writing five: half of the time of decoding is allowed."""
    write, now = os.pwrite, [0]

    def passing(seconds: int, call: Any) -> Any:
        def timed(*arguments: Any) -> Any:
            now[0] += seconds
            return call(*arguments)

        return timed

    monkeypatch.setattr(cutouts, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(os, "pwrite", passing(5, write))
    store = CutOutStore(tmp_path, 40, 2**20)
    kept = []
    for index in range(40):
        before = store.num_kept()
        store.get(index, passing(1, lambda: some(1)))
        kept += [index] * (store.num_kept() - before)
    assert kept == [0, 9, 19, 29, 39] and not store.is_full


def manager(folder: Path, **options: Any) -> AvatarDataManager:
    parser = AutoDataParserConfig(test_cameras=("cam3",))
    return AvatarDataManagerConfig(data=folder, dataparser=parser, **options).setup()


def test_training_sees_the_same_with_and_without(tmp_path: Path) -> None:
    """Over several epochs, from two processes that share what they keep; files that vanish later are not missed."""
    folder = write_capture(tmp_path / "capture", frames=4)
    decoded, kept = manager(folder, num_workers=0, scratch_gb=0.0), manager(folder, num_workers=2, prefetch_steps=1)
    assert (decoded.next_train(0) is not None, decoded.step_dataset.store) == (True, None)
    for step in range(16):
        if step == 8:
            wanted = [decoded.next_train(later)[1] for later in range(8, 16)]
            for path in folder.glob("cam*/*.jpg"):
                path.unlink()
        a = decoded.next_train(step)[1] if step < 8 else wanted[step - 8]
        b = kept.next_train(step)[1]
        assert all(torch.equal(torch.as_tensor(a[key]), torch.as_tensor(b[key])) for key in a)
    store = kept.step_dataset.store
    assert store is not None and store.num_kept() == store.pictures == 12 and not kept.unreadable


def test_a_full_store_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_capture(tmp_path / "capture", frames=3)
    dm = manager(folder, num_workers=0, scratch_gb=1e-6)
    for step in range(4):
        dm.next_train(step)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("0 of 9 are kept (0.0 GB), the others are decoded at every visit. More room: --scratch-gb") == 1


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk, not in memory; nowhere where processes cannot share it; a wrong choice is told before training."""
    assert scratch_folder(tmp_path) == tmp_path
    with pytest.raises(CaptureError, match=r"absent: expected a folder to write to \(--scratch-dir\), found none"):
        scratch_folder(tmp_path / "absent")
    monkeypatch.setattr(cutouts.tempfile, "gettempdir", lambda: str(tmp_path))
    assert scratch_folder(None) == tmp_path
    mounts = [(Path("/"), "ext4"), (tmp_path.resolve(), "tmpfs")]

    class Mount:
        def __init__(self, place: Path, kind: str):
            self.mountpoint, self.fstype = str(place), kind

    monkeypatch.setattr(cutouts.psutil, "disk_partitions", lambda all: [Mount(*m) for m in mounts])
    assert scratch_folder(None) == Path("/var/tmp")
    monkeypatch.setattr(cutouts, "processes_share", lambda: False)
    assert scratch_folder(None) is None
