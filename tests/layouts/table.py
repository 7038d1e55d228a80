"""Every layout with its writer: one row each, for `test_layouts.py` and `tests/bench/captures.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from nerfstudio_mobavatar.capture import Capture
from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReXDataParserConfig
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParserConfig
from tests.layouts import write_avatarrex
from tests.layouts.truth import Truth, make_truth

LENS = (0.08, -0.03, 0.002, -0.003, 0.01)
"""k1, k2, p1, p2, k3 of layouts that keep their distortion: pixels move by up to 3."""


@dataclass(frozen=True)
class Row:
    """One layout, or one variant of it."""

    name: str
    """Key of the figures, unique."""
    layout: str
    """What `detect_layout` says about the folder."""
    write: Callable[[Truth, Path], None]
    config: type[CaptureDataParserConfig]
    truth: Callable[[], Truth] = make_truth
    """What is written, and has to come back."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that the parser needs."""
    notes: tuple[str, ...] = ()
    """Regular expressions, each of which one of the parser's notes has to match."""
    same_world: bool = True
    """False where the layout's world is another one, so that only cameras relative to bodies can be compared."""
    cross_layout: bool = True
    """False where the truth's body is not what the layout can hold, so that poses come back approximately."""
    camera_names: bool = True
    """False where the layout names cameras itself."""

    def parse(self, folder: Path, **options: Any) -> Capture:
        """Read the folder with the row's options, changed by the given ones."""
        return self.config(data=folder, **{**self.options, **options}).setup().capture


@lru_cache
def lens_truth() -> Truth:
    """The truth recorded through `LENS`."""
    return make_truth().distorted(LENS)


ROWS = (
    Row("avatarrex", "avatarrex", write_avatarrex.write, AvatarReXDataParserConfig,
        truth=lens_truth),
)  # fmt: skip
