"""Figures in tables of the documentation are those of the benchmarks' files, rounded."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def results(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "tests" / "bench" / "results" / f"{name}.json").read_text())


def rows(document: str, heading: str) -> dict[str, list[str]]:
    """The table whose first column is called so: the other cells by the first one, without back quotes."""
    lines = (ROOT / document).read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(f"| {heading} |")]
    assert len(starts) == 1, f"{document} has {len(starts)} tables of '{heading}'"
    out: dict[str, list[str]] = {}
    for line in lines[starts[0] + 2 :]:
        if not line.startswith("|"):
            return out
        first, *cells = (cell.strip().replace("`", "") for cell in line.strip("|").split("|"))
        out[first] = cells
    return out


def assert_is(shown: str, value: float, what: str) -> None:
    """The number in the cell is the value, rounded to as many digits as the cell has."""
    found = re.fullmatch(r"(-?\d+(?:\.\d+)?)(?: \w+)?", shown)
    assert found, f"{what}: expected a number, found '{shown}'"
    digits = -int(Decimal(found[1]).as_tuple().exponent)
    assert float(found[1]) == pytest.approx(value, abs=0.5001 * 10**-digits), f"{what}: {shown}, measured {value}"


def test_what_the_presets_cost() -> None:
    measured, shown = results("bundle"), rows("README.md", "`--quality`")
    assert list(shown) == ["high", "balanced", "small"]
    for name, cells in shown.items():
        for cell, key in zip(cells, ("mb", "psnr_loss_db", "perceptual_loss"), strict=True):
            assert_is(cell, measured[f"{name}_{key}"], f"README.md, {name}, {key}")


def test_what_fine_tuning_gains() -> None:
    shown = rows("README.md", "rounded as")
    keys = ("plain_mb", "plain_to_exact_psnr_db", "tuned_mb", "tuned_to_exact_psnr_db", "plain_psnr_loss_db",
            "tuned_psnr_loss_db")  # fmt: skip
    measured = results("bundle")["fine_tune"]
    assert [row["precision"] for row in measured] == list(shown)
    for row in measured:
        for cell, key in zip(shown[row["precision"]], keys, strict=True):
            assert_is(cell, row[key], f"README.md, {row['precision']}, {key}")


def test_what_other_formats_keep() -> None:
    measured, shown = results("exchange")["formats"], rows("docs/exchange.md", "of the sample")
    assert {f".{name}" for name in measured if not name.startswith("skinned")} == set(shown)
    for name, cells in shown.items():
        for cell, key in zip(cells, ("size_mb", "psnr_crop_worst_db"), strict=True):
            assert_is(cell, measured[name.removeprefix(".")][key], f"docs/exchange.md, {name}, {key}")
