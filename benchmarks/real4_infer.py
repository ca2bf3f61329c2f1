"""Scores runs of ``hrtk infer`` on the videos of real4, from the pixels to bodies, against the 3D truth.

    for camera in cam01 cam02 cam03 cam04; do
        python tools/infer.py data/real4/videos/$camera.mp4 --adapt configs/track_fit/lifter_wild.py \\
            --output work_dirs/real4_infer/$camera
    done
    python benchmarks/real4_infer.py work_dirs/real4_infer/*

Every frame counts; bodies are turned by the viewing ray with the focal length of an unknown camera, as in the protocol
``real4_ray``. Printed are MPJPE and PA-MPJPE, mm, frozen and adapted, and the adapter's milliseconds per frame.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from hrtk.apis.look.stored import latest_folder, stored_body, stored_results
from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.datasets import Pose2SimProject
from hrtk.evaluation.functional import mpjpe, pa_mpjpe
from hrtk.geometry.camera import default_focal, image_middle, viewing_rotation
from hrtk.results import Result
from hrtk.structures import Prediction

SKELETON = 'body12'
HIPS = [joint_names(SKELETON).index(f'{side}_hip_lsp') for side in ('left', 'right')]


def joints_of(prediction: Prediction, result: Result, body: BodyModel) -> np.ndarray:
    """(F, 12, 3) metres, camera axes, relative to the middle of the hips."""
    width, height = (int(side) for side in result.image_size)
    size = (width, height)
    rotation = viewing_rotation(
        torch.from_numpy(result.boxes), default_focal(size), image_middle(size)
    )
    with torch.no_grad():
        joints = body.joints(prediction.rotmat, prediction.betas, SKELETON)
    return about_hips((joints @ rotation.mT).double().numpy())


def about_hips(joints: np.ndarray) -> np.ndarray:
    return joints - joints[:, HIPS].mean(1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dirs', nargs='+', type=Path, help='output folders of tools/infer.py')
    parser.add_argument('--root', default='data/real4', help='the prepared data (%(default)s)')
    args = parser.parse_args()
    dataset = Pose2SimProject(args.root, keypoints='pose-detected', reference='trc')
    truths = {sequence.name: sequence for sequence in map(dataset.__getitem__, range(len(dataset)))}
    errors: dict[str, list[tuple[float, float]]] = {'frozen': [], 'adapted': []}
    for work_dir in args.work_dirs:
        folder = latest_folder(work_dir)
        body = stored_body(folder)
        for name, result in stored_results(folder).items():
            sequence = truths[name]
            rows = [sequence.frame_ids.index(label) for label in result.frame_ids]
            true = about_hips(sequence.truth.joints3d.double().numpy())[rows]
            line = f'{name}: {len(rows)} of {len(sequence.frame_ids)} frames'
            for row, prediction in (('frozen', result.before), ('adapted', result.after)):
                found = joints_of(prediction, result, body)
                pair = (float(mpjpe(found, true).mean()), float(pa_mpjpe(found, true).mean()))
                errors[row].append(pair)
                line += f', {row} {pair[0]:.1f} / {pair[1]:.1f}'
            print(f'{line}, {result.ms_per_frame:.0f} ms per frame')
    for row, pairs in errors.items():
        mean = np.mean(pairs, axis=0)
        print(f'{row}: {mean[0]:.1f} / {mean[1]:.1f}')


if __name__ == '__main__':
    main()
