"""Milliseconds of a training step: `python -m tests.bench.train_speed [--device cuda] [--key before]`.

A generated capture goes through nerfstudio's own training loop (`Trainer.train`, tensorboard on). Two figures: the
step on whole pictures that are on the device already (4 cameras of one pose, every loss term), and the shipped
preset's real step, data stream and crops included: while pictures are shown for the first time, and after, when what
is cut out of them is kept; both with and without lens distortion. The weights of VGG16 cannot be
had everywhere: where they are absent, random ones of the same shape are timed, and the file says so. Several GPUs:
start it with torchrun.
Merges into results/train_speed.json.
"""

import argparse
import copy
import gc
import json
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist

from nerfstudio_mobavatar import configs, loading, losses
from nerfstudio_mobavatar import model as model_module
from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.pipeline import MobavatarPipeline
from tests.bench.common import RESULTS, command_line, device_name, write

WARM_UP = 60
"""Steps before the clock starts: compilation, allocator, workers, pinned memory."""


def random_vgg(folder: Path) -> str:
    """Point torch at random VGG16 weights where the real ones are absent; says which are used."""
    if losses.vgg_path().exists():
        return "ImageNet weights"
    from torchvision.models import vgg16

    os.environ["TORCH_HOME"] = str(folder)
    losses.vgg_path().parent.mkdir(parents=True, exist_ok=True)
    network = vgg16(weights=None).features
    torch.save({f"features.{k}": v for k, v in network.state_dict().items()}, losses.vgg_path())
    return "random weights of the same shape"


def make_trainer(data: Path, output: Path, args: argparse.Namespace, whole_pictures: bool, steps: int) -> Any:
    """nerfstudio's trainer of the preset with every loss term from the first step and no pruning on the way."""
    config: Any = copy.deepcopy(getattr(configs, args.preset).config)
    config.data, config.output_dir, config.experiment_name, config.timestamp = data, output, "speed", str(time.time())
    config.vis, config.machine.device_type, config.check_capture = "tensorboard", args.device, False
    config.max_num_iterations, config.steps_per_eval_image, config.steps_per_save = steps, 0, 10**9
    config.viewer.quit_on_train_completion = True
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data = data
    if args.gaussians:
        model.avatar.num_gaussians, model.avatar.num_nodes = args.gaussians, args.gaussians // 20
    if whole_pictures:
        manager.crop_margin, manager.dataparser.max_image_side = 10**4, 0
    if args.workers is not None:
        manager.num_workers = args.workers
    model.warmup_fraction = model.perceptual_fraction = 0.0
    model.prune_fraction = 2.0
    from nerfstudio.utils import writer  # not first: nerfstudio imports in circles

    gc.collect()  # what is left of the runs before
    writer.EVENT_WRITERS.clear()  # those of the runs before, which nerfstudio would go on writing to
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    on_gpus = args.device == "cuda"  # nerfstudio's own wrapping is for GPUs only
    trainer = config.setup(local_rank=rank if on_gpus else 0, world_size=world if on_gpus else 1)
    trainer.setup()
    if world > 1 and not on_gpus:
        pipeline: MobavatarPipeline = trainer.pipeline
        pipeline.world_size = pipeline.datamanager.world_size = world
        pipeline._wrap(None, all_used=True)
    return trainer


def keep_on_device(trainer: Any) -> None:
    """The same two steps' pictures for ever: no data to wait for."""
    manager = trainer.pipeline.datamanager
    ready = [manager.next_train(step) for step in range(2)]
    manager.stop_loading()
    manager.next_train = lambda step: ready[step % 2]


def distort(data: Path) -> None:
    """Give every camera a lens distortion, as real captures have: pictures then take longer to load."""
    path = data / "calibration_full.json"
    cameras = json.loads(path.read_text())
    for camera in cameras.values():
        camera["distCoeff"] = [-0.1, 0.05, 0.0, 0.0, 0.0]
    path.write_text(json.dumps(cameras))


class Clock:
    """Marks on the device's own time line (wall clock on a CPU)."""

    def __init__(self, device: str):
        self.cuda = device == "cuda"

    def mark(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def ms(self, start: Any, end: Any) -> float:
        return start.elapsed_time(end) if self.cuda else 1e3 * (end - start)


def timed_training(trainer: Any, clock: Clock, skip: int, around: Callable[[int], None] = lambda step: None) -> float:
    """Median milliseconds from one step's start to the next, in nerfstudio's loop."""
    marks: list[Any] = []
    one = trainer.train_iteration

    def iteration(step: int):
        marks.append(clock.mark())
        around(step)
        return one(step)

    trainer.train_iteration = iteration
    trainer.save_checkpoint = lambda step: None
    trainer.train()
    if clock.cuda:
        torch.cuda.synchronize()
    trainer.train_iteration = one
    marks = marks[skip:]
    return clock.ms(marks[0], marks[-1]) / (len(marks) - 1)


def stages(trainer: Any, clock: Clock, steps: range) -> dict[str, float]:
    """Mean milliseconds per step of each stage on the clock's time line; what is nested is taken out of what holds
    it. On the host's, a stage is what launching it takes, and `raster` includes the wait for the number of tiles."""
    spans: dict[str, list[tuple[Any, Any]]] = defaultdict(list)

    def wrap(name: str, call: Callable) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = clock.mark()
            result = call(*args, **kwargs)
            spans[name].append((start, clock.mark()))
            return result

        return timed

    model = trainer.pipeline.model
    decode = "decode" if hasattr(model.avatar, "decode") else "forward"
    places = [
        (trainer.pipeline.datamanager, "next_train", "data"),
        (model.avatar, decode, "decode"),
        (model_module, "rasterize", "raster"),
        (model, "perceptual", "perceptual"),
        (model, "get_metrics_dict", "metrics"),
        (model, "get_loss_dict", "losses"),
        (torch.Tensor, "backward", "backward"),
        (trainer.optimizers, "optimizer_scaler_step_some", "optimiser"),
        (trainer, "train_iteration", "step"),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, stage in places:
        setattr(owner, name, wrap(stage, getattr(owner, name)))
    for step in steps:
        trainer.train_iteration(step)
    for owner, name, value in before:
        setattr(owner, name, value)
    if clock.cuda:
        torch.cuda.synchronize()
    ms = {name: sum(clock.ms(a, b) for a, b in pairs) / len(steps) for name, pairs in spans.items()}
    ms["l1_and_regularisers"] = ms.pop("losses") - ms["perceptual"]
    ms["rest"] = 2 * ms["step"] - sum(ms.values())
    return {name: round(value, 2) for name, value in ms.items()}


def recorded(trainer: Any, steps: range) -> list[Any]:
    """Kernels and copies of these steps."""
    from torch.profiler import ProfilerActivity, profile

    for step in steps[:5]:  # loading processes start
        trainer.train_iteration(step)
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for step in steps[5:]:
            trainer.train_iteration(step)
        torch.cuda.synchronize()
    return [e for e in profiled.events() or [] if e.device_type.name == "CUDA"]


def busy_ms(events: list[Any], steps: int) -> tuple[float, dict[str, float]]:
    """Milliseconds of a step in which some kernel or copy runs on the GPU, and the longest kernels (ms a step)."""
    spans = sorted((e.time_range.start, e.time_range.end) for e in events)
    busy, reached = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    longest: dict[str, float] = defaultdict(float)
    for e in events:
        longest[e.name[:90]] += e.time_range.elapsed_us() / 1e3 / steps
    top = dict(sorted(longest.items(), key=lambda item: -item[1])[:40])
    kernels = {"kernels a step": len(events) / steps}
    return busy / 1e3 / steps, kernels | {k: round(v, 3) for k, v in top.items()}


def idle_ms(events: list[Any], steps: int) -> dict[str, float]:
    """Where the GPU has nothing to do: milliseconds a step between the kernel (or copy) before and the one after."""
    idle: dict[str, float] = defaultdict(float)
    reached, before = float("inf"), ""
    for e in sorted(events, key=lambda e: e.time_range.start):
        if e.time_range.start > reached:
            idle[f"{before[:60]} | {e.name[:60]}"] += (e.time_range.start - reached) / 1e3 / steps
        if before == "" or e.time_range.end > reached:
            reached, before = e.time_range.end, e.name
    longest = sorted(idle.items(), key=lambda item: -item[1])
    return {"in all": round(sum(idle.values()), 3)} | {k: round(v, 3) for k, v in longest[:15]}


class HostMemory:
    """Largest memory of this process and its workers (GB), looked at twice a second: their own, and what they share
    once (proportional set size)."""

    def __enter__(self) -> "HostMemory":
        self.peak, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(0.5):
            used = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    used += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, used / 2**30)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def compile_s() -> dict[str, float]:
    """Seconds that torch's compiler took for each function so far, by the order in which they were met."""
    from torch._dynamo.utils import get_compilation_metrics

    seconds: dict[str, float] = defaultdict(float)
    for m in get_compilation_metrics():
        seconds[f"{m.co_name}{'' if m.is_forward in (None, True) else ', gradient'}"] += (m.duration_us or 0) / 1e6
    return {name: round(value, 2) for name, value in seconds.items()}


def measure(data: Path, folder: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All figures of this process, as they come; with several processes rank 0's, whose steps wait for the others.
    The preset comes first: what comes later finds memory that is in use already."""
    if args.stream:
        yield from real_steps("", data, folder, args)
    yield step_on_device(data, folder, args)
    if args.stream:
        distort(data)
        yield from real_steps("_with_lens_distortion", data, folder, args)


def real_steps(lens: str, data: Path, folder: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Of later visits (the first ones are in the warm-up), and of first visits only."""
    for visits, scratch_gb in (("", 20.0), ("_first_visits", 0.0)):
        real = real_step(data, folder, args, scratch_gb)
        yield {f"{name}{visits}{lens}": value for name, value in real.items()}


def step_on_device(data: Path, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Whole pictures that are there already."""
    clock, started = Clock(args.device), time.perf_counter()
    trainer = make_trainer(data, folder, args, True, WARM_UP + args.steps)
    keep_on_device(trainer)
    result: dict[str, Any] = {"seconds_of_set_up": round(time.perf_counter() - started, 1)}
    if clock.cuda:
        torch.cuda.reset_peak_memory_stats()
    begun: list[float] = []
    step_ms = timed_training(trainer, clock, WARM_UP, around=lambda step: begun.append(time.perf_counter()))
    result["step_ms_4x1500x2048"] = round(step_ms, 2)
    result["seconds_to_second_step"] = round(begun[1] - started, 1)
    result["seconds_of_whole_run"] = round(time.perf_counter() - begun[0], 1)
    result["compile_s"] = compile_s()
    if clock.cuda:
        result["peak_gpu_gb"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    if dist.is_initialized():
        return result
    more = WARM_UP + args.steps
    result["stages_ms"] = stages(trainer, clock, range(more, more + 10))
    result["host_stages_ms"] = stages(trainer, Clock("cpu"), range(more, more + 10))
    if clock.cuda:
        # recording slows the host down, not the kernels: set against the step as it is without
        events = recorded(trainer, range(more + 10, more + 35))
        busy, kernels = busy_ms(events, 20)
        share = min(1.0, busy / result["step_ms_4x1500x2048"])
        result |= {"gpu_busy_ms": round(busy, 2), "gpu_busy_share": round(share, 3), "kernels_ms": kernels}
        result["gpu_idle_ms_while_recorded"] = idle_ms(events, 20)
    return result


def real_step(data: Path, folder: Path, args: argparse.Namespace, scratch_gb: float) -> dict[str, Any]:
    """The preset's step with its data stream; without scratch space every visit is a first one."""
    clock = Clock(args.device)
    trainer = make_trainer(data, folder, args, False, WARM_UP + args.steps)
    manager, waits = trainer.pipeline.datamanager, []
    manager.config.scratch_gb = scratch_gb
    take = manager._take

    def timed(step: int) -> Any:
        started = time.perf_counter()
        sample = take(step)
        waits.append(1e3 * (time.perf_counter() - started))
        return sample

    manager._take = timed
    result: dict[str, Any] = {}
    with HostMemory() as host:
        result["preset_real_step_ms"] = round(timed_training(trainer, clock, WARM_UP), 2)
    result["peak_host_gb"] = round(host.peak, 2)
    result["waits_for_data_ms"] = round(sum(waits[WARM_UP:]) / max(1, len(waits[WARM_UP:])), 2)
    if clock.cuda and not dist.is_initialized():
        more = WARM_UP + args.steps
        events = recorded(trainer, range(more, more + 25))
        busy = busy_ms(events, 20)[0]
        result["preset_gpu_busy_share"] = round(min(1.0, busy / result["preset_real_step_ms"]), 3)
        result["preset_gpu_idle_ms_while_recorded"] = idle_ms(events, 20)
        result["preset_host_stages_ms"] = stages(trainer, Clock("cpu"), range(more + 25, more + 45))
    manager.stop_loading()
    result["loading_processes"] = manager.num_workers()
    result["loading_processor_ms_a_step"] = loading_ms(manager)
    store = manager.step_dataset.store
    if store is not None:
        result["scratch_mb_a_picture"] = round(store.used_bytes() / max(1, store.num_kept()) / 1e6, 2)
        result["pictures_kept_share"] = round(store.num_kept() / store.pictures, 3)
    return result


def loading_ms(manager: Any, steps: int = 10) -> float:
    """Processor time that a step's pictures take on one core."""
    threads, dataset = torch.get_num_threads(), manager.step_dataset
    torch.set_num_threads(1)
    loading._whole(dataset[0])
    started = time.process_time()
    for step in range(1, 1 + steps):
        loading._whole(dataset[step])
    spent = 1e3 * (time.process_time() - started) / steps
    torch.set_num_threads(threads)
    return round(spent, 1)


def save(result: dict[str, Any], world: int, args: argparse.Namespace) -> None:
    """What there is so far."""
    known = json.loads((RESULTS / "train_speed.json").read_text()) if args.one_gpu_key is not None else {}
    if known and "step_ms_4x1500x2048" in result:
        one = (known[args.one_gpu_key] if args.one_gpu_key else known)["step_ms_4x1500x2048"]
        result["two_gpu_speedup"] = round(world * one / result["step_ms_4x1500x2048"], 2)
    values = {args.key: result} if args.key else dict(result)
    if "two_gpu_speedup" in result:
        values["two_gpu_speedup"] = result["two_gpu_speedup"]
    write("train_speed", values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--preset", default="mobavatar")
    parser.add_argument("--key", default="", help="merge under this key instead of at the top, e.g. `before`")
    parser.add_argument("--data", type=Path, help="a capture in the avatarrex layout; by default one is generated")
    parser.add_argument("--width", type=int, default=1500)
    parser.add_argument("--height", type=int, default=2048)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--gaussians", type=int, default=0, help="0: the preset's")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--one-gpu-key", help="with several GPUs: where the figure of one is, '' for the top")
    parser.add_argument("--no-stream", dest="stream", action="store_false")
    args = parser.parse_args()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        if args.device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if args.device == "cuda" else "gloo")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        vgg = random_vgg(folder / "torch")
        data = folder / "capture"
        if args.data is not None:
            shutil.copytree(args.data, data)
        else:
            DemoData(data, args.frames, 6, args.width, args.height, device=args.device).main()
        result = {"device": device_name(args.device), "command": command_line(), "torch": torch.__version__}
        result |= {"vgg": vgg, "gpus": world}
        for part in measure(data, folder / "runs", args):
            result |= part
            if not dist.is_initialized() or dist.get_rank() == 0:
                save(result, world, args)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
