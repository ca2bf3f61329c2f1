"""What the gate could decide, and what it decides: ``python benchmarks/gate_evidence.py boa/r18_until``.

For every config an adapter runs on videos of the free wild stream with some keypoints hidden, as inside ``DoNoHarm``,
and once more with all of them. Both predictions of every frame, the frozen ones, the keypoints and the hidden ones are
stored as one npz per video, so that rules of decision can be studied without a network. Printed are errors, the share
of frames worse than the frozen model by more than 5 mm, and the share of the gain of the ungated adapter that is kept:
for the frozen model, the adapter, the adapter with hidden keypoints, the gate, and an oracle that knows the truth and
takes the better prediction of every frame. Then the area under the ROC curve of what could tell frames that became
worse from the others: 1 if all bad frames have the larger value, 0 the smaller one, 0.5 for chance.

The seeds are those on which options may be chosen; report numbers of other seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from hrtk.adapters import DoNoHarm
from hrtk.adapters.base import predict
from hrtk.adapters.gate.blending import blend
from hrtk.adapters.gate.held_out import HeldOut, only_held_out, without_held_out
from hrtk.adapters.gate.judge import Judge, about_hips
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.parts.targets import crop_targets
from hrtk.adapters.run import AdapterRun
from hrtk.apis import load_config
from hrtk.cli.options import Options
from hrtk.engine.computing import seed_generators
from hrtk.evaluation.alignment import RootAligner
from hrtk.evaluation.functional import mpjpe
from hrtk.evaluation.protocols import get_protocol
from hrtk.registry import ADAPTERS, DATASETS, ESTIMATORS
from hrtk.structures import Prediction, Sequence

WORSE = 5.0  # mm
FIELDS = ('rotmat', 'betas', 'camera')
Arrays = dict[str, np.ndarray]


def record(config: Any, gate: DoNoHarm, sequence: Sequence, seed: int) -> Arrays:
    """The predictions and keypoints of one video."""
    estimator = ESTIMATORS.build(dict(config.estimator)).eval()
    adapter = ADAPTERS.build(dict(config.adapter))
    start = {name: value.clone() for name, value in estimator.state_dict().items()}
    seed_generators(seed, sequence.name)
    held = HeldOut(gate.keypoint_share, gate.frame_share, torch.initial_seed()).draw(sequence)
    with torch.no_grad():
        frozen = [predict(estimator, estimator.crops(sequence, [t])) for t in range(len(sequence))]
    arrays = _arrays('frozen', frozen)
    for name, shown in (('hidden', without_held_out(sequence, held)), ('ungated', sequence)):
        estimator.load_state_dict(start)
        seed_generators(seed, sequence.name)
        run = AdapterRun(adapter, estimator)
        arrays.update(_arrays(name, [prediction.detach() for prediction in run.run(shown)]))
    for name, shown in (('held', only_held_out(sequence, held)), ('all', sequence)):
        keypoints = crop_targets(shown)
        arrays[f'{name}_xy'] = keypoints.xy.numpy()
        arrays[f'{name}_confidence'] = keypoints.confidence.numpy()
    aligner = RootAligner(get_protocol('open'), None)
    body = estimator.required_body
    arrays['truth'] = aligner.truth(body, sequence.truth, slice(None)).joints.numpy()
    for name in ('frozen', 'hidden', 'ungated'):
        arrays[f'{name}_error'] = _errors(body, _prediction(arrays, name), arrays['truth'])
    return arrays


@torch.no_grad()
def decide(body: Any, gate: DoNoHarm, arrays: Arrays) -> tuple[np.ndarray, Arrays]:
    """The errors of the gated frames, and the evidence of every frame."""
    judge = Judge(gate.limits)
    frozen, adapted = (_prediction(arrays, name) for name in ('frozen', 'hidden'))
    posed = [PosedPrediction.of(each, body) for each in (frozen, adapted)]
    held, everything = (
        CropKeypoints(
            torch.from_numpy(arrays[f'{name}_xy']), torch.from_numpy(arrays[f'{name}_confidence'])
        )
        for name in ('held', 'all')
    )
    shares = []
    evidence: dict[str, list[float]] = {}
    for t in range(len(frozen)):
        frame = slice(t, t + 1)
        seen = judge.see(posed[0][frame], posed[1][frame], held[frame], everything[frame])
        shares.append(judge.decide(seen))
        numbers = {
            'support': judge.support(seen),
            'gain in 2D': seen.frozen_error - seen.adapted_error,
            'frozen 2D error': seen.frozen_error,
            'adapted 2D error': seen.adapted_error,
            'change of depth': seen.depth_change,
            'motion and bones': -seen.plausible,
        }
        for name, value in numbers.items():
            evidence.setdefault(name, []).append(float(value))
    moved = about_hips(posed[1].spin24_joints3d) - about_hips(posed[0].spin24_joints3d)
    evidence['change in 3D'] = moved.norm(dim=-1).mean(1).tolist()
    errors = _errors(body, blend(frozen, adapted, torch.cat(shares)), arrays['truth'])
    return errors, {name: np.array(values) for name, values in evidence.items()}


def area(values: np.ndarray, bad: np.ndarray) -> float:
    """Area under the ROC curve; NaN without both kinds."""
    count = int(bad.sum())
    if count in (0, len(bad)):
        return float('nan')
    ranks = rankdata(values)[bad].sum() - count * (count + 1) / 2
    return float(ranks / (count * (len(bad) - count)))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('configs', nargs='+')
    parser.add_argument('--seeds', type=int, nargs='+', default=[100, 101])
    parser.add_argument('--videos', type=int, default=3)
    parser.add_argument('--frames', type=int, default=20)
    parser.add_argument(
        '--keypoint-share', type=float, default=DoNoHarm.keypoint_share, help='share that is hidden'
    )
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/gate_evidence'),
        help='one for each choice of options',
    )
    args = parser.parse_args(arguments)
    for name in args.configs:
        report(name, args)


def report(name: str, args: argparse.Namespace) -> None:
    """Runs what is not stored yet, and prints the table of one config."""
    config = load_config(name, args.cfg_options)
    gate = DoNoHarm(adapter=dict(config.adapter), keypoint_share=args.keypoint_share)
    body = ESTIMATORS.build(dict(config.estimator)).required_body
    records = []
    gated, evidence = [], []
    for seed in args.seeds:
        sizes = dict(seed=seed, sequences=args.videos, frames=args.frames)
        dataset = DATASETS.build({**config.dataset, **sizes})
        for index in range(args.videos):
            run = f'{Path(name).parent.name}_{Path(name).stem}_{args.keypoint_share:g}'
            path = args.out / f'{run}_{seed}_{index}.npz'
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, **record(config, gate, dataset[index], seed))
            records.append(dict(np.load(path)))
            errors, found = decide(body, gate, records[-1])
            gated.append(errors)
            evidence.append(found)
    frozen, ungated, hidden = (
        np.concatenate([arrays[f'{key}_error'] for arrays in records])
        for key in ('frozen', 'ungated', 'hidden')
    )
    rows = {
        'frozen': frozen,
        'ungated': ungated,
        'with hidden keypoints': hidden,
        'gated': np.concatenate(gated),
        'oracle': np.minimum(frozen, hidden),
    }
    print(f'{name}, {len(frozen)} frames')
    for row, errors in rows.items():
        worse = 100 * np.mean(errors > frozen + WORSE)
        kept = 100 * (frozen - errors).mean() / (frozen - ungated).mean()
        print(f'  {row:24}{errors.mean():7.1f} mm {worse:6.1f} % worse {kept:6.0f} % of the gain')
    bad = hidden > frozen + WORSE
    for key in evidence[0]:
        print(f'  {key:24}{area(np.concatenate([each[key] for each in evidence]), bad):7.2f}')


def _arrays(name: str, predictions: list[Prediction]) -> Arrays:
    together = Prediction.cat(predictions)
    return {f'{name}_{field}': getattr(together, field).numpy() for field in FIELDS}


def _prediction(arrays: Arrays, name: str) -> Prediction:
    return Prediction(*(torch.from_numpy(arrays[f'{name}_{field}']) for field in FIELDS))


@torch.no_grad()
def _errors(body: Any, prediction: Prediction, truth: np.ndarray) -> np.ndarray:
    aligner = RootAligner(get_protocol('open'), None)
    joints = aligner.prediction(body, prediction.rotmat, prediction.betas, meshes=False).joints
    return mpjpe(joints.numpy(), truth)


if __name__ == '__main__':
    main()
