"""Pictures out of videos and HDF5: only what is used, once, whole or not at all, and errors that say what to do."""

import shutil
from collections import namedtuple
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.dataparsers import unpack as module
from nerfstudio_mobavatar.dataparsers.dreams import DreamsDataParserConfig, probe, read_video
from nerfstudio_mobavatar.dataparsers.unpack import Recording, encode, unpack
from tests.layouts import write_dreams
from tests.layouts.truth import make_truth

PICTURE = encode(np.full((8, 6, 3), 200, np.uint8), ".jpg")
MATTE = encode(np.full((8, 6), 255, np.uint8), ".png")


class Source:
    """Two cameras of a recording; remembers what was read, and breaks at a frame."""

    def __init__(self, folder: Path, breaks_at: int = -1):
        self.file = folder / "recording.bin"
        self.file.write_bytes(b"12345")
        self.read: list[tuple[str, int]] = []
        self.breaks_at = breaks_at

    def recordings(self) -> list[Recording]:
        return [Recording(name, self.file, range(10), range(10), self._reader(name)) for name in ("a", "b")]

    def _reader(self, name: str):
        def read(wanted: Sequence[int]) -> Iterator[tuple[int, bytes, bytes]]:
            for number in wanted:
                if number == self.breaks_at:
                    raise CaptureError("broken. Copy it again.")
                self.read.append((name, number))
                yield number, PICTURE, MATTE

        return read


def test_only_what_is_used_and_not_there(tmp_path: Path) -> None:
    source, out = Source(tmp_path), tmp_path / "out"
    unpack(source.recordings(), [2, 4], out)
    files = {str(p.relative_to(out)) for p in out.rglob("*.*g")}
    names = ("images/00000002.jpg", "images/00000004.jpg", "masks/00000002.png", "masks/00000004.png")
    assert files == {f"{camera}/{name}" for camera in "ab" for name in names}
    assert not list(out.rglob("*.part"))
    (out / "a" / "masks" / "00000004.png").unlink()
    source.read.clear()
    unpack(source.recordings(), [2, 4, 5], out)
    # the first wanted picture is also read to see how much space is needed
    assert sorted(source.read) == [("a", 4), ("a", 4), ("a", 5), ("b", 5)]
    source.read.clear()
    unpack(source.recordings(), [2, 4, 5], out)
    assert source.read == []


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    broken, out = Source(tmp_path, breaks_at=3), tmp_path / "out"
    with pytest.raises(CaptureError, match="broken"):
        unpack(broken.recordings(), range(5), out)
    there = set(out.rglob("*.jpg"))
    assert there and all(path.read_bytes() == PICTURE for path in there)
    sound = Source(tmp_path)
    unpack(sound.recordings(), range(5), out)
    assert len(set(out.rglob("*.jpg"))) == 10
    assert len(sound.read) == 10 - len(there) + 1


def test_pictures_of_another_file_are_refused(tmp_path: Path) -> None:
    source, out = Source(tmp_path), tmp_path / "out"
    unpack(source.recordings(), [0], out)
    source.file.write_bytes(b"another recording")
    with pytest.raises(CaptureError, match=r"source.json: expected pictures of recording.bin \(17 bytes\).*--unpacked"):
        unpack(source.recordings(), [0], out)


def test_too_little_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    size = len(PICTURE) + len(MATTE)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(0, 0, 24 * size - 1))
    source = Source(tmp_path)
    with pytest.raises(CaptureError, match=r"expected 0.0 GB free for 20 pictures, found .*--frame-stride.*--unpacked"):
        unpack(source.recordings(), range(10), tmp_path / "out")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(0, 0, 24 * size + 1))
    unpack(source.recordings(), range(10), tmp_path / "out")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CaptureError, match=r"expected to write pictures there, found that it fails.*--unpacked"):
        unpack(Source(tmp_path).recordings(), [0], tmp_path / "file" / "out")


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dreams")
    write_dreams.write(write_dreams.camera_names(make_truth(frames=6, cameras=2)), folder)
    return folder


def test_parser_unpacks_the_frames_it_uses_where_it_is_told(capture: Path, tmp_path: Path) -> None:
    options = {"data": capture, "frame_stride": 2, "drop_frames": ("44:",), "skip_cameras": ("cam00",)}
    parsed = DreamsDataParserConfig(unpacked=tmp_path / "elsewhere", **options).setup().capture
    assert parsed.frames == (40, 42) and parsed.fps == write_dreams.FPS / 2
    assert {p.name for p in (tmp_path / "elsewhere" / "cam01" / "images").iterdir()} == {"00000040.jpg", "00000042.jpg"}
    assert not (tmp_path / "elsewhere" / "cam00").exists() and not (capture / "unpacked").exists()


def test_video_pictures_by_number(capture: Path, tmp_path: Path) -> None:
    path = capture / "videos" / "cam01.mp4"
    assert probe(path, "cam01").count == 8
    every = list(read_video(path, range(8)))
    for found, number in zip(read_video(path, [1, 4, 7]), [1, 4, 7]):
        np.testing.assert_array_equal(found, every[number])
    with pytest.raises(CaptureError, match=r"cam01.mp4: expected picture 9, found that the video ends or breaks .*8"):
        list(read_video(path, [3, 9]))


def test_matte_is_the_right_half(capture: Path, tmp_path: Path) -> None:
    shutil.copytree(capture, tmp_path / "dreams")
    parsed = DreamsDataParserConfig(data=tmp_path / "dreams").setup().capture
    truth = make_truth(frames=6, cameras=2)
    for image in parsed.images:
        matte = cv2.imread(str(image.mask_path), cv2.IMREAD_GRAYSCALE)
        assert matte is not None
        assert np.abs(matte.astype(float) - truth.alpha[image.camera, image.frame]).mean() < 4
