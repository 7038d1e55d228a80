"""Find out which layout a folder has, and the parser config that does so by itself.

`ns-train mobavatar --data DIR` uses `AutoDataParserConfig`: nerfstudio calls `setup()`, which looks at the folder and
returns the parser of the layout it found, with the options given here.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nerfstudio.utils.rich_utils import CONSOLE

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.dataparsers.actorshq import ActorsHQDataParserConfig
from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReXDataParserConfig
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser, CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.dna_rendering import DNARenderingDataParserConfig
from nerfstudio_mobavatar.dataparsers.dreams import DreamsDataParserConfig
from nerfstudio_mobavatar.dataparsers.generic import GenericDataParserConfig
from nerfstudio_mobavatar.dataparsers.mvhumannet import MVHumanNetDataParserConfig
from nerfstudio_mobavatar.dataparsers.neuman import NeuManDataParserConfig
from nerfstudio_mobavatar.dataparsers.people_snapshot import PeopleSnapshotDataParserConfig
from nerfstudio_mobavatar.dataparsers.thuman4 import THuman4DataParserConfig
from nerfstudio_mobavatar.dataparsers.zju_mocap import ZJUMoCapDataParserConfig


@dataclass(frozen=True)
class Layout:
    """How a layout is recognised."""

    name: str
    signs: tuple[str, ...]
    """Files or folders that must all be there, relative to the capture (shell patterns allowed). A layout that comes in
    two arrangements has two entries."""
    config: type[CaptureDataParserConfig]

    def found_in(self, folder: Path) -> bool:
        return all(next(folder.glob(sign), None) is not None for sign in self.signs)


LAYOUTS = (
    Layout("avatarrex", ("calibration_full.json",), AvatarReXDataParserConfig),
    Layout("thuman4", ("calibration.json", "images", "masks"), THuman4DataParserConfig),
    Layout("actorshq", ("calibration.csv", "rgbs"), ActorsHQDataParserConfig),
    Layout("actorshq", ("[124]x/calibration.csv",), ActorsHQDataParserConfig),
    Layout("dna-rendering", ("*_annots.smc",), DNARenderingDataParserConfig),
    Layout("dna-rendering", ("*annot*/*_annots.smc",), DNARenderingDataParserConfig),
    Layout("dreams", ("cameras.json", "smplx.npz", "videos"), DreamsDataParserConfig),
    Layout("zju-mocap", ("annots.npy",), ZJUMoCapDataParserConfig),
    Layout("people-snapshot", ("cameras.npz", "images", "masks", "poses*.npz"), PeopleSnapshotDataParserConfig),
    Layout("mvhumannet", ("camera_extrinsics.json", "camera_scale.pkl"), MVHumanNetDataParserConfig),
    Layout("neuman", ("images", "sparse", "alignments.npy"), NeuManDataParserConfig),
    Layout("neuman", ("images", "sparse", "4d_humans/smpl_optimized_aligned_scale.npz"), NeuManDataParserConfig),
    Layout("generic", ("images", "masks", "body.npz"), GenericDataParserConfig),
)
"""Known layouts, the most specific first."""


def detect_layout(path: Path) -> str:
    """Name of the layout of the capture in `path`. Raises `CaptureError` that lists what was looked for."""
    if not path.is_dir():
        raise CaptureError(f"{path}: expected the folder of a capture, found no such folder. Give it with --data.")
    for layout in LAYOUTS:
        if layout.found_in(path):
            return layout.name
    looked = "; ".join(f"{layout.name}: {', '.join(layout.signs)}" for layout in LAYOUTS)
    inside = ", ".join(sorted(p.name for p in path.iterdir())[:10]) or "nothing"
    raise CaptureError(
        f"{path}: expected one of the known capture layouts ({looked}), found {inside}. Give the folder that holds "
        "these files (a missing calibration is the usual cause), or name the layout's dataparser at the end of the "
        "command."
    )


@dataclass
class AutoDataParserConfig(CaptureDataParserConfig):
    """Looks at the folder and takes the parser of its layout."""

    _target: type = field(default_factory=lambda: CaptureDataParser)
    """Replaced by the parser of the layout that is found."""

    def concrete(self) -> CaptureDataParserConfig:
        """The config of the layout found in `data`, with the options of this one."""
        name = detect_layout(Path(self.data))
        config = next(layout.config for layout in LAYOUTS if layout.name == name)
        CONSOLE.print(f"[bold]{self.data} looks like the {name} layout[/bold]", highlight=False)
        options = {f.name: getattr(self, f.name) for f in fields(CaptureDataParserConfig) if f.name != "_target"}
        return config(**options)

    def setup(self, **kwargs: Any) -> CaptureDataParser:
        """The parser of the layout found in `data`."""
        return self.concrete().setup(**kwargs)
