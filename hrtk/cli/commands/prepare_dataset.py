"""Converts data sets in the form of their owners to the files that hrtk reads.

Example: hrtk prepare-dataset 3dpw data/3dpw data/boa/3dpw_vid/test.npz
docs/en/official_data.md describes the input and output of each, docs/en/real4.md those of real4.
"""

from __future__ import annotations

import argparse

from hrtk.datasets.official import prepare
from hrtk.datasets.own.real4 import prepare_real4

ON_INTERRUPT = 'nothing was written'
SMPL = 'data/body_models/smpl/SMPL_{}.pkl'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest='kind', required=True)

    pw3d = kinds.add_parser('3dpw', help="raw 3DPW to one npz of BOA's layout")
    pw3d.add_argument('root', help='the folder with sequenceFiles and imageFiles')
    pw3d.add_argument('output')
    pw3d.add_argument('--split', default='test', choices=('train', 'validation', 'test'))
    pw3d.add_argument('--male', default=SMPL.format('MALE'))
    pw3d.add_argument('--female', default=SMPL.format('FEMALE'))
    pw3d.add_argument('--extra-regressor', default='data/spin/J_regressor_extra.npy')

    mpi = kinds.add_parser('3dhp', help="the test set of MPI-INF-3DHP to SPIN's npz (needs h5py)")
    mpi.add_argument('root', help='the folder with mpi_inf_3dhp_test_set')
    mpi.add_argument('output')

    h36m = kinds.add_parser('h36m', help="adds your bodies to a Human3.6M npz of SPIN's layout")
    h36m.add_argument('file', help="SPIN's npz")
    h36m.add_argument('bodies', help='npz with imgname, pose and shape')
    h36m.add_argument('output')

    mpii = kinds.add_parser('mpii', help="MPII's annotations (.mat) to SPIN's npz")
    mpii.add_argument('file', help='mpii_human_pose_v1_u12_1.mat')
    mpii.add_argument('output')

    vibe = kinds.add_parser(
        'vibe', help='a .pt database of VIBE, TCMR or MPS-Net to npz, without executing its pickle'
    )
    vibe.add_argument('file')
    vibe.add_argument('output')

    real4 = kinds.add_parser('real4', help='the wheel pose2sim 0.10.49 to the project of real4')
    real4.add_argument('wheel', help='pose2sim-0.10.49-py3-none-any.whl')
    real4.add_argument('--output', default='data/real4', help='folder of the project (%(default)s)')


def run(args: argparse.Namespace) -> int:
    if args.kind == 'real4':
        print(f'{args.output}: {prepare_real4(args.wheel, args.output)} videos')
    else:
        print(f'{args.output}: {prepare_kind(args)} rows')
    return 0


def prepare_kind(args: argparse.Namespace) -> int:
    """Converts one data set and returns the number of rows written."""
    if args.kind == '3dpw':
        bodies = {
            'male': args.male,
            'female': args.female,
            'extra_regressor': args.extra_regressor,
        }
        return prepare.prepare_3dpw(args.root, args.output, bodies, args.split)
    if args.kind == '3dhp':
        return prepare.prepare_3dhp(args.root, args.output)
    if args.kind == 'h36m':
        return prepare.prepare_h36m(args.file, args.bodies, args.output)
    if args.kind == 'mpii':
        return prepare.prepare_mpii(args.file, args.output)
    return prepare.prepare_vibe(args.file, args.output)
