"""The page for hours, in minutes: loads and disposals, losses of the graphics device, calls in any order, in Chromium.

`python -m tests.reliability.browser_soak` writes its figures into tests/bench/results/reliability.json.
It takes a while: WebGPU is drawn by the processor. What is counted, and where: `browser_soak.js`.

1. 200 loads and disposals with an element that stays, so that the graphics device stays, and 200 of the only element,
   whose device is closed each time. Growth is that of the JavaScript heap after a collection, of what it keeps outside
   of it (array buffers, elements), and of buffers, textures and query sets that were made and not destroyed.
2. 100 losses of the device: while nothing happens, while drawing, reading back, loading, adding, opening, rebuilding.
   Half of the time six minutes pass before the next one (by the page's clock), else the page may ask for another try,
   which it gets. It has survived when the picture is the one from before, to the bit.
3. 1,000 calls of the element's API, right ones and wrong ones, awaited or not. Nothing may be thrown but refusals with
   reasons, nothing may be uncaught, and afterwards the picture must be that of a fresh element that is told the same.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import tyro
from playwright.sync_api import Browser, CDPSession

from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from tests.bench.common import device_name, write
from tests.browser import AvatarPage, avatar_page, browser, serve
from tests.synthetic_avatar import SyntheticAvatar, walking_pose

HERE = Path(__file__).parent
DIST = Path(bundle.__file__).parent / "viewer" / "dist"
SIZE = 96
MEGABYTE = 1e6
CALL_MINUTES = 60


def make_site(folder: Path) -> Path:
    """A page without an element, two small avatars, two motions."""
    shutil.copytree(DIST, folder)
    page = (folder / "index.html").read_text()
    start, end = page.index("<mobile-avatar"), page.index("</mobile-avatar>") + len("</mobile-avatar>")
    (folder / "index.html").write_text(page[:start] + "<mobile-avatar></mobile-avatar>" + page[end:])
    for name, count in (("avatar", 400), ("small", 300)):
        avatar = SyntheticAvatar(num_gaussians=count, num_nodes=40, num_kept=50, num_parts=8)
        (folder / f"{name}.mobavatar").write_bytes(bundle.encode(avatar.build()))
    poses = [walking_pose(2 * np.pi * i / 10) for i in range(11)]
    pose_sequence.write(folder / "motion.pose.json", poses, list(range(11)))
    pose_sequence.write(folder / "wave.pose.json", poses[2:6], list(range(4)))
    rows = [{"name": n, "file": f"{f}.pose.json", "frames": c, "fps": 30} for n, f, c in
            (("Walking", "motion", 11), ("Waving", "wave", 4))]  # fmt: skip
    (folder / "motions.json").write_text(json.dumps(rows))
    assert cv2.imwrite(str(folder / "poster.jpg"), np.full((32, 24, 3), 128, np.uint8))
    return folder


@contextmanager
def soak_page(chrome: Browser, folder: Path) -> Iterator[AvatarPage]:
    """A tab with `window.soak`."""
    script = (HERE / "browser_soak.js").read_text()
    with serve(folder) as url, avatar_page(chrome, url, SIZE, SIZE, init_script=script) as tab:
        tab.page.set_default_timeout(60_000 * CALL_MINUTES)
        tab.page.wait_for_function("() => window.soak && window.mobavatar")
        yield tab


def held(session: CDPSession) -> dict[str, int]:
    """What the tab holds after two collections: bytes by kind, and numbers of nodes and listeners."""
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")
    counters = session.send("Memory.getDOMCounters")
    kinds = {"script": "usedSize", "outside": "backingStorageSize", "elements": "embedderHeapUsedSize"}
    return {name: int(heap.get(key, 0)) for name, key in kinds.items()} | {
        "nodes": counters["nodes"], "listeners": counters["jsEventListeners"]}  # fmt: skip


def loads(chrome: Browser, folder: Path, count: int, beside: bool, warm: int) -> dict[str, Any]:
    """Growth over `count` loads and disposals after `warm` ones: medians of its last third and its first."""
    with soak_page(chrome, folder) as tab:
        session = tab.page.context.new_cdp_session(tab.page)
        tab.page.evaluate("() => document.querySelector('mobile-avatar').remove()")
        if beside:
            tab.page.evaluate("() => soak.element().complete")
        done = warm
        tab.page.evaluate("([first, count]) => soak.cycles(first, count)", [0, warm])
        samples: list[dict[str, int]] = []
        while done < warm + count:
            step = max(1, count // 10)
            found = tab.page.evaluate("([first, count]) => soak.cycles(first, count)", [done, step])
            done += step
            samples.append(held(session) | found)
        assert tab.page.evaluate("() => soak.faults") == [] and tab.errors == [], (tab.errors, "faults")
    few = max(1, len(samples) // 3)
    ends = {key: (median(s[key] for s in samples[:few]), median(s[key] for s in samples[-few:])) for key in samples[0]}
    growth = {key: last - first for key, (first, last) in ends.items()}
    in_bytes = sum(growth[key] for key in ("script", "outside", "elements", "gpuBytes"))
    return {"cycles": done - warm, "growth_mb": round(in_bytes / MEGABYTE, 3), "growth": growth, "last": samples[-1]}


def lose_devices(chrome: Browser, folder: Path, count: int, seed: int = 1) -> dict[str, Any]:
    """Losses of the graphics device, and how many of them the page survived."""
    with soak_page(chrome, folder) as tab:
        found = tab.page.evaluate("([seed, count]) => soak.losses(seed, count)", [seed, count])
        return found | {"faults": tab.page.evaluate("() => soak.faults")}


def call_at_random(chrome: Browser, folder: Path, count: int, seed: int = 1) -> dict[str, Any]:
    """Calls of the API in random order."""
    with soak_page(chrome, folder) as tab:
        found = tab.page.evaluate("([seed, count]) => soak.random(seed, count)", [seed, count])
        return found | {"faults": tab.page.evaluate("() => soak.faults")}


@dataclass
class Soak:
    """Run all three and write the figures."""

    cycles: int = 200
    """Loads and disposals, each of the two kinds."""
    losses: int = 100
    calls: int = 1000
    seed: int = 1
    dry: bool = False
    """Print the figures and leave the figures file as it is."""

    def main(self) -> None:
        with TemporaryDirectory() as temporary, browser() as chrome:
            folder = make_site(Path(temporary) / "page")
            beside, alone = (loads(chrome, folder, self.cycles, kind, warm=10) for kind in (True, False))
            lost = lose_devices(chrome, folder, self.losses, self.seed)
            called = call_at_random(chrome, folder, self.calls, self.seed)
        figures = {
            "load_dispose_cycles": beside["cycles"] + alone["cycles"],
            "load_dispose_growth_mb": max(beside["growth_mb"], alone["growth_mb"]),
            "load_dispose_growth": {"beside_another": beside["growth"], "alone": alone["growth"]},
            "device_losses": self.losses,
            "device_losses_survived": lost["survived"],
            "device_loss_moments": lost["moments"],
            "api_calls_random": called["calls"],
            "api_calls_refused": called["refused"],
            "browser_soak_device": device_name("cpu"),
            "browser_soak_command": " ".join(["python -m tests.reliability.browser_soak", *sys.argv[1:]]),
        }
        troubles = [*lost["missed"], *lost["faults"], *called["mistakes"], *called["faults"]]
        troubles += [] if called["isSame"] is True else [f"after the calls: {called['isSame']}"]
        print(json.dumps(figures, indent=1), *troubles, sep="\n")
        if troubles:
            sys.exit(f"{len(troubles)} troubles, nothing was written")
        if not self.dry:
            write("reliability", figures)


if __name__ == "__main__":
    tyro.cli(Soak).main()
