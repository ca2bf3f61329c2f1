"""Plays videos of the free stream to a live run with budgets of time: frames in time, frames dropped, error.

    python benchmarks/live.py --budgets 66 133 250 --fps 15

Every frame is enlarged to 1280x720, and BlazePose's tracker looks at it, so that its time counts. The 2D points are
those of the stream with a detector's errors, because drawn people are no test of BlazePose: what is measured is time,
and what the steps that are left out cost in error. Boxes are filtered causally from these points, as in every live run.
The network is the small start model of the stream. ``--config`` names the adaptation: ``boa/r18_until`` (plain steps)
or ``boa/r18_wild`` (the paper's bilevel steps, of which one takes as long as three of the others).

The clock of the run is the processor time of this process on one thread, so that other programs of this machine do not
count, except by what they take from its caches; waiting for the next frame advances it. ``--wall`` takes the time of
the day. Errors are MPJPE of the protocol ``open`` over the frames of the video; a dropped frame has the body of the
frame before it, as on a screen. ``frozen`` and ``offline`` are the start model and the whole adaptation on every
frame, with the boxes of the data set and without a clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence as SequenceOf
from typing import Any, Optional

import cv2
import measuring
import numpy as np
import torch

from hrtk.adapters import Adapter
from hrtk.adapters.run import AdapterRun, copied_weights
from hrtk.apis.adaptation import load_config
from hrtk.apis.live import StreamingRunner, play
from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.detectors import BlazePose, Detector, Findings
from hrtk.engine.computing import seed_generators
from hrtk.evaluation.functional import mpjpe
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, DATASETS, ESTIMATORS
from hrtk.structures import Prediction, Sequence

WIDTH, HEIGHT = 1280, 720
PELVIS = joint_names('h36m17').index('pelvis_mocap')


class Clock:
    """Processor time of this process, and what was waited.

    Args:
        wall: the time of the day instead.
    """

    def __init__(self, wall: bool) -> None:
        self.wall = wall
        self.waited = 0.0

    def __call__(self) -> float:
        if self.wall:
            return time.perf_counter()
        return time.process_time() + self.waited

    def sleep(self, seconds: float) -> None:
        if self.wall:
            time.sleep(seconds)
        else:
            self.waited += seconds


class StreamCamera:
    """A sequence, enlarged, played at a rate; frames that come while the reader is busy are dropped."""

    def __init__(self, sequence: Sequence, fps: float, clock: Clock) -> None:
        self.images = []
        for t in range(len(sequence)):
            self.images.append(enlarged(sequence.frames[t]))
        self.fps = fps
        self.clock = clock
        self.dropped = 0
        self.index = -1
        self.start: Optional[float] = None

    def read(self) -> Optional[tuple[np.ndarray, float]]:
        if self.start is None:
            self.start = self.clock()
        passed = self.clock() - self.start
        index = int(passed * self.fps)
        if index <= self.index:
            index = self.index + 1
            self.clock.sleep(max(index / self.fps - passed, 0.0))
        if index >= len(self.images):
            return None
        self.dropped += index - self.index - 1
        self.index = index
        return self.images[index], index / self.fps

    def close(self) -> None:
        pass


class StreamPoints(Detector):
    """BlazePose at work on the frame, whose findings are replaced by the points of the stream."""

    source = 'noise:detector'
    skeleton = 'coco17'

    def __init__(self, blazepose: BlazePose, sequence: Sequence, fps: float) -> None:
        scale, offset = placing(sequence.frames[0])
        xy = sequence.keypoints2d.xy * scale + torch.tensor(offset)
        points = torch.cat([xy, sequence.keypoints2d.confidence[..., None]], dim=-1)
        self.points = points.numpy()
        self.tracker = blazepose.session(fps)
        self.camera: Optional[StreamCamera] = None

    def session(self, fps: Optional[float], state: Any = None) -> StreamPoints:
        return self

    def __call__(self, image: np.ndarray) -> Findings:
        assert self.camera is not None
        self.tracker(image)
        return Findings(self.points[self.camera.index][None], (1,))


def placing(image: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Scale and offset of an image in the middle of the large frame."""
    height, width = image.shape[:2]
    scale = min(HEIGHT / height, WIDTH / width)
    left = (WIDTH - round(width * scale)) // 2
    top = (HEIGHT - round(height * scale)) // 2
    return scale, (left + (scale - 1) / 2, top + (scale - 1) / 2)


def enlarged(image: np.ndarray) -> np.ndarray:
    scale, _ = placing(image)
    height, width = image.shape[:2]
    inner = cv2.resize(image, (round(width * scale), round(height * scale)))
    frame = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    top = (HEIGHT - inner.shape[0]) // 2
    left = (WIDTH - inner.shape[1]) // 2
    frame[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return frame


def joints(rotmat: torch.Tensor, betas: torch.Tensor, body: BodyModel) -> np.ndarray:
    """(F, 14, 3) metres about the pelvis."""
    with torch.no_grad():
        points = body.joints(rotmat, betas, 'lsp14')
        root = body.joints(rotmat, betas, 'h36m17')[:, PELVIS : PELVIS + 1]
    return (points - root).numpy()


def error(bodies: SequenceOf[Prediction], sequence: Sequence, body: BodyModel) -> float:
    """Mean MPJPE, mm, of a body per frame."""
    shown = Prediction.cat(list(bodies))
    truth = sequence.truth
    found = joints(shown.rotmat, shown.betas, body)
    return float(mpjpe(found, joints(truth.rotmat, truth.betas, body)).mean())


def run_live(
    estimator: Estimator,
    adapter: Adapter,
    blazepose: BlazePose,
    sequence: Sequence,
    budget: float,
    args: argparse.Namespace,
) -> dict[str, Any]:
    clock = Clock(args.wall)
    camera = StreamCamera(sequence, args.fps, clock)
    points = StreamPoints(blazepose, sequence, args.fps)
    points.camera = camera
    runner = StreamingRunner(
        estimator, adapter, points, fps=args.fps, budget=budget, name=sequence.name, clock=clock
    )
    shown: dict[int, Prediction] = {}

    def keep(seconds: float, people: list) -> None:
        if people:
            shown[camera.index] = people[0].prediction

    report = play(runner, camera, (), on_frame=keep)
    first = shown[min(shown)]
    bodies = []
    for t in range(len(sequence)):
        first = shown.get(t, first)
        bodies.append(first)
    return dict(
        late=(np.array(report.latencies) > budget / 1000).tolist(),
        latencies=report.latencies,
        steps=report.steps,
        dropped=report.dropped,
        error=error(bodies, sequence, estimator.required_body),
    )


def plain(estimator: Estimator, adapter: Adapter, sequence: Sequence) -> float:
    """MPJPE of a run over the file."""
    start = copied_weights(estimator)
    seed_generators(0, sequence.name)
    bodies = [each.detach() for each in AdapterRun(adapter, estimator).run(sequence)]
    estimator.load_state_dict(start)
    return error(bodies, sequence, estimator.required_body)


def main(arguments: Optional[SequenceOf[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--budgets', type=float, nargs='+', default=[66, 133, 250], metavar='MS')
    parser.add_argument('--config', default='boa/r18_until', help='(%(default)s)')
    parser.add_argument('--fps', type=float, default=15.0)
    parser.add_argument('--sequences', type=int, default=4)
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--seed', type=int, default=0, help='of the stream (%(default)s)')
    parser.add_argument('--wall', action='store_true', help='the time of the day, two threads')
    args = parser.parse_args(arguments)
    torch.set_num_threads(2 if args.wall else 1)
    cfg = load_config(
        args.config,
        {
            'dataset.sequences': args.sequences,
            'dataset.frames': args.frames,
            'dataset.seed': args.seed,
            'dataset.fps': args.fps,
        },
    )
    dataset = DATASETS.build(cfg.dataset)
    estimator = ESTIMATORS.build(cfg.estimator).eval()
    adapter = ADAPTERS.build(cfg.adapter)
    source = ADAPTERS.build(dict(type='Source'))
    blazepose = BlazePose()
    results: dict[str, list] = {name: [] for name in ('frozen', 'offline')}
    for budget in args.budgets:
        results[f'{budget:g}'] = []
    for index in range(len(dataset)):
        sequence = dataset[index]
        results['frozen'].append(plain(estimator, source, sequence))
        results['offline'].append(plain(estimator, adapter, sequence))
        pair = f'{results["frozen"][-1]:.1f} frozen, {results["offline"][-1]:.1f} offline'
        print(f'{sequence.name}: MPJPE {pair}', flush=True)
        for budget in args.budgets:
            found = run_live(estimator, adapter, blazepose, sequence, budget, args)
            results[f'{budget:g}'].append(found)
            within = 1 - np.mean(found['late'])
            print(
                f'{sequence.name}, {budget:g} ms: {within:.3f}, {found["error"]:.1f} mm', flush=True
            )
    print('frozen', table_row(results['frozen']))
    print('offline', table_row(results['offline']))
    for budget in args.budgets:
        _print_budget(budget, results[f'{budget:g}'])


def table_row(errors: list[float]) -> str:
    return f'MPJPE {np.mean(errors):.1f} mm, of the videos {np.round(errors, 1).tolist()}'


def _print_budget(budget: float, runs: list[dict[str, Any]]) -> None:
    latencies = np.concatenate([run['latencies'] for run in runs])
    late = np.concatenate([run['late'] for run in runs])
    steps = np.concatenate([run['steps'] for run in runs])
    dropped = sum(run['dropped'] for run in runs)
    print(
        f'{budget:g} ms: {100 * (1 - late.mean()):.1f} % of {len(late)} frames within, {dropped} dropped, median '
        f'{1000 * np.median(latencies):.0f} ms, {steps.mean():.2f} steps,',
        table_row([run['error'] for run in runs]),
    )
    measuring.record(f'live, {budget:g} ms: median latency', 1000 * float(np.median(latencies)))


if __name__ == '__main__':
    main()
