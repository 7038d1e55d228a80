"""The folder that a static web server serves: avatar, motions, poster, licence and the page that shows them.

Whoever has an avatar writes it with `write_folder`: a training run (`export.py`) or a file (`exchange/page.py`).
"""

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from nerfstudio_mobavatar import __version__, durable
from nerfstudio_mobavatar.motion import pose_json
from nerfstudio_mobavatar.motion.types import PoseRow

from .arrays import AvatarArrays
from .pose_sequence import MOTION_FILE
from .rights import UNSTATED

AVATAR_FILE, POSTER_FILE, README_FILE = "avatar.mobavatar", "poster.jpg", "README.txt"

VIEWER_LINE = "index.html, *.js    the viewer"
"""Of the README; a gallery, which has one viewer for all, replaces it."""
README = """This folder is a web page that shows an animatable avatar. Copy it to any web server and open index.html
(over https, or on localhost: browsers offer WebGPU nowhere else). Opening the file from disk does not work.

avatar.mobavatar    the avatar ({gaussians:,} Gaussians; format: FORMAT.md of nerfstudio-mobavatar)
motion.pose.bin     {frames} poses at {fps:g} frames a second: {name}
motions.json        list of this and further motions (*.pose.bin)
poster.jpg          picture shown while the avatar loads
{viewer_line}

Licence of the avatar: {license}
Body model: {body}. {body_license}
Made with nerfstudio-mobavatar {version}.
"""


class ExportError(RuntimeError):
    """Nothing was written; the message says why and what to do."""


@dataclass(frozen=True)
class PageMotion:
    """One entry of the page's menu."""

    name: str
    rows: Sequence[PoseRow]
    frame_ids: Sequence[int]
    fps: float


def check_output_dir(folder: Path, overwrite: bool) -> None:
    """Raise `ExportError` if the folder cannot be written or has files that were not asked to be replaced."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file; expected a folder to write into")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ExportError(f"{folder} is not empty; nothing was written. Choose another folder or give --overwrite")
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not os.access(existing, os.W_OK):
        raise ExportError(f"{existing} is not writable; nothing was written. Choose another folder")


def write_folder(
    folder: Path, a: AvatarArrays, data: bytes, motions: Sequence[PageMotion], poster: bytes
) -> dict[str, int]:
    """Write every file to a temporary folder first and move them in at the end (`durable.staging`). `data` is the file
    that `a` became, `poster` a JPEG; the first motion is the one that plays. Returns bytes by file name."""
    with durable.staging(folder) as staging:
        (staging / AVATAR_FILE).write_bytes(data)
        write_motions(staging, motions)
        (staging / POSTER_FILE).write_bytes(poster)
        text = README.format(
            viewer_line=VIEWER_LINE,
            gaussians=len(a.position),
            frames=len(motions[0].rows),
            fps=motions[0].fps,
            name=motions[0].name,
            body=a.meta.get("body", "unknown"),
            body_license=a.meta.get("body_license", ""),
            license=a.meta.get("license") or UNSTATED,
            version=__version__,
        )
        (staging / README_FILE).write_text(text)
        copy_viewer(staging)
        return {file.name: file.stat().st_size for file in sorted(staging.iterdir())}


def write_motions(folder: Path, motions: Sequence[PageMotion]) -> None:
    """A file per motion and the index, in the order of the menu (FORMAT.md); the first is always `motion.pose.bin`."""
    index = []
    for i, motion in enumerate(motions):
        file = MOTION_FILE if i == 0 else f"{motion.name}.pose.bin"
        pose_json.write_rows(folder / file, motion.rows, motion.frame_ids, motion.fps)
        index.append({"name": motion.name, "file": file, "frames": len(motion.rows), "fps": motion.fps})
    (folder / pose_json.INDEX).write_text(json.dumps(index, indent=1) + "\n")


def free_name(given: str, used: set[str]) -> str:
    """A motion's name that is also a file's on every system and server, not in `used` (lower case), to which it is
    added. `given` may be a file's name."""
    stem = given.removesuffix(".json").removesuffix(".bin").removesuffix(".pose")
    return unused(stem, used, "motion")


def unused(given: str, used: set[str], otherwise: str) -> str:
    """`given` (`otherwise` where nothing of it is left) in characters that need no quoting anywhere, numbered where it
    is in `used` (lower case), to which it is added."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", given).strip("-") or otherwise
    name, count = plain, 2
    while name.lower() in used:
        name, count = f"{plain}-{count}", count + 1
    used.add(name.lower())
    return name


def copy_viewer(folder: Path) -> None:
    """The built page, as it ships inside this package."""
    with as_file(files("nerfstudio_mobavatar.web_export") / "viewer" / "dist") as dist:
        if not (dist / "index.html").is_file():
            raise ExportError(f"{dist} has no built viewer; run 'npm ci && npm run build' in web_export/viewer")
        for file in sorted(dist.iterdir()):
            shutil.copyfile(file, folder / file.name)
