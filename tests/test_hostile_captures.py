"""Captures of strangers: names that lead elsewhere, links, counts that lie, files that are not what their names say."""

import struct
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from nerfstudio_mobavatar.capture import CaptureCamera, CaptureError, CaptureImage
from nerfstudio_mobavatar.convert_capture import _write_image
from nerfstudio_mobavatar.dataparsers import colmap, hdf5
from nerfstudio_mobavatar.dataparsers.assemble import check_name
from nerfstudio_mobavatar.dataparsers.dreams import probe
from nerfstudio_mobavatar.dataparsers.opencv_yaml import read_storage
from nerfstudio_mobavatar.dataparsers.unpack import PackedDataParserConfig, Recording, encode, unpack
from nerfstudio_mobavatar.dataparsers.zju_mocap import _folder, _read_annotations
from nerfstudio_mobavatar.plain_data import NotPlainError
from nerfstudio_mobavatar.template_mesh import TemplateError, read_triangles

PICTURE = encode(np.full((8, 6, 3), 200, np.uint8), ".jpg")
MATTE = encode(np.full((8, 6), 255, np.uint8), ".png")


@pytest.mark.parametrize(
    "name",
    ["..", "../x", "a/../../b", "/etc", "", ".", "a//b", "C:", "a\\b", "a\0b", "a\nb", "\u202egpj", "a" * 300, None, 7],
)
def test_names_of_cameras_stay_inside(tmp_path: Path, name: object) -> None:
    check_name(tmp_path, "Camera (1)/left_é")
    with pytest.raises(CaptureError, match=r"expected names of cameras that are folders of the capture, found"):
        check_name(tmp_path, name)


def test_pictures_of_a_list_lie_in_their_cameras_folder(tmp_path: Path) -> None:
    camera = {"K": [np.eye(3)], "R": [np.eye(3)], "T": [np.zeros(3)], "D": [np.zeros(5)]}
    lists = [{"ims": ["cam/000000.jpg"]}, {"ims": ["../../secret/000001.jpg"]}]
    np.save(tmp_path / "annots.npy", {"cams": camera, "ims": lists})  # pyright: ignore[reportArgumentType]
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / "000001.jpg").write_bytes(PICTURE)
    _, pictures = _read_annotations(tmp_path / "annots.npy")
    folder = _folder(tmp_path, tmp_path / "mask", "cam", pictures["cam"])
    assert folder.images == {1: tmp_path / "cam" / "000001.jpg"}


def colmap_model(folder: Path, images: bytes) -> Path:
    lens = struct.pack("<QiiQQ4d", 1, 1, 1, 640, 480, 500, 500, 320, 240)
    (folder / "cameras.bin").write_bytes(lens)
    (folder / "images.bin").write_bytes(images)
    return folder


POSE = struct.pack("<i7di", 1, 1, 0, 0, 0, 1, 2, 3, 1)


def test_colmap_passes_points_over(tmp_path: Path) -> None:
    points = struct.pack("<Q", 2) + bytes(48)
    lenses, poses = colmap.read_model(colmap_model(tmp_path, struct.pack("<Q", 1) + POSE + b"a/0.jpg\0" + points))
    assert lenses[1].model == "PINHOLE" and poses[0].name == "a/0.jpg"
    np.testing.assert_array_equal(poses[0].T_cam_world[:3], np.c_[np.eye(3), [1, 2, 3]])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (struct.pack("<Q", 1) + POSE + b"a.jpg\0" + struct.pack("<Q", 1 << 40), "1099511627776 points in 0 bytes"),
        (struct.pack("<Q", 1 << 60) + POSE + b"a.jpg\0" + bytes(8), "ends early"),
        (struct.pack("<Q", 1) + POSE + b"a" * 5000, "name without an end"),
        (struct.pack("<Q", 1) + struct.pack("<i7di", 1, *[np.nan] * 7, 1) + b"a\0" + bytes(8), "the pose"),
        (b"", "ends early"),
    ],
)
def test_colmap_counts_that_lie(tmp_path: Path, images: bytes, message: str) -> None:
    with pytest.raises(NotPlainError, match=message):
        colmap.read_model(colmap_model(tmp_path, images))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("K: !!opencv-matrix\n   rows: 100000\n   cols: 100000\n   dt: d\n   data: [1.]", "other rows and columns"),
        ("K: !!python/object/apply:os.system ['touch BAIT']", "could not determine a constructor"),
        ("a: &a [1]\nb: {<<: *a}", "merge key"),
        ("K: !!opencv-matrix [1]", "without rows"),
        ("a: " + "[" * 3000, "does not parse"),
    ],
)
def test_opencv_files_that_lie(tmp_path: Path, text: str, message: str) -> None:
    path, bait = tmp_path / "intri.yml", tmp_path / "executed"
    path.write_text("%YAML:1.0\n---\n" + text.replace("BAIT", str(bait)))
    with pytest.raises(NotPlainError, match=message):
        read_storage(path)
    assert not bait.exists()
    path.write_text("<?xml version='1.0'?><opencv_storage/>")
    with pytest.raises(NotPlainError, match="does not start with %YAML"):
        read_storage(path)


def test_hdf5_stays_inside_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345678")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["K"] = np.eye(3)
    with h5py.File(tmp_path / "a.smc", "w") as file:
        file["sound"] = np.eye(3)
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "K")
        file["soft"] = h5py.SoftLink("/sound")
        file.create_dataset("outside", (8,), "u1", external=[(str(secret), 0, 8)])
        layout = h5py.VirtualLayout((3, 3), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "K", (3, 3))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("never_written", (1 << 32,), "f8", chunks=(1 << 16,))
        file["text"] = "words"
    with hdf5.opened(tmp_path / "a.smc") as file:
        np.testing.assert_array_equal(hdf5.numbers(file, "sound"), np.eye(3))
    for name, message in (
        ("linked", "a link at linked"), ("soft", "a link at soft"), ("outside", "numbers of another file"),
        ("virtual", "numbers of another file"), ("never_written", "32.0 GB of numbers"), ("text", "no plain numbers"),
        ("absent", "is not there"),
    ):  # fmt: skip
        with pytest.raises(CaptureError, match=rf"a.smc: expected a DNA-Rendering file .*{message}"):
            with hdf5.opened(tmp_path / "a.smc") as file:
                hdf5.numbers(file, name)


def recording(folder: Path) -> Recording:
    source = folder / "recording.bin"
    source.write_bytes(b"12345")
    return Recording("cam", source, range(3), range(3), lambda wanted: ((n, PICTURE, MATTE) for n in wanted))


@pytest.mark.parametrize("place", ["cam", "cam/images", "cam/masks"])
def test_pictures_are_not_unpacked_through_links(tmp_path: Path, place: str) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    (out / place).parent.mkdir(parents=True)
    (out / place).symlink_to(elsewhere)
    with pytest.raises(CaptureError, match=r"expected a folder for pictures, found a link to .*elsewhere.*--unpacked"):
        unpack([recording(tmp_path)], range(3), out)
    assert not list(elsewhere.iterdir())


def test_an_unfinished_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    precious, out = tmp_path / "precious", tmp_path / "out"
    precious.write_text("precious")
    for folder in ("images", "masks"):
        (out / "cam" / folder).mkdir(parents=True)
    (out / "cam" / "images" / "00000000.jpg.part").symlink_to(precious)
    (out / "cam" / "masks" / "00000000.png.part").symlink_to(precious)
    (out / "cam" / "source.json.part").symlink_to(precious)
    unpack([recording(tmp_path)], range(3), out)
    assert precious.read_text() == "precious"
    assert (out / "cam" / "images" / "00000000.jpg").read_bytes() == PICTURE


def test_the_folder_for_pictures_inside_a_capture_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "unpacked").symlink_to("/tmp")
    with pytest.raises(CaptureError, match=r"unpacked: expected a folder for pictures, found a link to /tmp"):
        _ = PackedDataParserConfig(data=tmp_path).unpacked_folder
    assert PackedDataParserConfig(data=tmp_path, unpacked=tmp_path / "unpacked").unpacked_folder.is_symlink()


@pytest.mark.parametrize("copy", [True, False])
def test_only_pictures_are_placed_in_a_converted_capture(tmp_path: Path, copy: bool) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    image, mask = tmp_path / "0.jpg", tmp_path / "0.png"
    image.write_bytes(PICTURE)
    mask.symlink_to(secret)
    camera = CaptureCamera("cam", np.eye(3), np.eye(4), 6, 8, np.zeros(5))
    with pytest.raises(CaptureError, match=r"0.png: expected a picture, found that it cannot be read"):
        _write_image(camera, CaptureImage(0, 0, image, mask), tmp_path / "out", copy)
    assert not any(path.is_file() for path in (tmp_path / "out").rglob("*.png"))
    other = CaptureCamera("cam", np.eye(3), np.eye(4), 60, 80, np.zeros(5))
    with pytest.raises(CaptureError, match=r"0.jpg: expected a picture of 60x80 pixels"):
        _write_image(other, CaptureImage(0, 0, image, mask), tmp_path / "out2", copy)


def test_a_playlist_is_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = tmp_path / "cam00.mp4", []
    monkeypatch.setattr(cv2, "VideoCapture", lambda name: opened.append(name) or _NoVideo())
    for content in (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n", b"ffconcat version 1.0\nfile /etc/passwd\n", b""):
        path.write_bytes(content)
        with pytest.raises(CaptureError, match=r"cam00.mp4: expected the video .* does not open as a video"):
            probe(path, "cam00")
    assert set(opened) == {""}


class _NoVideo:
    def release(self) -> None: ...


def test_a_mesh_does_not_open_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "capture"
    folder.mkdir()
    (tmp_path / "secret.mtl").write_text("newmtl x\nmap_Kd secret.png\n")
    (folder / "a.obj").write_text("mtllib ../secret.mtl\nusemtl x\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    opened: list[str] = []
    monkeypatch.setattr("trimesh.resolvers.FilePathResolver.get", lambda _, name: opened.append(name) or b"")
    with pytest.raises(TemplateError, match="3 vertices; expected 200"):
        read_triangles(folder / "a.obj")
    assert not opened
