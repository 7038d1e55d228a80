"""`mobavatar webcam`: beside an exported page another one, whose avatar a webcam drives.

    PAGE/webcam.html webcam.js webcam.css    the page
    PAGE/mediapipe/                          MediaPipe Tasks Vision and its models, copied from where the user has them

Nothing is downloaded, by this command or by the page: its Content-Security-Policy lets it talk to its own server only.
"""

import shutil
import tempfile
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import tyro

from .page_folder import AVATAR_FILE, ExportError

FOLDER = "mediapipe"
BUNDLE, WASM = "vision_bundle.mjs", "wasm"
BODY_MODELS = (
    "pose_landmarker.task",
    "pose_landmarker_full.task",
    "pose_landmarker_lite.task",
    "pose_landmarker_heavy.task",
)
"""Names under which the body's model is found; the page knows it by the first."""
OPTIONAL_MODELS = ("hand_landmarker.task", "face_landmarker.task")
HELP = "docs/webcam.md says where it comes from"


@dataclass
class Webcam:
    """Add a page to an exported folder on which a webcam drives the avatar, with MediaPipe's files from your disk."""

    page: Annotated[Path, tyro.conf.Positional]
    """A folder that `ns-export mobavatar` wrote."""
    mediapipe: Path = Path("node_modules/@mediapipe/tasks-vision")
    """The npm package @mediapipe/tasks-vision as it is unpacked."""
    models: Path = Path()
    """Folder with pose_landmarker.task (or _lite, _full, _heavy). For hands and face hand_landmarker.task and
    face_landmarker.task are taken where they are there."""

    def main(self) -> None:
        """Look at everything first, then copy."""
        if not (self.page / AVATAR_FILE).is_file():
            raise ExportError(f"{self.page}: expected an exported folder with {AVATAR_FILE}, found none; export first")
        wasm = sorted((self.mediapipe / WASM).glob("vision_wasm*"))
        if not (self.mediapipe / BUNDLE).is_file() or not wasm:
            raise ExportError(
                f"{self.mediapipe}: expected {BUNDLE} and {WASM}/vision_wasm*, found none; give the unpacked npm "
                f"package with --mediapipe; {HELP}"
            )
        body = next((self.models / name for name in BODY_MODELS if (self.models / name).is_file()), None)
        if body is None:
            raise ExportError(
                f"{self.models}: expected {BODY_MODELS[0]}, found none; give its folder with --models; {HELP}"
            )
        others = [self.models / name for name in OPTIONAL_MODELS if (self.models / name).is_file()]
        with tempfile.TemporaryDirectory(dir=self.page, prefix=".webcam-") as temporary:
            staged = Path(temporary) / FOLDER
            (staged / WASM).mkdir(parents=True)
            shutil.copyfile(self.mediapipe / BUNDLE, staged / BUNDLE)
            for file in wasm:
                shutil.copyfile(file, staged / WASM / file.name)
            shutil.copyfile(body, staged / BODY_MODELS[0])
            for file in others:
                shutil.copyfile(file, staged / file.name)
            old = self.page / FOLDER
            if old.is_dir():
                old.replace(Path(temporary) / "old")
            staged.replace(old)
        with as_file(files("nerfstudio_mobavatar.web_export") / "viewer" / "webcam") as built:
            for file in sorted(built.iterdir()):
                shutil.copyfile(file, self.page / file.name)
        found = ["body", *(file.name.partition("_")[0] + ("s" if "hand" in file.name else "") for file in others)]
        print(f"{self.page / 'webcam.html'} follows: {', '.join(found)}. Serve it: mobavatar view {self.page}")
