"""The parts and tasks of `benchmarks/gpu.py`, for a GPU and for a rehearsal on the CPU."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.isolated import Part, Task
from progan import presets
from progan.config import Run, override


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Size of the measurements: full networks on a GPU, tiny ones in a rehearsal.

    Resolutions are in the order of their priority: 1024x1024 takes most of a training.
    """

    run: Run
    precisions: tuple[str, ...]
    resolutions: tuple[int, ...]
    compiled: tuple[int, ...]  # resolutions whose compiled steps are measured
    compiled_later: tuple[int, ...] = ()  # if there is time, or in a second call
    compared: tuple[int, ...] = (4, 8, 16, 32)
    eager_ways: tuple[str, ...]
    compiled_ways: tuple[str, ...]
    compiled_precision: str
    tuned: tuple[int, ...]  # resolutions also timed with cudnn.benchmark
    peer_resolutions: tuple[int, ...]
    peer_ways: tuple[str, ...]
    way_seconds: float  # for each variant at a resolution
    matrix_side: int  # size of the matrix products that measure the ceiling
    backend: str = "inductor"
    least_compile_seconds: float = 1.0
    least_training_seconds: float = 1.0
    most_training_seconds: float = 3600.0
    training: dict[str, Any] = field(default_factory=dict)  # options of the preset `demo`
    training_resolutions: tuple[int, ...]  # the first that there is time for
    worthwhile_kimg: float  # least training for a resolution to be chosen
    training_way: str
    metric: str
    grid: str
    images: int  # in the dataset
    tested_files: int = 99  # files of tests that need a GPU
    workers: int
    data_images: int
    generated: tuple[tuple[int, int], ...]  # resolution, number of images


GPU = Scope(
    run=presets.preset("v2-1gpu"), precisions=("bf16", "tf32", "fp32", "fp16"),
    resolutions=(1024, 256, 64, 16, 512, 128, 32, 4, 8), compiled=(256, 1024, 64, 16),
    compiled_later=(512, 128, 32, 8, 4),
    eager_ways=("eager-bf16", "eager-graph-bf16", "eager-tf32", "eager-graph-tf32"),
    compiled_ways=("compile-bf16", "graph-bf16"), compiled_precision="bf16", tuned=(256, 1024, 64),
    peer_resolutions=(64, 256, 16), peer_ways=("eager-fp32", "eager-graph-bf16"), way_seconds=1.2,
    matrix_side=8192, least_compile_seconds=45.0, least_training_seconds=40.0,
    training_resolutions=(128, 64), worthwhile_kimg=300,
    training=dict(batch=32, fmap_base=1024, fmap_max=128), training_way="eager-graph-bf16",
    metric="swd2000", grid="16x8", images=6000, workers=8, data_images=4000,
    generated=((64, 512), (1024, 64)),
)  # fmt: skip
REHEARSAL = Scope(
    run=override(
        presets.preset("v2-1gpu"),
        {
            "resolution": 8, "latent_size": 8, "fmap_base": 16, "fmap_max": 4, "batch": 4,
            "batch_at": (), "stddev_group": 4, "tick_kimg_at": (),
        },
    ),
    precisions=("bf16", "fp32"), resolutions=(8, 4), compiled=(4,), compared=(4, 8),
    eager_ways=("eager-bf16", "eager-graph-fp32"), compiled_ways=("compile-fp32",),
    compiled_precision="fp32", tuned=(4,), peer_resolutions=(8,), peer_ways=("eager-fp32",),
    way_seconds=0.02, matrix_side=512, backend="eager", tested_files=1, most_training_seconds=2.0,
    training_resolutions=(32, 16), worthwhile_kimg=1e6,
    training=dict(batch=4, fmap_base=16, fmap_max=4, latent_size=8, stddev_group=4, threads=1),
    training_way="eager-fp32", metric="ms-ssim16", grid="4x2", images=32, workers=1, data_images=16,
    generated=((8, 4),),
)  # fmt: skip
SCOPES = {"cuda": GPU, "cpu": REHEARSAL}


class PortraitDataset(NamedTuple):
    """The dataset of the training: where, and how it is made."""

    path: Path
    resolution: int
    images: int
    workers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSettings:
    """Settings of the training of portraits.

    Attributes:
        output: Folder of the resulting images, curves and network.
        options: Options of train.py, besides those of the preset.
        resolutions: The first is chosen that there is time for `worthwhile_kimg` of; else the last.
        metric: As in train.py, e.g. 'swd2000'.
        grid: COLSxROWS of the generated images.
    """

    device: str
    dataset: PortraitDataset
    output: Path
    options: Mapping[str, Any]
    resolutions: Sequence[int]
    worthwhile_kimg: float
    way: str
    metric: str
    grid: str
    probe_seconds: float
    most_seconds: float


def plan(device: str, output: Path, peers: Sequence[Path]) -> list[Part]:
    """Return all parts in the order of their priority; their seconds add up to nine minutes."""
    scope = SCOPES[device]
    at = _TaskMaker(scope, device)
    data, portraits = _training_tasks(at, output)
    gpu_tests = Task(
        "tests", "benchmarks.gpu_correctness:run_gpu_tests", {"most_files": scope.tested_files}
    )
    return [
        Part("machine", 20, [at.machine()]),
        Part("correctness", 50, at.correctness()),
        Part("steps", 110, [*at.steps(scope.resolutions, scope.eager_ways), *at.cudnn_benchmark()]),
        # All at once: compilation takes processor time, and speed is measured later.
        Part(
            "compilation",
            110,
            [*at.compilation(scope.compiled), data],
            parallel=len(scope.compiled) + 1,
        ),
        Part("compiled steps", 50, at.steps(scope.compiled, scope.compiled_ways)),
        Part("training", 90, [portraits], least_seconds=scope.least_training_seconds),
        Part("tests", 40, [gpu_tests]),
        Part("peers", 40, at.peers(peers)),
        Part("data", 20, [at.data()]),
        Part("images", 10, at.generation()),
        # Only in a second call, as nine minutes are too short.
        Part(
            "other compilation",
            4,
            at.compilation(scope.compiled_later),
            parallel=5,
            least_seconds=scope.least_compile_seconds,
        ),
        Part("other compiled steps", 2, at.steps(scope.compiled_later, scope.compiled_ways)),
    ]


@dataclass(frozen=True, slots=True)
class _TaskMaker:
    """Makes the tasks of a scope on a device."""

    scope: Scope
    device: str

    def _task(self, name: object, function: str, **arguments: Any) -> Task:
        """Make a task of a function such as 'speed:time_steps', in benchmarks/gpu_speed.py."""
        arguments = {"device": self.device, **arguments}
        return Task(str(name), f"benchmarks.gpu_{function}", arguments)

    def _timing_task(self, name: object, function: str, **arguments: Any) -> Task:
        scope = self.scope
        return self._task(name, function, run=scope.run, way_seconds=scope.way_seconds, **arguments)

    def machine(self) -> Task:
        precisions, side = list(self.scope.precisions), self.scope.matrix_side
        return self._task("machine", "speed:measure_machine", precisions=precisions, side=side)

    def correctness(self) -> list[Task]:
        precisions, resolutions = list(self.scope.precisions), list(self.scope.compared)
        function = "correctness:compare_with_float64"
        return [
            *(
                self._task(f"float64 {each}", function, resolution=each, precisions=precisions)
                for each in resolutions
            ),
            self._task("graph", "correctness:compare_graph", resolutions=resolutions),
            self._task("resume", "correctness:compare_resumed"),
            self._task("batches", "correctness:compare_batches"),
        ]

    def steps(self, resolutions: Sequence[int], ways: Sequence[str]) -> list[Task]:
        options = {"ways": list(ways), "backend": self.scope.backend}
        return [
            self._timing_task(each, "speed:time_steps", resolution=each, **options)
            for each in resolutions
        ]

    def cudnn_benchmark(self) -> list[Task]:
        options = {"ways": list(self.scope.eager_ways[:1]), "cudnn_benchmark": True}
        names = {f"{each} cudnn.benchmark": each for each in self.scope.tuned}
        return [
            self._timing_task(name, "speed:time_steps", resolution=each, **options)
            for name, each in names.items()
        ]

    def compilation(self, resolutions: Sequence[int]) -> list[Task]:
        scope = self.scope
        options = {"precision": scope.compiled_precision, "backend": scope.backend}
        return [
            self._task(each, "speed:compile_steps", run=scope.run, resolution=each, **options)
            for each in resolutions
        ]

    def peers(self, checkouts: Sequence[Path]) -> list[Task]:
        options = {"checkouts": list(map(str, checkouts)), "ways": list(self.scope.peer_ways)}
        return [
            self._timing_task(each, "speed:time_peers", resolution=each, **options)
            for each in (self.scope.peer_resolutions if checkouts else ())
        ]

    def data(self) -> Task:
        return self._timing_task(
            "data",
            "speed:time_data",
            resolution=min(64, self.scope.run.network.resolution),
            images=self.scope.data_images,
            way=self.scope.eager_ways[0],
        )

    def generation(self) -> list[Task]:
        run, function = self.scope.run, "speed:time_generation"
        return [
            self._task(resolution, function, run=run, resolution=resolution, images=count)
            for resolution, count in self.scope.generated
        ]


def _training_tasks(at: _TaskMaker, output: Path) -> tuple[Task, Task]:
    """Return the tasks that create the dataset and that train on it.

    The dataset can be generated again, and is not among the results.
    """
    scope = at.scope
    resolution = max(scope.training_resolutions)
    folder = Path(tempfile.gettempdir()) / f"progan-portraits-{resolution}-{scope.images}"
    dataset = PortraitDataset(folder, resolution, scope.images, scope.workers)
    settings = TrainingSettings(
        device=at.device, dataset=dataset, output=output / "training", options=scope.training,
        resolutions=scope.training_resolutions, worthwhile_kimg=scope.worthwhile_kimg,
        way=scope.training_way, metric=scope.metric, grid=scope.grid,
        probe_seconds=scope.way_seconds / 4, most_seconds=scope.most_training_seconds,
    )  # fmt: skip
    module = "benchmarks.gpu_training"
    return (
        Task("portraits", f"{module}:create_dataset", {"dataset": dataset}),
        Task("training", f"{module}:train_portraits", {"settings": settings}),
    )
