"""Whether online adapters drift: ``python benchmarks/long_video.py boa/r18_until``.

The longest motion of the free wild stream is played forward and then backward, 1360 frames at 30 fps with the default
options, and every config adapts to it as to one video. Printed are the MPJPE frozen and adapted, and the share of
frames that became more than 5 mm worse, of the whole video and of its quarters. The keypoints of a frame are the same
on the way back.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrtk.apis import adapt, load_config
from hrtk.datasets import OpenStream, SequenceDataset
from hrtk.evaluation.alignment import RootAligner
from hrtk.evaluation.functional import mpjpe
from hrtk.evaluation.protocols import get_protocol
from hrtk.registry import DATASETS, ESTIMATORS
from hrtk.results import BEFORE
from hrtk.structures import Frames, Sequence

WORSE = 5.0  # mm
QUARTERS = 4


class Ordered:
    """Frames in another order.

    Args:
        frames: the frames.
        order: index of every frame.
    """

    def __init__(self, frames: Frames, order: list[int]) -> None:
        self.frames = frames
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.frames[self.order[index]]


@DATASETS.register_module()
class ThereAndBack(SequenceDataset):
    """One video of the free wild stream, forward and then backward.

    Args:
        frames: on the way there.
        seed, fps: of the stream.
    """

    def __init__(self, frames: int = 680, seed: int = 0, fps: float = 30.0) -> None:
        self.stream = OpenStream('wild', sequences=1, frames=frames, fps=fps, seed=seed)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sequence:
        if index:
            raise IndexError(index)
        sequence = self.stream[0]
        there = list(range(len(sequence)))
        order = there + there[::-1]
        keypoints = sequence.keypoints2d
        truth = sequence.truth
        assert truth is not None
        tensors: dict[str, Any] = {
            name: value[order] for name, value in vars(truth).items() if torch.is_tensor(value)
        }
        return Sequence(
            name=f'{sequence.name}_and_back',
            frames=Ordered(sequence.frames, order),
            boxes=sequence.boxes[order],
            keypoints2d=dataclasses.replace(
                keypoints, xy=keypoints.xy[order], confidence=keypoints.confidence[order]
            ),
            truth=dataclasses.replace(truth, **tensors),
            fps=sequence.fps,
        )

    def fingerprint(self) -> dict[str, str]:
        return self.stream.fingerprint()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('configs', nargs='+')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--frames', type=int, default=680, help='on the way there')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/long_video'))
    args = parser.parse_args(arguments)
    print('| | frozen, adapted, mm | worse | quarters: frozen, mm | adapted, mm | worse | ms |')
    print('| --- | --- | --- | --- | --- | --- | --- |')
    for name in args.configs:
        print(measure(name, args), flush=True)


def measure(name: str, args: argparse.Namespace) -> str:
    """Adapts to the video and returns a row in markdown."""
    dataset = dict(type='ThereAndBack', frames=args.frames, seed=args.seed, _delete_=True)
    options = {'dataset': dataset, 'outputs': None, 'randomness.seed': args.seed}
    config = load_config(name, options)
    folder = args.out / f'{name.replace("/", "_")}-{args.seed}-{args.frames}'
    metrics = adapt(config, work_dir=folder)
    (path,) = folder.glob('results/*/*.npz')
    arrays = dict(np.load(path))
    frozen, adapted = _errors(config, arrays)
    worse = adapted > frozen + WORSE
    quarters = [
        ', '.join(f'{part.mean():.0f}' for part in np.array_split(values, QUARTERS))
        for values in (frozen, adapted, 100.0 * worse)
    ]
    milliseconds = metrics[f'{config.adapter.type}/ms_per_frame']
    return (
        f'| {name} | {frozen.mean():.1f}, {adapted.mean():.1f} | {100 * worse.mean():.1f} % | {quarters[0]} | '
        f'{quarters[1]} | {quarters[2]} % | {milliseconds:.0f} |'
    )


@torch.no_grad()
def _errors(config: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """MPJPE of every frame, mm: frozen and adapted."""
    body = ESTIMATORS.build(dict(config.estimator)).required_body
    aligner = RootAligner(get_protocol('open'), None)
    sequence = DATASETS.build(dict(config.dataset))[0]
    truth = aligner.truth(body, sequence.truth, slice(None)).joints.numpy()
    errors = []
    for prefix in (BEFORE, ''):
        rotmat, betas = (torch.from_numpy(arrays[prefix + name]) for name in ('rotmat', 'betas'))
        joints = aligner.prediction(body, rotmat, betas, meshes=False).joints.numpy()
        errors.append(mpjpe(joints, truth))
    return errors


if __name__ == '__main__':
    main()
