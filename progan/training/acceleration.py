"""Losses as compiled code, with the same results but for rounding, and what to do without."""

import shutil
from collections.abc import Callable
from typing import Any

import torch

from progan.config import Run
from progan.training.losses import PLAIN, Losses

# Every level, faded in or not, is compiled by itself; torch gives up on the ninth by default.
MOST_VARIANTS = 1024


def chosen(run: Run, device: torch.device) -> tuple[str, str]:
    """How a run is accelerated on a device, 'eager' or 'compile', and a line that says why not as
    it was asked for; '' if it is.

    `auto` is eager: what compiled code wins on a CPU in an hour is little more than its
    compilation takes, and on CUDA nobody has measured it yet (docs/performance.md).
    """
    asked = run.acceleration
    if asked in ("auto", "eager"):
        return "eager", ""
    why = ("layers that draw random numbers would draw others in compiled code"
           if run.random_layers else _no_compiler(device))
    return ("eager", _instead(asked, why)) if why else ("compile", "")


def losses(run: Run, device: torch.device, report: Callable[[str], None]) -> Losses:
    """The losses of a training as --acceleration has them, or plain ones and a line of report."""
    how, why = chosen(run, device)
    if why:
        report(why)
    if how == "eager":
        return PLAIN
    torch._dynamo.config.recompile_limit = MOST_VARIANTS
    torch._dynamo.config.accumulated_recompile_limit = MOST_VARIANTS
    return Losses(*(Compiled(function, report) for function in PLAIN))


class Compiled:
    """A function of the step as compiled code; the function itself if it cannot be compiled.

    As it changes nothing and draws no random numbers, it can be called again.
    """

    def __init__(self, function: Callable[..., Any], report: Callable[[str], None]
                 ) -> None:
        self._function, self._report = function, report
        self._compiled: Callable[..., Any] | None = torch.compile(function, fullgraph=True,
                                                                  dynamic=False)

    def __call__(self, *arguments: Any) -> Any:
        if self._compiled is not None:
            try:
                return self._compiled(*arguments)
            except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError
                    ) as error:
                self._report(_instead("compile", f"{self._function.__name__} cannot be compiled "
                                      f"({_first_line(error)})"))
                self._compiled = None
        return self._function(*arguments)


def _no_compiler(device: torch.device) -> str:
    """Why nothing can be compiled for a device; '' if it can."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return "" if has_triton() else "torch finds no Triton that works with this GPU"
    if device.type == "cpu":
        found = any(shutil.which(name) for name in ("g++", "clang++", "cl"))
        return "" if found else "there is no C++ compiler (g++ or clang++)"
    return f"torch compiles nothing for {device.type}"


def _instead(asked: str, why: str) -> str:
    return f"--acceleration {asked}: {why}. Eager code takes its place, with the same results."


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]
