"""A hand on the avatar while it trains: `python -m tests.bench.pose [--device cuda]`, merged into results/pose.json.

Two trainings of one capture run in this process, one with nerfstudio's viewer and one without; they take turns of some
seconds, paused in between. The tab is a process of its own that speaks the page's messages by viser's
package (tests/viser_tab.py); there is no browser.

`train_slowdown_share`: steps a second with a connected tab and nobody dragging, against the training without a
viewer; the median over the rounds. `drag_rerender_ms_gpu`: from a gizmo's message leaving the tab to the arrival there
of the first picture of that pose or a later one; 95 of 100 moves of a wrist at 30 a second are faster, in bursts with
rests between, while it trains; `_idle`: with training paused; `_nerfstudio`: with nerfstudio's renderer in the place of
ours. `drag_part_ms_*`: median and 95th percentile of the parts of the way, see `drag_latency.PARTS`.
`ik_error_mm_p99`, `drags_fuzzed`: the Python definition alone. Reachable targets anywhere in the range of a limb, and
dragged moves of which none may flip a joint, wrap a number or leave a range.
"""

import copy
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from nerfstudio.viewer.render_state_machine import RenderStateMachine

from nerfstudio_mobavatar import configs
from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.posing.ik import LIMBS, Skeleton, reach, world_joints
from nerfstudio_mobavatar.posing.limits import (
    LIMITS,
    conjugate,
    excess,
    multiply,
    quaternion,
    rotation_vector,
    widened,
)
from nerfstudio_mobavatar.viewer import control as control_module
from nerfstudio_mobavatar.viewer.skeleton import ROOT, VISER_PER_METRE
from tests.bench.common import command_line, device_name, write
from tests.bench.drag_latency import PARTS, Latencies, TabProcess
from tests.bench.train_speed import random_vgg
from tests.goldens.make_posing import random_pose, skeleton

WAIT_S = 300.0
HERTZ = 30.0


class Running:
    """A training in a thread of its own that goes on only in its turns; nerfstudio's own pause lies between them."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.steps, self.failed = trainer, 0, None
        self._iterate = trainer.train_iteration
        trainer.train_iteration = self._iteration
        trainer.save_checkpoint = lambda step: None
        trainer.training_state = "paused"
        self.thread = threading.Thread(target=self._train, daemon=True)
        self.thread.start()

    def _iteration(self, step: int) -> Any:
        result = self._iterate(step)
        self.steps += 1
        return result

    def _train(self) -> None:
        try:
            self.trainer.train()
        except BaseException as error:
            self.failed = error

    def go(self, is_on: bool) -> None:
        """Let it train, or pause it after the step that it is in."""
        if self.failed is not None:
            raise RuntimeError("the training failed") from self.failed
        self.trainer.training_state = "training" if is_on else "paused"
        if not is_on:
            with self.trainer.train_lock:
                pass

    def advance(self, steps: int) -> None:
        """Let it run for some steps."""
        end, until = time.monotonic() + WAIT_S, self.steps + steps
        self.go(True)
        while self.steps < until and self.failed is None:
            if time.monotonic() > end:
                raise RuntimeError(f"{steps} steps did not come within {WAIT_S:g} s")
            time.sleep(0.01)
        self.go(False)

    def rate(self, seconds: float, skip: float) -> float:
        """Steps a second over a turn of `seconds`, after the first `skip` seconds of it."""
        self.go(True)
        time.sleep(skip)
        before, start = self.steps, time.perf_counter()
        time.sleep(seconds)
        after, end = self.steps, time.perf_counter()
        self.go(False)
        return (after - before) / (end - start)

    def stop(self) -> None:
        self.trainer.stop_training = True
        self.thread.join(60)


def hinged_targets(body: Skeleton, count: int, rng: np.random.Generator) -> list[float]:
    """Millimetres by which targets that some pose in range reaches are missed, from any other pose."""
    misses = []
    names = list(LIMBS)
    for i in range(count):
        limb = LIMBS[names[i % len(names)]]
        start, goal = random_pose(rng), random_pose(rng)
        moved = start.pose.copy()
        moved[list(limb[:3])] = goal.pose[list(limb[:3])]
        target = world_joints(body, moved, start.transl)[1][limb.end]
        pose = start.pose
        at = world_joints(body, pose, start.transl)[1][limb.end]
        for step in range(1, 11):
            pose = reach(body, pose, start.transl, limb, at + step / 10 * (target - at))
        found = world_joints(body, pose, start.transl)[1][limb.end]
        misses.append(1e3 * float(np.linalg.norm(found - target)))
    return misses


def fuzz_drags(body: Skeleton, count: int, rng: np.random.Generator) -> int:
    """Wander with every hand and foot; the number of moves that flip a joint, wrap its numbers or leave its range."""
    wrong = 0
    for limb in LIMBS.values():
        edited = random_pose(rng)
        pose, transl = edited.pose, edited.transl
        bones = [body.rest[j] - body.rest[i] for i, j in zip(limb[:2], limb[1:3])]
        size = float(sum(np.linalg.norm(b) for b in bones))
        speed, target = np.zeros(3), world_joints(body, pose, transl)[1][limb.end]
        for _ in range(count // len(LIMBS)):
            at = world_joints(body, pose, transl)[1]
            out = target - at[limb.upper]
            far = float(np.linalg.norm(out))
            speed = 0.9 * speed + 0.004 * (rng.random((3, 3)).sum(0) - 1.5)
            if far > 1.1 * size or far < 0.25 * size:
                speed = (-0.01 if far > size else 0.01) * out / far
            target = target + speed
            after = reach(body, pose, transl, limb, target)
            dragged = float(np.linalg.norm(target - at[limb.end])) / size
            for j in limb[:3]:
                p, q = quaternion(pose[j]), quaternion(after[j])
                turned = float(np.linalg.norm(rotation_vector(multiply(conjugate(p), q))))
                numbers = float(np.linalg.norm(after[j] - pose[j]))
                wrong += turned > 0.9 + 6 * dragged or numbers > 2 * turned + 1e-6
                if j != limb.lower:
                    wrong += excess(q, LIMITS.bone[j], *widened(j, p)) > 1e-3
            pose = after
    return wrong


@dataclass(frozen=True)
class Bench:
    """Measure and write the figures."""

    device: Literal["cpu", "cuda"] = "cuda"
    preset: str = "mobavatar"
    data: Path | None = None
    """A capture; by default one is generated."""
    width: int = 768
    height: int = 1024
    """Pixels of the generated pictures."""
    gaussians: int = 0
    """0: the preset's."""
    resolution: int = 1024
    """Of the viewer."""
    warm_up: int = 60
    """Steps before the clock starts."""
    turn_s: float = 6.0
    rounds: int = 5
    bursts: int = 12
    """Drags of one second each, with rests between."""
    rest_s: float = 1.0
    drags: int = 10_000
    targets: int = 1_000
    parts: tuple[str, ...] = field(default=("ik", "viewer"))
    """`ik` runs on any processor, `viewer` needs the device."""

    def main(self) -> None:
        """Run the parts and merge the JSON."""
        if "ik" in self.parts:
            self._ik()
        if "viewer" in self.parts:
            with tempfile.TemporaryDirectory() as folder:
                vgg = random_vgg(Path(folder) / "torch")
                self._viewer(Path(folder), vgg)

    def _ik(self) -> None:
        body, rng = skeleton(), np.random.default_rng(11)
        misses = hinged_targets(body, self.targets, rng)
        wrong = fuzz_drags(body, self.drags, rng)
        if wrong:
            raise RuntimeError(f"{wrong} of {self.drags} dragged moves flip a joint, wrap a number or leave a range")
        write(
            "pose",
            {
                "ik_error_mm_p99": round(float(np.percentile(misses, 99)), 4),
                "ik_error_mm_max": round(max(misses), 4),
                "ik_targets": self.targets,
                "drags_fuzzed": self.drags,
                "drags_wrong": wrong,
                "ik_device": device_name("cpu"),
                "ik_command": command_line(),
            },
        )

    def _trainer(self, data: Path, output: Path, vis: str) -> Any:
        config: Any = copy.deepcopy(getattr(configs, self.preset).config)
        config.data, config.output_dir, config.experiment_name, config.timestamp = data, output, vis, "run"
        config.vis, config.machine.device_type, config.check_capture = vis, self.device, False
        config.max_num_iterations, config.steps_per_eval_image, config.steps_per_save = 10**6, 0, 10**9
        config.viewer.websocket_host, config.viewer.websocket_port = "127.0.0.1", 7107
        config.viewer.max_num_display_images, config.viewer.quit_on_train_completion = 8, True
        manager, model = config.pipeline.datamanager, config.pipeline.model
        manager.data = data
        if self.gaussians:
            model.avatar.num_gaussians, model.avatar.num_nodes = self.gaussians, self.gaussians // 20
        model.warmup_fraction = model.perceptual_fraction = 0.0
        model.prune_fraction = 2.0
        config.save_config()  # makes the folder that the viewer wants
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        return trainer

    def _viewer(self, folder: Path, vgg: str) -> None:
        data = self.data
        if data is None:
            data = folder / "capture"
            DemoData(data, 8, 6, self.width, self.height, device=self.device).main()
        plain = Running(self._trainer(data, folder / "runs", "tensorboard"))
        seen = Running(self._trainer(data, folder / "runs", "viewer+tensorboard"))
        viewer, model = seen.trainer.viewer_state, seen.trainer.pipeline.model
        viewer.control_panel._max_res.value = self.resolution
        for run in (plain, seen):
            run.advance(self.warm_up)
        url = f"http://127.0.0.1:{viewer.viser_server.get_port()}"
        figures = self._slowdown(plain, seen, url)
        plain.stop()
        latencies = Latencies(model.viewer_pose)
        for key in ("", "_idle"):
            figures |= self._drags(seen, url, latencies, key, self.bursts)
        about = {"viewer_device": device_name(self.device), "viewer_command": command_line(), "viewer_vgg": vgg}
        about |= {"viewer_gaussians": model.avatar.config.num_gaussians, "viewer_resolution_px": self.resolution}
        write("pose", figures | about)
        control_module.Renderer = lambda viewer, client: RenderStateMachine(viewer, VISER_PER_METRE, client)  # pyright: ignore
        write("pose", self._drags(seen, url, latencies, "_nerfstudio", self.bursts // 2))
        seen.stop()
        viewer.viser_server.stop()

    def _slowdown(self, plain: Running, seen: Running, url: str) -> dict[str, Any]:
        rates: dict[str, list[float]] = {"without": [], "closed": [], "watched": []}
        skip = 0.25 * self.turn_s
        pictures = 0
        for _ in range(self.rounds):
            rates["without"].append(plain.rate(self.turn_s, skip))
            rates["closed"].append(seen.rate(self.turn_s, skip))
            tab = self._open(seen, url)
            before = int(tab.ask("pictures"))
            rates["watched"].append(seen.rate(self.turn_s, skip))
            pictures += int(tab.ask("pictures")) - before
            self._close(seen, tab)
        ratio = np.array(rates["watched"]) / np.array(rates["without"])
        closed = np.array(rates["closed"]) / np.array(rates["without"])
        return {
            "train_slowdown_share": round(float(1 - np.median(ratio)), 4),
            "train_slowdown_share_of_rounds": [round(float(1 - x), 4) for x in ratio],
            "train_slowdown_share_no_tab": round(float(1 - np.median(closed)), 4),
            "train_steps_per_s_without_viewer": round(float(np.median(rates["without"])), 2),
            "train_steps_per_s_watched": round(float(np.median(rates["watched"])), 2),
            "pictures_per_s_watched": round(pictures / (self.rounds * (self.turn_s + skip)), 2),
        }

    def _open(self, seen: Running, url: str) -> TabProcess:
        viewer, known = seen.trainer.viewer_state, len(seen.trainer.viewer_state.render_statemachines)
        tab, end = TabProcess(url), time.monotonic() + 60
        while len(viewer.render_statemachines) <= known or not viewer.viser_server.get_clients():
            if time.monotonic() > end:
                raise RuntimeError("the tab did not connect within 60 s")
            time.sleep(0.05)
        time.sleep(1.0)  # the first pictures
        return tab

    def _close(self, seen: Running, tab: TabProcess) -> None:
        tab.close()
        end = time.monotonic() + 30
        while seen.trainer.viewer_state.render_statemachines and time.monotonic() < end:
            time.sleep(0.05)

    def _drags(self, seen: Running, url: str, latencies: Latencies, key: str, bursts: int) -> dict[str, Any]:
        """In a tab of its own."""
        tab = self._open(seen, url)
        latencies.watch(next(iter(seen.trainer.viewer_state.render_statemachines.values())))
        seen.go(key != "_idle")
        time.sleep(2.0)
        result = self._dragged(seen, tab, latencies, key, bursts)
        self._close(seen, tab)
        return result

    def _dragged(self, seen: Running, tab: TabProcess, latencies: Latencies, key: str, bursts: int) -> dict[str, Any]:
        control, where = seen.trainer.pipeline.model.viewer_pose, "gpu" if self.device == "cuda" else "cpu"
        self._burst(control, tab, latencies)
        rows = np.array([row for _ in range(bursts) for row in self._burst(control, tab, latencies)])
        ms = 1e3 * (rows[:, 6] - rows[:, 0])
        result: dict[str, Any] = {
            f"drag_rerender_ms_{where}{key}": round(float(np.percentile(ms, 95)), 1),
            f"drag_rerender_ms_median{key}": round(float(np.median(ms)), 1),
            f"drag_rerender_ms_max{key}": round(float(ms.max()), 1),
            f"drag_picture_height_px{key}": int(np.median(rows[:, 7])),
            f"drag_moves{key}": len(ms),
        }
        for part, spent in zip(PARTS, 1e3 * np.diff(rows[:, :7], axis=1).T):
            result[f"drag_part_ms_{part}{key}"] = [round(float(np.percentile(spent, q)), 1) for q in (50, 95)]
        return result

    def _burst(self, control: Any, tab: TabProcess, latencies: Latencies) -> list[list[float]]:
        """One drag of a second, and a rest."""
        now = control.session.now()
        wrist = world_joints(control.skeleton(), now.pose, now.transl)[1][LIMBS["left_hand"].end]
        x, y, z = VISER_PER_METRE * wrist
        tab.ask(f"drag {ROOT}/drag_left_hand {x} {y} {z} 1.0 {HERTZ} 0.8")
        time.sleep(self.rest_s)
        return latencies.take(tab)


if __name__ == "__main__":
    tyro.cli(Bench).main()
