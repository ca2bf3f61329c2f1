"""MixedDataset: shares, seeds, common keys, resumed epochs, and pre-training on three data sets at once."""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from hrtk.apis.train import train
from hrtk.datasets import MixedDataset
from hrtk.errors import InputError
from hrtk.registry import DATASETS
from hrtk.testing import write_lifting_files

CONFIGS = Path(__file__).parents[2] / 'configs/mpm'


class Numbers(Dataset):
    """Items are their numbers, with further keys."""

    def __init__(self, start: int, length: int, **more) -> None:
        self.start = start
        self.length = length
        self.more = more

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return dict(number=self.start + index, **self.more)


def drawn(mixed):
    return Counter(mixed[index]['number'] for index in range(len(mixed)))


def test_without_shares_every_item_is_there_once():
    mixed = MixedDataset([Numbers(0, 7), Numbers(100, 3)])
    assert [mixed[index]['number'] for index in range(10)] == [*range(7), 100, 101, 102]
    for index in (-1, 10):
        with pytest.raises(IndexError):
            mixed[index]


def test_shares_are_kept_and_nothing_is_left_out():
    mixed = MixedDataset([Numbers(0, 30), Numbers(100, 7), Numbers(200, 10)], shares=[2, 1, 1])
    assert mixed.counts == [30, 15, 15] and len(mixed) == 60
    counts = drawn(mixed)
    assert [counts[number] for number in range(30)] == [1] * 30
    second = [counts[number] for number in range(100, 107)]
    third = [counts[number] for number in range(200, 210)]
    assert sum(second) == 15 and set(second) == {2, 3}
    assert sum(third) == 15 and set(third) == {1, 2}
    # The first part is not always the one that decides: here a pass over the second takes 14 of the first.
    assert MixedDataset([Numbers(0, 3), Numbers(9, 7)], shares=[0.2, 0.1]).counts == [14, 7]


def test_the_seed_draws_the_rest():
    def rest(seed):
        mixed = MixedDataset([Numbers(0, 50), Numbers(100, 40)], shares=[1, 1], seed=seed)
        return frozenset(number for number, count in drawn(mixed).items() if count == 2)

    drawings = [rest(seed) for seed in range(40)]
    assert all(len(drawing) == 10 for drawing in drawings)
    assert rest(0) == drawings[0] and len(set(drawings)) == 40
    # 40 draws of 10 of 40: each item 10 times on average, standard deviation 2.7.
    often = Counter(number for drawing in drawings for number in drawing)
    assert all(0 < often[number] < 24 for number in range(100, 140))


def test_items_keep_the_keys_of_all_parts():
    mixed = MixedDataset(
        [Numbers(0, 2, root=1.0, joint_order='h36m16'), Numbers(5, 2, joint_order='h36m16')]
    )
    assert mixed.keys == ('number', 'joint_order')
    assert mixed[0] == dict(number=0, joint_order='h36m16')


def test_refusals():
    parts = [Numbers(0, 4), Numbers(9, 4)]
    for shares in ([1], [1, 0], [1, -1], [1, float('inf')], [1, float('nan')]):
        with pytest.raises(InputError, match='one positive number per part'):
            MixedDataset(parts, shares=shares)
    with pytest.raises(InputError, match='parts is empty'):
        MixedDataset([])
    with pytest.raises(InputError, match=r'part 1 \(Numbers\) is empty'):
        MixedDataset([Numbers(0, 4), Numbers(0, 0)])
    with pytest.raises(InputError, match="joint_order is 'mpi17', .* 'h36m17'; .*h36m16"):
        MixedDataset([Numbers(0, 1, joint_order='h36m17'), Numbers(0, 1, joint_order='mpi17')])
    with pytest.raises(InputError, match=r'pose is float32 \(16, 2\), .* float32 \(17, 2\)'):
        MixedDataset(
            [Numbers(0, 1, pose=torch.zeros(17, 2)), Numbers(0, 1, pose=torch.zeros(16, 2))]
        )
    with pytest.raises(InputError, match='items of type list'):
        MixedDataset([[[1], [2]]])
    with pytest.raises(InputError, match='no key'):
        MixedDataset([[dict(a=1)], [dict(b=1)]])


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return write_lifting_files(tmp_path_factory.mktemp('lifting'), frames=12)


def official_parts(files):
    """The three data sets of the paper's pre-training, in their common 16 joints."""
    return [
        dict(
            type='H36MLifting',
            file=str(files / 'h36m/data_3d_h36m.npz'),
            keypoints=str(files / 'h36m/data_2d_h36m_gt.npz'),
            joints='h36m16',
            frames=9,
        ),
        dict(
            type='MPIINF3DHPLifting',
            file=str(files / '3dhp/data_train_3dhp.npz'),
            joints='h36m16',
            frames=9,
        ),
        dict(type='AMASSLifting', file=str(files / 'amass/amass.npz'), frames=9),
    ]


def test_three_official_data_sets_are_one(files):
    """The contract of a data set for training: built from a config that stays as it was, collated, rebuilt equal."""
    config = dict(type='MixedDataset', parts=official_parts(files), shares=[2, 1, 1])
    passed = copy.deepcopy(config)
    mixed = DATASETS.build(passed)
    assert passed == config
    sizes = [len(part) for part in mixed.parts]
    assert all(count >= size for count, size in zip(mixed.counts, sizes))
    assert mixed.counts[0] / mixed.counts[1] == pytest.approx(2, rel=1e-3)
    assert mixed.counts[1] == mixed.counts[2]
    assert 'intrinsics' in mixed.parts[0][0] and 'intrinsics' not in mixed.keys
    batch = next(iter(DataLoader(mixed, 6, sampler=[0, 1, sizes[0] + 1, len(mixed) - 1, 5, 7])))
    assert batch['keypoints2d'].shape == (6, 9, 16, 2) and set(batch['joint_order']) == {'h36m16'}
    assert batch['joints3d'].shape == (6, 9, 16, 3) and not batch['joints3d'][:, :, 0].any()
    again = DATASETS.build(config)
    for index in range(0, len(mixed), 997):
        number, item = mixed.locate(index)
        assert again.locate(index) == (number, item)
        assert torch.equal(mixed[index]['joints3d'], mixed.parts[number][item]['joints3d'])
    assert set(mixed.fingerprint()) == {'0.npz', '1.npz', '2.npz'}
    with pytest.raises(InputError, match="give every part the same `joints`, e.g. 'h36m16'"):
        MixedDataset([dict(official_parts(files)[0], joints='h36m17'), *official_parts(files)[1:]])


def test_pretraining_on_three_data_sets_resumes(files, tmp_path):
    options = {
        'model.network.frames': 9,
        'model.network.channels': 16,
        'model.network.hidden': 16,
        'model.network.layers': 1,
        'model.network.heads': 2,
        'model.network.joints': 16,
        'model.network.dropout': 0.0,
        'model.network.mlp_dropout': 0.0,
        'model.joints': 'h36m16',
        'train_dataloader.batch_size': 256,
        'train_dataloader.dataset': dict(
            _delete_=True,
            type='MixedDataset',
            parts=[dict(part, stride=4) for part in official_parts(files)],
            shares=[2, 1, 1],
        ),
        'val_dataloader': None,
        'val_evaluator': None,
        'val_cfg': None,
        'train_cfg': dict(by_epoch=True, max_epochs=2),
        'default_hooks.checkpoint.interval': 1,
    }

    def weights(folder):
        train(CONFIGS / 'stage1_open.py', work_dir=str(folder), cfg_options=options)
        return torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict']

    whole = weights(tmp_path / 'whole')
    parts = tmp_path / 'parts'
    parts.mkdir()
    shutil.copy(tmp_path / 'whole/epoch_1.pth', parts)
    (parts / 'last_checkpoint').write_text(str(parts / 'epoch_1.pth'))
    resumed = weights(parts)
    assert whole['steps'] > 1
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
