"""Checks of the masks and of the light: polarity, emptiness, holes, crumbs, and exposure between cameras."""

from collections.abc import Iterator, Sequence

import numpy as np

from .examination import Examination
from .findings import Finding, listed
from .measure import Measured

INVERTED_BORDER = 0.5
"""Share of the border that is white from which a mask is inverted: a person never stands along all four sides."""

HOLES = 0.03
"""Share of the mask missing inside its outline where the body is. Hand-checked mattes stay under 0.01."""

CRUMBS = 0.03
"""Share of the mask in pieces apart from the person."""

SOFT = 0.6
"""Share of half-transparent pixels, of the mask's area. A person 100 px tall has about 0.2 of soft edge."""

STOPS = 0.5
"""Difference in brightness between a camera and the others, in stops (factors of two). Light from one side: 0.3."""

TINT = 0.15
"""Difference in red or blue relative to green."""


def check(exam: Examination) -> Iterator[Finding]:
    """All findings about masks and light."""
    cameras = {c: exam.of_camera(c) for c in range(len(exam.capture.cameras))}
    cameras = {c: pictures for c, pictures in cameras.items() if pictures}
    inverted = [c for c, p in cameras.items() if _median(p, "border") > INVERTED_BORDER]
    yield from _inverted(exam, inverted, len(cameras))
    rest = {c: p for c, p in cameras.items() if c not in inverted}
    yield from _empty(exam, rest)
    yield from _ragged(exam, rest)
    yield from _static(exam, rest)
    yield from _exposure(exam, rest)


def _median(pictures: Sequence[Measured], name: str) -> float:
    return float(np.median([getattr(picture, name) for picture in pictures]))


def _names(exam: Examination, cameras: Sequence[int]) -> str:
    return listed(exam.capture.cameras[c].name for c in cameras)


def _inverted(exam: Examination, inverted: list[int], cameras: int) -> Iterator[Finding]:
    if inverted:
        yield Finding(
            "mask-inverted",
            "error" if 2 * len(inverted) > cameras else "warning",
            f"cameras {_names(exam, inverted)}",
            f"the masks of {len(inverted)} of {cameras} cameras are white along the picture's border: they are "
            f"inverted "
            "(expected: white on the person).",
            "Save 255 minus the mask.",
            len(inverted) / cameras,
            "share of the cameras",
        )


def _empty(exam: Examination, cameras: dict[int, list[Measured]]) -> Iterator[Finding]:
    for c, pictures in cameras.items():
        name = exam.capture.cameras[c].name
        # an empty mask is right where the body is out of the picture
        empty = [p for p in pictures if p.mask_share == 0 and p.visible > 0.3]
        full = [p for p in pictures if p.mask_share > 0.95]
        for code, group, what in (("mask-empty", empty, "empty although the body is in view"),
                                  ("mask-full", full, "white all over")):  # fmt: skip
            if group:
                share = len(group) / len(pictures)
                frames = listed((exam.frame_number(p.image.frame) for p in group), 6)
                yield Finding(
                    code,
                    "error" if share > 0.5 and len(cameras) == 1 else "warning",
                    f"camera {name}, frames {frames}",
                    f"{len(group)} of {len(pictures)} sampled masks are {what}.",
                    f"Make them again (0..255, not 0..1), or leave the camera out with --skip-cameras {name}."
                    if share > 0.5
                    else "Make them again, or list them in missing_img_files.txt.",
                    share,
                    "share of the sample",
                )


def _ragged(exam: Examination, cameras: dict[int, list[Measured]]) -> Iterator[Finding]:
    for code, name, limit, what, advice in (
        ("mask-holes", "holes", HOLES, "of the mask is missing inside its outline",
         "Fill the holes, or train with --pipeline.model.losses.edge-band-px where they lie near the edge."),
        ("mask-crumbs", "crumbs", CRUMBS, "of the mask lies apart from the person (other people, stands, reflections)",
         "Keep the largest piece of each mask."),
        ("mask-soft", "soft", SOFT, "of the mask's area is half transparent",
         "Sharpen the mattes: everything from 128 counts as the person."),
    ):  # fmt: skip
        shares = {c: float(np.mean([getattr(p, name) for p in pictures])) for c, pictures in cameras.items()}
        bad = [c for c, share in shares.items() if share > limit]
        if bad:
            worst = max(bad, key=lambda c: shares[c])
            yield Finding(
                code,
                "warning",
                f"cameras {_names(exam, bad)}",
                f"{100 * shares[worst]:.1f}% {what} in camera {exam.capture.cameras[worst].name} (ordinary: under "
                f"{100 * limit:.0f}%).",
                advice,
                shares[worst],
                "share of the mask",
            )


def _static(exam: Examination, cameras: dict[int, list[Measured]]) -> Iterator[Finding]:
    """The same mask in every frame although the body moves."""
    frozen = []
    for c, pictures in cameras.items():
        shadows_move = any((p.shadow != pictures[0].shadow).any() for p in pictures)
        masks_move = any((p.mask != pictures[0].mask).any() for p in pictures)
        if len(pictures) >= 3 and shadows_move and not masks_move and pictures[0].mask.any():
            frozen.append(c)
    if frozen:
        yield Finding(
            "mask-static",
            "error" if 2 * len(frozen) > len(cameras) else "warning",
            f"cameras {_names(exam, frozen)}",
            "every sampled mask is the same although the fitted body moves.",
            "Make the masks of each frame.",
            len(frozen) / len(cameras),
            "share of the cameras",
        )


def _exposure(exam: Examination, cameras: dict[int, list[Measured]]) -> Iterator[Finding]:
    """Each camera against the median of all, by the person's brightness in the same frames."""
    light = {}
    for c, pictures in cameras.items():
        known = [p for p in pictures if p.brightness and p.tint]
        if known:
            values = [(np.log2(p.brightness), *p.tint) for p in known if p.brightness and p.tint]
            light[c] = np.median(values, axis=0)
    if len(light) < 3:
        return
    middle = np.median(list(light.values()), axis=0)
    stops = {c: float(v[0] - middle[0]) for c, v in light.items() if abs(v[0] - middle[0]) > STOPS}
    for c, value in stops.items():
        yield Finding(
            "exposure",
            "warning",
            f"camera {exam.capture.cameras[c].name}",
            f"the person is {abs(value):.1f} stops {'brighter' if value > 0 else 'darker'} than in the median camera.",
            "Equalise the exposure of the pictures: the avatar has one colour for all cameras.",
            value,
            "stops",
        )
    for c, values in light.items():
        red, blue = (float(values[k] / middle[k] - 1) for k in (1, 2))
        if max(abs(red), abs(blue)) > TINT:
            worst, colour = max((abs(red), "red"), (abs(blue), "blue"))
            signed = red if colour == "red" else blue
            yield Finding(
                "white-balance",
                "warning",
                f"camera {exam.capture.cameras[c].name}",
                f"the person has {100 * worst:.0f}% {'more' if signed > 0 else 'less'} {colour} than in the median "
                f"camera.",
                "Equalise the white balance of the pictures.",
                signed,
                f"relative {colour}",
            )
