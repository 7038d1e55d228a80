"""`mobavatar site`: a gallery of exported avatars that any static web server can serve; the viewer is stored once.

    OUT/index.html gallery.css       the gallery
    OUT/viewer/                      the viewer that all avatars share
    OUT/NAME/index.html              one avatar in the viewer, and its files

Every link is relative, so the folder works below any address. Pages forbid themselves everything that they do not need
(Content-Security-Policy): the gallery every script, the viewer every one but its own, both what is on other servers.
"""

import html
import re
import shutil
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import tyro

from nerfstudio_mobavatar import durable

from . import bundle, pose_sequence
from .page_folder import (
    AVATAR_FILE,
    POSTER_FILE,
    README_FILE,
    VIEWER_LINE,
    ExportError,
    check_output_dir,
    copy_viewer,
    unused,
)

VIEWER_FOLDER = "viewer"
SHARED_VIEWER_LINE = f"index.html          the page; its viewer lies in ../{VIEWER_FOLDER}, so copy the whole gallery"
"""In an avatar's README, in place of the line that says that the viewer lies beside it."""
GALLERY_STYLE = "gallery.css"
PAGE_SUFFIXES = (".html", ".js", ".mjs", ".css", ".map", ".ts")
"""Files of an exported folder that belong to its viewer, not to the avatar."""
GALLERY_POLICY = "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'"
"""The viewer's page brings its own."""

GALLERY = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="Content-Security-Policy" content="{policy}" />
    <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
    <meta name="theme-color" content="#e6e7e8" />
    <title>{title}</title>
{icon}    <link rel="stylesheet" href="{style}" />
  </head>
  <body>
    <h1>{title}</h1>
    <ul>
{cards}
    </ul>
    <footer>{footer}</footer>
  </body>
</html>
"""
CARD = """      <li><a class="card" href="{folder}/">
        {poster}
        <p class="name">{name}</p>
        <p class="facts">{facts}</p>
      </a></li>"""


@dataclass
class Site:
    """Put several exported avatars into one gallery page; each opens in the viewer, which is stored once."""

    output_dir: Annotated[Path, tyro.conf.Positional]
    """Folder to write; it must be empty or absent unless --overwrite is given."""
    avatars: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders that `ns-export mobavatar` wrote. Each is called by its folder's name."""
    title: str = "Avatars"
    """Heading of the gallery."""
    overwrite: bool = False
    """Replace the files of an earlier gallery in a folder that is not empty; other files stay."""

    def main(self) -> None:
        """Check everything first, write to a temporary folder, move into place."""
        check_output_dir(self.output_dir, self.overwrite)
        entries = read_entries(self.avatars)
        size = write_site(self.output_dir, entries, self.title)
        print(f"{len(entries)} avatars, {size / 1e6:.1f} MB in {self.output_dir}; look at it: "
              f"mobavatar view {self.output_dir}")  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One avatar of the gallery."""

    source: Path
    """Exported folder."""
    name: str
    """As people read it."""
    folder: str
    """Its folder in the gallery: ASCII, unlike all others also where upper and lower case are the same."""
    facts: str
    """Size in a few words."""
    body: str
    """Licence of the body model, which names it; where the file has none, the model's name."""


def read_entries(sources: Iterable[Path]) -> list[Entry]:
    """What the gallery says about each exported folder.

    Raises ExportError on a folder without an avatar, BundleError on an avatar file that cannot be read.
    """
    entries: list[Entry] = []
    taken = {VIEWER_FOLDER}
    for source in sources:
        avatar = source / AVATAR_FILE
        if not avatar.is_file():
            raise ExportError(f"{source} has no {AVATAR_FILE}; expected a folder that 'ns-export mobavatar' wrote")
        data = avatar.read_bytes()
        try:
            header, _ = bundle.read_header(data)
        except bundle.BundleError as error:
            raise bundle.BundleError(f"{avatar}: {error}") from None
        name = source.resolve().name
        facts = f"{header['num_gaussians']:,} Gaussians, {len(data) / 1e6:.1f} MB"
        meta = header["meta"]
        body = str(meta.get("body_license") or meta.get("body") or "")
        entries.append(Entry(source, name, folder_name(name, taken), facts, body))
    if not entries:
        raise ExportError("no avatars were given; name the folders that 'ns-export mobavatar' wrote")
    return entries


def folder_name(name: str, taken: set[str]) -> str:
    """A name for a folder that needs no quoting anywhere, and is not in `taken` (lower case), to which it is added."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return unused(ascii_name, taken, "avatar")


def write_site(folder: Path, entries: list[Entry], title: str) -> int:
    """Write everything to a temporary folder first and move it in at the end. Returns the bytes of all files."""
    with durable.staging(folder) as staging:
        viewer = staging / VIEWER_FOLDER
        viewer.mkdir()
        copy_viewer(viewer)
        page = viewer / "index.html"
        template = page.read_text("utf-8")
        page.unlink()
        shared = [path.name for path in viewer.iterdir()]
        for entry in entries:
            target = staging / entry.folder
            copy_avatar(entry.source, target)
            readme = target / README_FILE
            if readme.is_file():
                readme.write_text(readme.read_text("utf-8").replace(VIEWER_LINE, SHARED_VIEWER_LINE), "utf-8")
            page_text = viewer_page(template, shared, entry.name)
            if pose_sequence.motion_of(target).name == pose_sequence.OLD_MOTION_FILE:
                page_text = _replaced(page_text, pose_sequence.MOTION_FILE, pose_sequence.OLD_MOTION_FILE)
            (target / "index.html").write_text(page_text, "utf-8")
        (staging / "index.html").write_text(gallery_page(entries, title), "utf-8")
        with as_file(files("nerfstudio_mobavatar.web_export") / GALLERY_STYLE) as style:
            shutil.copyfile(style, staging / GALLERY_STYLE)
        size = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    return size


def copy_avatar(source: Path, target: Path) -> None:
    """The files of an exported folder without its viewer, hidden files and links."""
    target.mkdir()
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not path.is_symlink() and not hidden and path.suffix not in PAGE_SUFFIXES:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / relative)


def viewer_page(template: str, shared: Iterable[str], name: str) -> str:
    """The viewer's index.html for a folder beside the viewer: its files from there, the avatar's name as title.

    Raises `ExportError` where the template is not the one that this function knows how to change.
    """
    page = _replaced(template, "<title>Avatar</title>", f"<title>{html.escape(name)}</title>")
    for file in shared:
        page = re.sub(rf'\b(src|href)="{re.escape(file)}"', rf'\1="../{VIEWER_FOLDER}/{file}"', page)
    return page


def _replaced(page: str, old: str, new: str) -> str:
    if old not in page:
        raise ExportError(f"the viewer's index.html has no {old}; build it again: npm run build in web_export/viewer")
    return page.replace(old, new, 1)


def gallery_page(entries: list[Entry], title: str) -> str:
    """The gallery's index.html; every text in it is escaped."""
    cards, icon = [], ""
    for entry in entries:
        poster = '<span class="poster"></span>'
        if (entry.source / POSTER_FILE).is_file():
            picture = f"{entry.folder}/{quote(POSTER_FILE)}"
            poster = f'<img class="poster" src="{picture}" alt="" loading="lazy" />'
            icon = icon or f'    <link rel="icon" href="{picture}" />\n'
        cards.append(
            CARD.format(
                folder=entry.folder, poster=poster, name=html.escape(entry.name), facts=html.escape(entry.facts)
            )
        )
    bodies = sorted({entry.body for entry in entries if entry.body})
    return GALLERY.format(
        policy=html.escape(GALLERY_POLICY, quote=True),
        title=html.escape(title),
        icon=icon,
        style=GALLERY_STYLE,
        cards="\n".join(cards),
        footer=html.escape(f"Body models: {'; '.join(bodies)}." if bodies else ""),
    )
