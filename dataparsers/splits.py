"""Held-out cameras (novel view) and held-out frames (novel pose)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerfstudio_mobavatar.capture import Capture, CaptureError, CaptureImage


@dataclass(frozen=True)
class SplitImages:
    """Pictures of one split and why each is in it: "train", "novel_view" or "novel_pose"."""

    images: tuple[CaptureImage, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    """The three splits nerfstudio asks for."""

    train: SplitImages
    val: SplitImages
    test: SplitImages
    train_frames: tuple[int, ...]
    """Rows of the fit used in training."""
    note: str
    """One sentence: what is held out."""

    def get(self, split: str) -> SplitImages:
        """The split called "train", "val" or "test"."""
        if split not in ("train", "val", "test"):
            raise ValueError(f"split {split!r}: expected train, val or test")
        return getattr(self, split)


def make_splits(
    capture: Capture, test_cameras: Sequence[str], test_frames: Sequence[str], max_val: int, max_test: int
) -> Splits:
    """Train = training cameras x training frames; test = held-out cameras x training frames (novel view) and training
    cameras x held-out frames (novel pose); val = some of the novel views, or of the novel poses if no camera is held
    out. With nothing held out, val and test are training pictures, which the note says."""
    cameras = held_out_cameras(capture, test_cameras)
    rows = held_out_rows(capture, test_frames)
    train = tuple(i for i in capture.images if i.camera not in cameras and i.frame not in rows)
    view = tuple(i for i in capture.images if i.camera in cameras and i.frame not in rows)
    pose = tuple(i for i in capture.images if i.camera not in cameras and i.frame in rows)
    if not train:
        raise CaptureError(
            f"{capture.root}: expected training images, found none after holding out cameras {list(test_cameras)} and "
            f"frames {list(test_frames)}. Hold out less with --test-cameras and --test-frames."
        )
    groups = [(view, "novel_view"), (pose, "novel_pose")] if view or pose else [(train, "train")]
    parts = [_tagged(spread(images, max_test), tag) for images, tag in groups]
    first = next((images, tag) for images, tag in groups if images)
    names = ", ".join(capture.cameras[i].name for i in sorted(cameras)) or "no camera"
    return Splits(
        train=_tagged(train, "train"),
        val=_tagged(spread(first[0], max_val), first[1]),
        test=SplitImages(sum((p.images for p in parts), ()), sum((p.tags for p in parts), ())),
        train_frames=tuple(sorted({i.frame for i in train})),
        note=f"held out: {names} ({len(view)} images of novel views) and {len(rows)} frames ({len(pose)} images of "
        f"novel poses); {len(train)} images train"
        + ("" if view or pose else "; nothing is held out, so evaluation shows training images"),
    )


def held_out_cameras(capture: Capture, wanted: Sequence[str]) -> frozenset[int]:
    """Indices of the cameras meant by `--test-cameras`."""
    names = [camera.name for camera in capture.cameras]
    if tuple(wanted) in ((), ("none",)):
        return frozenset()
    if tuple(wanted) == ("auto",):
        return frozenset({len(names) // 2}) if len(names) >= 3 else frozenset()
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise CaptureError(
            f"{capture.root}: expected --test-cameras to name cameras of the capture, found {', '.join(unknown)}. "
            f"Its cameras are {', '.join(names)}; or say auto or none."
        )
    return frozenset(names.index(name) for name in wanted)


def held_out_rows(capture: Capture, wanted: Sequence[str]) -> frozenset[int]:
    """Rows meant by `--test-frames`."""
    if tuple(wanted) in ((), ("none",)):
        return frozenset()
    if tuple(wanted) == ("auto",):
        count = len(capture.frames)
        return frozenset(range(count - count // 10, count))
    numbers = frames_in(wanted, capture.frames, "--test-frames")
    rows = frozenset(row for row, number in enumerate(capture.frames) if number in numbers)
    if not rows:
        raise CaptureError(
            f"{capture.root}: expected --test-frames to hold out frames of the capture, found that {list(wanted)} has "
            f"none of its frames ({capture.frames[0]}..{capture.frames[-1]}). Name frame numbers as in the file names."
        )
    return rows


def frames_in(ranges: Sequence[str], frames: Sequence[int], option: str) -> frozenset[int]:
    """Those of `frames` that lie in the given numbers and half-open ranges ("17", "90:100", ":10", "90:")."""
    chosen: set[int] = set()
    for text in ranges:
        start, colon, stop = text.partition(":")
        try:
            low = int(start) if start or not colon else min(frames)
            high = (int(stop) if stop else max(frames) + 1) if colon else low + 1
        except ValueError:
            raise CaptureError(
                f'{option}: expected frame numbers or half-open ranges such as "17" or "90:100", found "{text}".'
            ) from None
        chosen.update(number for number in frames if low <= number < high)
    return frozenset(chosen)


def spread(images: tuple[CaptureImage, ...], most: int) -> tuple[CaptureImage, ...]:
    """At most `most` of the images, evenly spread over them."""
    if len(images) <= most:
        return images
    return tuple(images[i] for i in np.linspace(0, len(images) - 1, most).round().astype(int))


def _tagged(images: tuple[CaptureImage, ...], tag: str) -> SplitImages:
    return SplitImages(images, (tag,) * len(images))
