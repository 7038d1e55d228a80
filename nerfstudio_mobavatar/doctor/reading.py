"""Read a capture as far as possible: what the parser refuses is a finding, and the rest is looked at without it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from nerfstudio.utils.rich_utils import CONSOLE

from ..body_file import BodyFileError
from ..body_model import Body, load_body
from ..capture import Capture, CaptureError
from ..dataparsers.base import CaptureDataParserConfig
from ..dataparsers.calibration import implausible_cameras_noted
from ..dataparsers.splits import Splits, make_splits
from .findings import Finding

MOST_REFUSALS = 6
"""After so many errors the rest is not looked at: something is wrong with everything."""

_OPTION = re.compile(r"--(skip-cameras|drop-frames) ([^\s,]+)")
_CAMERA = re.compile(r"\bcamera ([^\s,:()]+)")


@dataclass
class Reading:
    """What could be read."""

    capture: Capture | None = None
    splits: Splits | None = None
    refusals: list[Finding] = field(default_factory=list)
    """What the parser said, in its own words, one finding for each error."""
    without: list[str] = field(default_factory=list)
    """Options under which the rest could be read, such as `--skip-cameras cam2`."""


def read_as_far_as_possible(config: CaptureDataParserConfig) -> Reading:
    """Parse; on an error apply the remedy that the error itself names (leave out a camera or frames) and go on."""
    reading = Reading()
    while len(reading.refusals) < MOST_REFUSALS:
        try:
            # the parser announces the layout, which the report says once
            with CONSOLE.capture(), implausible_cameras_noted() as noted:
                capture = config.setup().read_capture()
                held_out = (config.test_cameras, config.test_frames)
                reading.splits = make_splits(capture, *held_out, config.max_val_images, config.max_test_images)
                reading.capture = capture
            reading.refusals += _implausible(noted, Path(config.data))
            return reading
        except (CaptureError, OSError) as error:
            reading.refusals.append(refusal(error, Path(config.data)))
            relaxed = next(_relaxations(str(error), config), None)
            if relaxed is None:
                return reading
            config = relaxed
            reading.without = [f"--skip-cameras {name}" for name in config.skip_cameras]
            reading.without += [f"--drop-frames {text}" for text in config.drop_frames]
    return reading


def _implausible(noted: list[CaptureError], root: Path) -> list[Finding]:
    """The first one, which is what training would stop at; the others are nearly always the same."""
    if not noted:
        return []
    first = refusal(noted[0], root)
    more = f" The same holds for {len(noted) - 1} more cameras." if len(noted) > 1 else ""
    return [replace(first, what=first.what + more, value=float(len(noted)), unit="cameras")]


def refusal(error: Exception, root: Path) -> Finding:
    """The parser's message as a finding; its sentences already say what to do."""
    where, colon, what = str(error).partition(": ")
    if not colon:
        where, what = str(root), str(error)
    return Finding("refused", "error", where, what)


def load_body_for(source: str, gender: str) -> Body | Finding:
    """The body model, or why there is none."""
    try:
        return load_body(source, gender)
    except (BodyFileError, OSError, ImportError) as error:
        return Finding("body-file", "error", source, str(error), "Give the file that the fit was made with (--body).")


def _relaxations(message: str, config: CaptureDataParserConfig) -> Iterator[CaptureDataParserConfig]:
    """The same reading without what the message complains about, if that is a camera or some frames."""
    option = _OPTION.search(message)
    if option:
        name, value = option[1], option[2].rstrip(".;")
        field_name = name.replace("-", "_")
        if value not in getattr(config, field_name):
            yield replace(config, **{field_name: (*getattr(config, field_name), value)})
            return
    for camera in _CAMERA.findall(message):
        if camera.rstrip(".") not in config.skip_cameras:
            yield replace(config, skip_cameras=(*config.skip_cameras, camera.rstrip(".")))
            return
