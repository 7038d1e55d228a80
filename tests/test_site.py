"""The gallery: every avatar opens in the one viewer, hostile names do no harm, nothing is half written."""

import re
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from nerfstudio_mobavatar import cli, serve
from nerfstudio_mobavatar.view import find_pages
from nerfstudio_mobavatar.web_export import bundle, page_folder, pose_sequence, site
from nerfstudio_mobavatar.web_export.pose_sequence import MOTION_FILE

from .browser import NO_CHROMIUM, avatar_page, browser, chromium
from .synthetic_avatar import SyntheticAvatar, walking_pose

POSTERS = {"Änne & <b>Bo": (200, 40, 160), "bo": (40, 160, 200)}
"""Folder name -> colour of its poster; the third subject has none."""
NO_POSTER = "BO"


def make_avatar(folder: Path, color: tuple[int, int, int] | None) -> Path:
    """An exported folder, as small as possible."""
    folder.mkdir()
    arrays = SyntheticAvatar(num_gaussians=400, num_nodes=40, num_kept=50, num_parts=8).build()
    (folder / page_folder.AVATAR_FILE).write_bytes(bundle.encode(arrays))
    pose_sequence.write(folder / MOTION_FILE, [walking_pose(x) for x in (0.0, 1.0)], [0, 1])
    if color:
        assert cv2.imwrite(str(folder / page_folder.POSTER_FILE), np.full((96, 72, 3), color[::-1], np.uint8))
    (folder / "motions").mkdir()
    (folder / "motions" / "wave.json").write_text("[]")
    (folder / page_folder.README_FILE).write_text(
        f"avatar.mobavatar    mine\n{page_folder.VIEWER_LINE}\n\nBody model: sticks.\n"
    )
    page_folder.copy_viewer(folder)
    return folder


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("subjects")
    for parent in ("a", "b", "c"):
        (root / parent).mkdir()
    made = [make_avatar(root / p / name, color) for p, (name, color) in zip("ab", POSTERS.items())]
    return [*made, make_avatar(root / "c" / NO_POSTER, None)]


def run_site(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> str:
    """Run the command; the message with which it failed, or ""."""
    monkeypatch.setattr(sys, "argv", ["mobavatar", "site", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        assert isinstance(end.code, str) and "\n" not in end.code
        return end.code
    return ""


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_writes_one_viewer_and_a_folder_for_each(subjects: list[Path], tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "site"
    assert run_site(monkeypatch, out, *subjects, "--title", "Our <people>") == ""
    assert "3 avatars" in capsys.readouterr().out
    dist = {f"viewer/{path.name}" for path in (Path(page_folder.__file__).parent / "viewer/dist").iterdir()}
    avatar = {page_folder.AVATAR_FILE, MOTION_FILE, page_folder.README_FILE, "index.html", "motions/wave.json"}
    expected = {"index.html", "gallery.css"} | dist - {"viewer/index.html"}
    for folder, files in (("Anne-b-Bo", avatar | {"poster.jpg"}), ("bo", avatar | {"poster.jpg"}), ("BO-2", avatar)):
        expected |= {f"{folder}/{name}" for name in files}
    assert files_of(out) == expected
    assert (out / "bo" / page_folder.AVATAR_FILE).read_bytes() == (subjects[1] / page_folder.AVATAR_FILE).read_bytes()
    told = (out / "bo" / page_folder.README_FILE).read_text().splitlines()
    assert told[0] == "avatar.mobavatar    mine" and "its viewer lies in ../viewer" in told[1] and len(told) == 4
    gallery = (out / "index.html").read_text("utf-8")
    assert "<h1>Our &lt;people&gt;</h1>" in gallery and "Änne &amp; &lt;b&gt;Bo" in gallery
    assert "<b>" not in gallery and "400 Gaussians" in gallery and "Body models: none." in gallery
    assert [path.name for path in tmp_path.iterdir()] == ["site"], "no temporary folder stays"
    assert find_pages(out) == [""]
    for page in ("index.html", "bo/index.html"):
        links = re.findall(r'(?:src|href)="([^"]*)"', (out / page).read_text("utf-8"))
        assert links and not [link for link in links if re.match(r"/|\w+:(?!,)", link)], "relative only"


def test_an_avatar_called_viewer_does_not_replace_it() -> None:
    taken = {site.VIEWER_FOLDER}
    assert [site.folder_name(name, taken) for name in ("Viewer", "..", "日本", "a b", "a/b")] == [
        "Viewer-2",
        "avatar",
        "avatar-2",
        "a-b",
        "a-b-2",
    ]


def test_leaves_hidden_files_links_and_old_viewers_behind(subjects: list[Path], tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(subjects[1], source)
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("secret")
    (source / "link.json").symlink_to("/etc/hostname")
    (source / "old.mjs").write_text("")
    site.copy_avatar(source, tmp_path / "target")
    assert files_of(tmp_path / "target") == {
        page_folder.AVATAR_FILE, page_folder.README_FILE, MOTION_FILE, page_folder.POSTER_FILE, "motions/wave.json"
    }  # fmt: skip


def test_writes_nothing_where_something_is_wrong(subjects: list[Path], tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "site"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty has no avatar.mobavatar; expected a folder" in run_site(monkeypatch, out, subjects[0], empty)
    assert "no avatars were given" in run_site(monkeypatch, out)
    (empty / page_folder.AVATAR_FILE).write_bytes(b"not an avatar")
    assert f"{empty / page_folder.AVATAR_FILE}: " in run_site(monkeypatch, out, subjects[0], empty)
    assert not out.exists()
    assert "is not empty" in run_site(monkeypatch, empty, subjects[0])
    with pytest.raises(page_folder.ExportError, match="build it again"):
        site.viewer_page("<html>another viewer</html>", [], "name")


def test_overwrite_replaces_and_keeps_other_files(subjects: list[Path], tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "site"
    assert run_site(monkeypatch, out, subjects[1]) == ""
    (out / "CNAME").write_text("example.org")
    (out / "index.html").write_text("old")
    assert run_site(monkeypatch, out, subjects[1], "--overwrite") == ""
    assert (out / "CNAME").read_text() == "example.org" and "<h1>" in (out / "index.html").read_text("utf-8")


@pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)
def test_gallery_opens_each_avatar_in_the_viewer(subjects: list[Path], tmp_path: Path, monkeypatch) -> None:
    """In the browser: posters in their colours, and a click leads to a person who is drawn, policy and all."""
    out = tmp_path / "below" / "site"
    assert run_site(monkeypatch, out, *subjects) == ""
    with browser() as opened, serve.running(tmp_path) as url:
        with avatar_page(opened, f"{url}below/site/", 640, 480) as gallery:
            gallery.page.wait_for_load_state("networkidle")
            picture = gallery.screenshot(tmp_path / "gallery.png").astype(int)
            for color in POSTERS.values():
                assert (np.abs(picture - color).max(-1) < 12).mean() > 0.05
            assert [gallery.page.locator(".name").nth(i).inner_text() for i in range(3)] == [*POSTERS, NO_POSTER]
            gallery.page.click("a.card >> nth=2")
            gallery.page.wait_for_url("**/BO-2/")
            assert gallery.page.title() == NO_POSTER
            gallery.wait_ready()
            assert gallery.info()["numGaussians"] == 400
            assert [e for e in gallery.errors if "poster.jpg" not in e and "404" not in e] == []
