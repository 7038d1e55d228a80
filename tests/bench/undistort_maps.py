"""Memory of loading processes that undistort a capture's pictures, each with tables of its own and with shared ones.

`python -m tests.bench.undistort_maps` merges into results/train_speed.json: gigabytes of all processes together
(proportional set size, so that what they share counts once) and seconds until each has every table.
"""

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import cv2
import numpy as np
import psutil

from nerfstudio_mobavatar.freed_memory import give_memory_back, keep_freed_memory
from nerfstudio_mobavatar.images import CameraView, SharedUndistortMaps, UndistortMaps
from tests.bench.common import command_line, device_name, write


def view(name: str, width: int, height: int) -> CameraView:
    K = np.array([[1.2 * width, 0.0, width / 2], [0.0, 1.2 * width, height / 2], [0.0, 0.0, 1.0]])
    return CameraView(name, K, np.eye(4), width, height, np.array([-0.1, 0.05, 0.0, 0.0, 0.0]), width, height)


def load(maps: UndistortMaps, views: list[CameraView], pipe: Connection) -> None:
    keep_freed_memory()
    for one in views:
        maps.get(one)
    give_memory_back()
    pipe.send(None)
    pipe.recv()


def measure(maps: UndistortMaps, views: list[CameraView], processes: int) -> dict[str, float]:
    context, loaders = multiprocessing.get_context("fork"), []
    started = time.perf_counter()
    for _ in range(processes):
        own, other = context.Pipe()
        process = context.Process(target=load, args=(maps, views, other))
        process.start()
        loaders.append((process, own))
    for _, pipe in loaders:
        pipe.recv()
    seconds = time.perf_counter() - started
    this = psutil.Process()
    memory = sum(process.memory_full_info().pss for process in (this, *this.children()))
    for process, pipe in loaders:
        pipe.send(None)
        process.join()
    return {"memory_gb": round(memory / 2**30, 2), "seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=12)
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--width", type=int, default=1500)
    parser.add_argument("--height", type=int, default=2048)
    a = parser.parse_args()
    cv2.setNumThreads(0)  # its threads do not survive a fork
    views = [view(str(i), a.width, a.height) for i in range(a.cameras)]
    result: dict[str, Any] = vars(a) | {"device": device_name("cpu"), "command": command_line()}
    result |= {"own": measure(UndistortMaps(), views, a.processes)}
    result |= {"shared": measure(SharedUndistortMaps(views), views, a.processes)}
    write("train_speed", {"undistort_maps": result})


if __name__ == "__main__":
    main()
