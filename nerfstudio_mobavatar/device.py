"""Getting the most out of a device: uploads that nobody waits for, and compilation where it pays."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor

Compile = Literal["auto", "on", "off"]
Function = TypeVar("Function", bound=Callable[..., Any])


def upload(value: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on the device. From the host to CUDA through pinned memory, so that neither side waits: a plain copy
    stops the host until the GPU has done everything before it."""
    if torch.device(device).type == "cuda" and value.device.type == "cpu":
        value = value.pin_memory()
    return value.to(device, non_blocking=True)


def resolve_compile(name: Compile, device: torch.device | str) -> bool:
    """Whether to compile with torch's own compiler. "auto": on CUDA, where its two needs, Triton and a C compiler, are
    there. Elsewhere compiling takes longer than it saves."""
    if name == "auto":
        has_tools = find_spec("triton") is not None and any(map(shutil.which, ("cc", "gcc", "clang")))
        return torch.device(device).type == "cuda" and has_tools
    return name == "on"


def describe_compile(name: Compile, device: torch.device | str) -> str:
    """One line for the log: what was taken and, where "auto" does without on CUDA, why."""
    if resolve_compile(name, device):
        return f"kernels: compiled by torch on {device} (half a minute, once; kept on disk)"
    lacking = name == "auto" and torch.device(device).type == "cuda"
    return f"kernels: torch's own on {device}" + ("; compiling needs Triton and a C compiler" if lacking else "")


def compiled(function: Function, wanted: bool, dynamic: bool = False) -> Function:
    """The function, compiled if so wanted; `dynamic` for one whose picture sizes change from step to step."""
    return cast(Function, torch.compile(function, dynamic=dynamic)) if wanted else function
