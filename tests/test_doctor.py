"""The doctor: what it says about a sound capture, about every way to spoil one, and that its fast paths are right."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import as_file
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from nerfstudio_mobavatar.capture import BodyFit, CaptureError
from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReXDataParserConfig
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig
from nerfstudio_mobavatar.doctor import files, fix, motion, quick
from nerfstudio_mobavatar.doctor.command import Doctor
from nerfstudio_mobavatar.doctor.examination import Examination
from nerfstudio_mobavatar.doctor.findings import Finding, exit_code, ordered
from nerfstudio_mobavatar.doctor.genders import compare_genders
from tests import doctor_page
from tests.corruptions import CAMERAS, FRAMES, TABLE, Corruption, make_sound
from tests.remembered import remember
from tests.training_runs import tiny_config

MIN_CORRUPTIONS = 25


@pytest.fixture(scope="module", autouse=True)
def nothing_computed_twice() -> Iterator[None]:
    """The body file, and silhouettes of the same bodies in the same cameras."""
    with pytest.MonkeyPatch.context() as patch:
        remember(patch)
        yield


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sound(tmp_path_factory.mktemp("doctor") / "sound")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(sound, tmp_path / "capture"))


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings if finding.severity != "info"}


@pytest.fixture(scope="module")
def looked(sound: Path) -> tuple[list[Finding], Examination]:
    """The sound capture's findings and examination; read only."""
    findings, exam = Doctor(sound).run()
    assert exam is not None
    return findings, exam


def test_a_sound_capture_is_fine(looked: tuple[list[Finding], Examination]) -> None:
    findings, exam = looked
    assert exit_code(findings) == 0 and not codes(findings), [f.sentence() for f in findings]
    assert len(exam.pictures) == CAMERAS * FRAMES and exam.body.name == "open"
    # a clothed person around a bare body; the silhouettes lie inside the masks
    assert all(0.7 < (exam.camera_iou(c) or 0) < 0.95 for c in range(CAMERAS))
    assert np.mean([picture.inside for picture in exam.pictures]) > 0.98
    assert all(shift.length < 0.5 for shift in exam.shifts.values())


@pytest.mark.parametrize("corruption", TABLE, ids=lambda corruption: corruption.done)
def test_every_corruption_gets_its_message(sound: Path, tmp_path: Path, corruption: Corruption) -> None:
    folder = doctor_page.spoilt(sound, corruption, tmp_path / "capture")
    code, findings = doctor_page.diagnose(folder)
    finding = doctor_page.matching(corruption, findings)
    assert finding is not None, [f"{f.code}: {f.sentence()}" for f in findings]
    assert code == corruption.exit_code, [f"{f.severity} {f.code}: {f.sentence()}" for f in findings]
    # the page says the same; numbers may differ in the last digit on another machine
    line = doctor_page.without_numbers(doctor_page.row(corruption, finding, folder))
    assert line in doctor_page.without_numbers(doctor_page.PAGE.read_text()), "run python -m tests.doctor_page"


def test_the_page_holds_the_whole_table_and_nothing_else() -> None:
    text = doctor_page.PAGE.read_text()
    rows = [line for line in text.split(doctor_page.START)[1].split(doctor_page.END)[0].splitlines() if "|" in line]
    assert len(rows) - 2 == len(TABLE) >= MIN_CORRUPTIONS
    assert len({corruption.done for corruption in TABLE}) == len(TABLE)


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nerfstudio_mobavatar.cli", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"})


def test_command_report_sheet_and_exit_codes(folder: Path, tmp_path: Path) -> None:
    corruption = next(c for c in TABLE if c.code == "fit-twisted")
    corruption.spoil(folder)
    result = run_command(str(folder), "--sheet", str(tmp_path / "look"))
    assert result.returncode == 1, result.stderr
    said = " ".join(result.stdout.split())  # long paths wrap
    assert "WARNING" in said and "usable, with warnings: 0 errors, 1 warnings" in said
    assert "Traceback" not in result.stdout + result.stderr
    page, picture = tmp_path / "look.html", tmp_path / "look.png"
    text = page.read_text()
    assert "jumps away and back" in text and text.count("<figure>") == 2 * CAMERAS
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>' in text and "<script" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)  # opens anywhere, without other files
    assert picture.stat().st_size > 50_000


def as_json(capsys: pytest.CaptureFixture[str], doctor: Doctor) -> tuple[object, dict[str, Any]]:
    """Exit code and report of `--json`."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        doctor.main()
    return leaving.value.code, json.loads(capsys.readouterr().out)


def test_json_of_a_folder_that_is_no_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    code, report = as_json(capsys, Doctor(tmp_path, json=True))
    assert code == 2
    assert report["format"] == "mobavatar-doctor" and report["exit_code"] == 2 and "cameras" not in report
    assert report["findings"][0]["code"] == "refused" and "notes.txt" in report["findings"][0]["what"]
    assert any(finding["code"] == "survey-pictures" for finding in report["findings"])


def test_json_holds_what_the_page_promises(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = as_json(capsys, Doctor(sound, json=True))
    assert code == 0
    text = doctor_page.PAGE.read_text().split("## JSON")[1]
    for key in (*report, *report["cameras"][0], *report["findings"][0]):
        assert f"`{key}`" in text, key
    assert len(report["overlap_by_frame"]) == FRAMES and report["verdict"] == "fine"


def test_what_cannot_be_read_does_not_hide_the_rest(folder: Path) -> None:
    """One camera without pictures and NaN rows: both are said, and the others are examined."""
    for name in ("a camera's folder is missing", "NaN in two frames", "one camera two stops darker"):
        corruption = next(c for c in TABLE if c.done == name)
        if name != "one camera two stops darker":
            corruption.spoil(folder)
    findings, exam = Doctor(folder).run()
    assert exam is not None and len(exam.capture.cameras) == CAMERAS - 1 and len(exam.capture.frames) == FRAMES - 2
    assert sum(finding.code == "refused" for finding in findings) == 2
    rest = next(finding for finding in findings if finding.code == "examined-rest")
    assert "--skip-cameras 22010702" in rest.what and "--drop-frames nan" in rest.what
    # with the same options the capture is as good as it gets
    again, _ = Doctor(folder, skip_cameras=("22010702",), drop_frames=("nan",)).run()
    assert "refused" not in codes(again)


@pytest.mark.parametrize("name", ["calibration_full.json", "smpl_params.npz", "22010700/00000000.jpg"])
def test_random_bytes_never_end_in_a_stack_trace(folder: Path, name: str) -> None:
    rng = np.random.default_rng(3)
    original = (folder / name).read_bytes()
    for _ in range(2):
        data = bytearray(original)
        for at in rng.integers(0, min(len(data), 3000), 30):
            data[at] = rng.integers(0, 256)
        (folder / name).write_bytes(bytes(data))
        findings, _ = Doctor(folder).run()
        assert findings and "doctor-failed" not in codes(findings), [f.sentence() for f in findings]


def test_the_last_resort_names_the_error(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("seven")

    monkeypatch.setattr("nerfstudio_mobavatar.doctor.command.examine", fail)
    findings, _ = Doctor(sound).run()
    assert exit_code(findings) == 2 and "ZeroDivisionError: seven" in findings[0].what


def test_other_bodies_and_layouts(sound: Path, tmp_path: Path) -> None:
    findings, exam = Doctor(sound, body=str(tmp_path / "SMPLX.npz")).run()
    assert exam is None and codes(findings) == {"body-file"}
    assert type(Doctor(sound, layout="avatarrex").parser_config()) is AvatarReXDataParserConfig
    with pytest.raises(CaptureError, match="--layout tv: expected auto or one of avatarrex"):
        Doctor(sound, layout="tv").parser_config()


# ---- corrected copies ----


def digests(folder: Path) -> dict[str, str]:
    """Every file's content."""
    every = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in every}


def spoil(folder: Path, *names: str) -> None:
    for name in names:
        next(c for c in TABLE if c.done == name).spoil(folder)


@pytest.mark.parametrize(
    "names",
    [
        ("R and T are camera-to-world",),
        ("the folders of two cameras exchanged",),
        ("one camera recorded two frames late", "50 expression coefficients"),
        ("the fit's world is z-up, the cameras' y-up",),
        ("global_orient and transl are EasyMocap's Rh and Th",),
    ],
    ids=lambda names: names[0],
)
def test_fix_writes_a_better_copy_and_leaves_the_originals_alone(
    folder: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    spoil(folder, *names)
    before = digests(folder)
    findings, _ = Doctor(folder, fix=tmp_path / "fixed").run()
    assert digests(folder) == before
    fixed = next(finding for finding in findings if finding.code == "fixed")
    assert fixed.value is not None and fixed.value > 0.78, fixed.sentence()


def test_a_fixed_copy_is_a_sound_capture(folder: Path, tmp_path: Path) -> None:
    spoil(folder, "camera translations in millimetres", "two frames with a twisted fit")
    Doctor(folder, fix=tmp_path / "fixed").run()
    again, exam = Doctor(tmp_path / "fixed").run()
    assert exit_code(again) == 0 and not codes(again), [f.sentence() for f in again]
    assert exam is not None and all((exam.camera_iou(c) or 0) > 0.75 for c in range(CAMERAS))
    assert {image.image_path.resolve().parent.parent for image in exam.capture.images} == {folder.resolve()}


def test_fix_keeps_every_number_it_does_not_correct(sound: Path, folder: Path, tmp_path: Path) -> None:
    spoil(folder, "two frames with a twisted fit")
    _, exam = Doctor(folder, fix=tmp_path / "fixed").run()
    copy = AutoDataParserConfig(data=tmp_path / "fixed").setup().read_capture()
    original = AutoDataParserConfig(data=sound).setup().read_capture()
    assert exam is not None and copy.frames == tuple(f for f in range(FRAMES) if f not in (6, 7))
    for ours, theirs in zip(copy.cameras, original.cameras, strict=True):
        assert (ours.name, ours.width, ours.height) == (theirs.name, theirs.width, theirs.height)
        for key in ("K", "T_cam_world", "distortion"):
            assert np.array_equal(getattr(ours, key), getattr(theirs, key))
    kept = list(copy.frames)
    assert np.array_equal(copy.fit.pose, original.fit.pose[kept])
    assert np.array_equal(copy.fit.transl, original.fit.transl[kept])
    assert np.array_equal(copy.fit.betas, original.fit.betas)


def test_a_copy_of_a_layout_with_other_masks_has_mattes(
    looked: tuple[list[Finding], Examination], tmp_path: Path
) -> None:
    capture, masks = looked[1].capture, []
    for image in capture.images[:CAMERAS]:
        path = tmp_path / f"{image.camera}.png"
        pixels = cv2.imread(str(image.mask_path), cv2.IMREAD_GRAYSCALE)
        assert pixels is not None and cv2.imwrite(str(path), 255 - pixels)
        masks.append((replace(image, mask_path=path), pixels))
    cameras = tuple(replace(camera, mask_coding="inverted") for camera in capture.cameras)
    fix.write_copy(replace(capture, cameras=cameras, images=tuple(image for image, _ in masks)), tmp_path / "copy")
    for image, pixels in masks:
        copied = tmp_path / "copy" / cameras[image.camera].name / "mask" / "pha" / "00000000.png"
        assert np.array_equal(cv2.imread(str(copied), cv2.IMREAD_GRAYSCALE), pixels)


def test_fix_moves_principal_points_only_when_asked(folder: Path, tmp_path: Path) -> None:
    spoil(folder, "one camera moved by 7 px after calibration")
    findings, _ = Doctor(folder, fix=tmp_path / "fixed").run()
    assert not (tmp_path / "fixed").exists()
    assert "--shift-cameras" in next(finding for finding in findings if finding.code == "fix-nothing").advice
    Doctor(folder, fix=tmp_path / "fixed", shift_cameras=True).run()
    assert "camera-shift" not in codes(Doctor(tmp_path / "fixed").run()[0])


def test_fix_writes_nothing_into_a_folder_in_use_or_from_an_unreadable_capture(folder: Path, tmp_path: Path) -> None:
    spoil(folder, "R and T are camera-to-world")
    with pytest.raises(CaptureError, match="expected a folder that is new or empty"):
        Doctor(folder, fix=folder).run()
    spoil(folder, "the fit is missing")
    findings, _ = Doctor(folder, fix=tmp_path / "fixed").run()
    assert "fix-impossible" in {finding.code for finding in findings} and not (tmp_path / "fixed").exists()


# ---- before training ----


def test_the_cheap_part_says_nothing_about_a_sound_capture(sound: Path) -> None:
    said: list[str] = []
    quick.check_before_training(AutoDataParserConfig(data=sound), "open", "neutral", said.append)
    assert said == []


def test_the_cheap_part_refuses_with_the_doctors_words_and_passes_warnings_on(folder: Path) -> None:
    said: list[str] = []
    spoil(folder, "a camera's pose copied from another")
    quick.check_before_training(AutoDataParserConfig(data=folder), "open", "neutral", said.append)
    assert any("they stand at the same place" in line for line in said)
    spoil(folder, "R and T are camera-to-world")
    words = r"not usable as it is.*would be 0.\d\d if R and T are the camera's pose.*--check-capture False"
    with pytest.raises(CaptureError, match=re.compile(words, re.DOTALL)):
        quick.check_before_training(AutoDataParserConfig(data=folder), "open", "neutral", said.append)


def test_ns_train_refuses_in_the_doctors_words_unless_told_otherwise(folder: Path, tmp_path: Path) -> None:
    spoil(folder, "camera translations in feet")
    config = tiny_config(folder, tmp_path)
    with pytest.raises(SystemExit, match=re.compile(r"ns-train: .*not usable as it is.*hardly overlap", re.DOTALL)):
        config.setup(local_rank=0, world_size=1).setup()
    config.check_capture = False
    config.setup(local_rank=0, world_size=1).setup()
    shutil.rmtree(folder)
    with pytest.raises(SystemExit, match="found no such folder"):
        config.setup(local_rank=0, world_size=1).setup()


def still_fit(frames: int = 40) -> BodyFit:
    rng = np.random.default_rng(1)
    slow = np.cumsum(rng.normal(0, 0.02, (frames, 55, 3)), 0).astype(np.float32)
    return BodyFit(slow, 0.01 * slow[:, 0], np.zeros((frames, 10), np.float32), np.zeros(10, np.float32))


def test_twisted_stretches_and_lone_jumps_are_told_apart() -> None:
    calm = still_fit()
    assert motion.twisted_rows(calm, motion.steps(calm)) == ((), ())
    pose, transl = calm.pose.copy(), calm.transl.copy()
    pose[7, 16] += (0, 0, 2.0)
    pose[20:24, 1] += (1.5, 0, 0)
    transl[30] += (0.8, 0, 0)
    pose[35:, 3] += (1.2, 0, 0)  # a cut: nothing takes it back
    fit = BodyFit(pose, transl, calm.expression, calm.betas)
    twisted, lone = motion.twisted_rows(fit, motion.steps(fit))
    assert twisted == (7, 20, 21, 22, 23, 30) and lone == (35,)


def test_a_fast_but_steady_motion_is_no_twist() -> None:
    calm = still_fit()
    pose = calm.pose.copy()
    pose[:, 17, 1] += 0.7 * np.arange(len(pose))  # an arm that keeps turning fast
    fit = BodyFit(pose, calm.transl, calm.expression, calm.betas)
    assert motion.twisted_rows(fit, motion.steps(fit)) == ((), ())


def test_coverage_is_zero_for_trained_poses_and_right_for_one_turned_joint() -> None:
    calm = still_fit()
    rows = list(range(30))
    assert motion.coverage(calm, rows, rows).nearest.max() < 1e-3
    pose = np.repeat(calm.pose[:1], 40, 0)
    pose[39, 4] = (0.3, 0, 0)
    pose[:39, 4] = 0
    pose[39, 0] = pose[39, 25] = 1.0  # where the body faces and fingers do not count
    fit = BodyFit(pose, calm.transl, calm.expression, calm.betas)
    report = motion.coverage(fit, list(range(39)), [39])
    assert report.nearest[0] == pytest.approx(np.rad2deg(0.3) / np.sqrt(21), rel=1e-3) and report.spread < 1e-3


def test_files_are_seen_within_the_time_and_evenly(looked: tuple[list[Finding], Examination]) -> None:
    everything = files.look_at_files(looked[1].capture)
    assert everything.looked_at == everything.total == 2 * CAMERAS * FRAMES
    assert not (everything.absent or everything.empty or everything.cut_off or everything.repeated)
    order = files._spread_order(1000)
    assert sorted(order) == list(range(1000))
    counts = np.histogram(order[:100], 10, (0, 1000))[0]
    assert counts.min() >= 8 and counts.max() <= 12  # any beginning is spread over the whole


def test_findings_are_ordered_and_decide_the_exit_code() -> None:
    made = [Finding("a", "info", "x", "y"), Finding("b", "error", "x", "y"), Finding("c", "warning", "x", "y")]
    assert [finding.code for finding in ordered(made)] == ["b", "c", "a"]
    assert [exit_code(made), exit_code(made[:1]), exit_code(made[2:]), exit_code([])] == [2, 0, 1, 0]


def test_the_real_capture(test_data: Path) -> None:
    """Four real cameras with a rough fit: the doctor finds what is known to be wrong with them."""
    root = test_data / "real4cam"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    findings, exam = Doctor(root).run()
    assert exit_code(findings) == 1 and exam is not None
    assert exam.capture.up == (0.0, 0.0, 1.0)
    shift = next(f for f in findings if f.code == "camera-shift" and f.where == "camera cam03")
    assert shift.value is not None and 4 < shift.value < 10  # the automatic held-out camera: about 7 px of 960
    loose = next(f for f in findings if f.code == "fit-loose")
    slim = next(f for f in findings if f.code == "body-slim")
    assert loose.value is not None and 0.05 < loose.value < 0.1 and slim.value is not None and 0.8 < slim.value < 0.95
    betas = next(f for f in findings if f.code == "betas-extreme")
    assert betas.value is not None and 4.8 < betas.value < 5.0
    assert 0.7 < np.median([picture.iou for picture in exam.pictures]) < 0.85
    assert not exam.twisted


def test_the_gender_of_the_fit_is_found_by_the_masks(
    sound: Path, looked: tuple[list[Finding], Examination], tmp_path: Path
) -> None:
    """A folder with the body of the fit under one name and a wider one under another."""
    with as_file(resources("nerfstudio_mobavatar") / "assets" / "open_body.npz") as path, np.load(path) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    np.savez(tmp_path / "SMPLX_MALE.npz", **content)
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **content | {"v_template": content["v_template"] * [1.0, 1.0, 1.6]})
    wrong = [finding for finding in Doctor(sound, body=str(tmp_path)).run()[0] if finding.code == "gender"]
    assert [finding.severity for finding in wrong] == ["warning"]
    assert "male body model" in wrong[0].what and "--gender male" in wrong[0].advice
    right = list(compare_genders(looked[1], str(tmp_path), "male"))
    assert [finding.severity for finding in right] == ["info"]
    (tmp_path / "SMPLX_NEUTRAL.npz").unlink()
    assert not list(compare_genders(looked[1], str(tmp_path), "male"))
    assert not list(compare_genders(looked[1], "open", "neutral"))
