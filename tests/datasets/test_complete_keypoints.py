"""Completion of keypoints: what it must leave alone, and that a network trained for seconds beats guessing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets import SequenceDataset
from hrtk.datasets.lifting import MocapLifting
from hrtk.errors import InputError
from hrtk.losses import joint_distance
from hrtk.models.lifting import HoleSampler, MPMStage1
from hrtk.registry import DATASETS, TRANSFORMS
from hrtk.structures import Keypoints2D, Sequence

NETWORK = dict(
    type='MPMStage1',
    frames=9,
    channels=32,
    hidden=64,
    layers=1,
    heads=4,
    dropout=0.0,
    mlp_dropout=0.0,
)
COCO = joint_names('coco17')
FACE = [COCO.index(name) for name in ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear')]
LEFT_LEG = [COCO.index(name) for name in ('left_knee', 'left_ankle')]


def sequence(xy, confidence, skeleton='coco17'):
    return Sequence(
        'clip',
        [None] * len(xy),
        torch.ones(len(xy), 3),
        Keypoints2D(xy, confidence, skeleton, 'noise:x'),
    )


@pytest.fixture(scope='module')
def train():
    return MocapLifting('train', frames=9, step=2, stride=2)


@pytest.fixture(scope='module')
def weights(train, tmp_path_factory):
    """A network of stage I after some seconds of 2D reconstruction."""
    torch.manual_seed(0)
    network, holes = (
        MPMStage1(**{key: value for key, value in NETWORK.items() if key != 'type'}).train(),
        HoleSampler(),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    steps = 160
    for step in range(steps):
        optimiser.param_groups[0]['lr'] = 3e-3 * (1 - step / steps)
        poses = train.batch(torch.randint(len(train), (48,), generator=generator), labels=False)[
            'keypoints2d'
        ]
        loss = joint_distance(network(poses, '2d', holes(48, 9, 17, generator)), poses)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    path = tmp_path_factory.mktemp('weights') / 'filler.pt'
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def clip():
    """Twenty frames of somebody in COCO's points, 150 px high, and their confidences."""
    generator = torch.Generator().manual_seed(1)
    person = torch.rand(17, 2, generator=generator) * torch.tensor([60.0, 150.0]) + torch.tensor(
        [80.0, 40.0]
    )
    return person + torch.randn(20, 17, 2, generator=generator), torch.full((20, 17), 0.8)


@pytest.fixture
def complete(weights):
    def build(**options):
        return TRANSFORMS.build(
            dict(type='CompleteKeypoints', network=dict(NETWORK, weights=str(weights)), **options)
        )

    return build


def test_visible_points_stay_to_the_bit_and_missing_ones_are_filled(clip, complete):
    xy, confidence = clip
    confidence[4, LEFT_LEG], confidence[7], confidence[9, FACE] = 0.1, 0, 0
    given = sequence(xy, confidence)
    kept = dataclasses.replace(given.keypoints2d, xy=xy.clone(), confidence=confidence.clone())
    found = complete(threshold=0.1, confidence=0.25)(given).keypoints2d
    assert torch.equal(given.keypoints2d.xy, kept.xy) and torch.equal(
        given.keypoints2d.confidence, kept.confidence
    )
    filled = found.confidence == 0.25
    expected = torch.zeros(20, 17, dtype=torch.bool)
    expected[4, LEFT_LEG] = True
    expected[7, [k for k in range(17) if k not in FACE]] = True  # a whole frame, but for the face
    assert torch.equal(filled, expected)
    assert torch.equal(found.xy[~filled], xy[~filled]) and torch.equal(
        found.confidence[~filled], confidence[~filled]
    )
    assert (found.xy[filled] != xy[filled]).all() and found.xy.isfinite().all()
    assert found.source == 'completed:noise:x' and found.skeleton == 'coco17'


def test_nothing_to_do_changes_nothing_but_the_name(clip, complete):
    found = complete()(sequence(*clip)).keypoints2d
    assert torch.equal(found.xy, clip[0]) and torch.equal(found.confidence, clip[1])


def test_places_of_missing_points_do_not_matter(clip, complete):
    xy, confidence = clip
    confidence[2:6, LEFT_LEG] = 0
    first = complete()(sequence(xy, confidence)).keypoints2d.xy
    junk = torch.where(confidence[..., None] > 0, xy, torch.nan)
    torch.testing.assert_close(complete()(sequence(junk, confidence)).keypoints2d.xy, first)


def test_frames_beyond_all_windows_stay_empty(clip, complete):
    xy, confidence = clip
    confidence[1:] = 0
    found = complete(hop=1)(sequence(xy, confidence)).keypoints2d
    reached = (found.confidence > 0).any(1)
    assert reached.nonzero()[:, 0].tolist() == list(range(9))
    assert torch.equal(found.xy[9:], xy[9:])
    empty = complete()(sequence(xy, 0 * confidence)).keypoints2d
    assert not empty.confidence.any() and torch.equal(empty.xy, xy)


def test_a_trained_network_beats_the_mean_position(complete):
    """Missing joints of other people's motion: nearer than where the joint is on average about the person's middle."""
    test = MocapLifting('test', frames=9, flip=False)
    ours, guess = [], []
    for start, end in list(zip(test.starts.tolist(), test.ends.tolist()))[::7]:
        true = test.keypoints2d[start:end][::2][:60] * 80 + torch.tensor([300.0, 200.0])
        generator = torch.Generator().manual_seed(start)
        confidence = (torch.rand(len(true), 17, generator=generator) > 0.1).float()
        confidence[20:26, 4:7] = 0  # a leg, for six frames
        missing = confidence == 0
        found = complete()(sequence(true, confidence, 'human36m17')).keypoints2d.xy
        middle = (true * confidence[..., None]).sum(1, keepdim=True) / confidence.sum(1)[
            :, None, None
        ]
        offset = ((true - middle) * confidence[..., None]).sum(0) / confidence.sum(0)[:, None]
        ours.append((found - true).norm(dim=-1)[missing])
        guess.append((middle + offset - true).norm(dim=-1)[missing])
    assert torch.cat(ours).mean() < 0.8 * torch.cat(guess).mean(), (
        torch.cat(ours).mean(),
        torch.cat(guess).mean(),
    )


def test_in_a_dataset(complete, weights, clip):
    class Clips(SequenceDataset):
        name = 'clips'

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return sequence(clip[0], torch.where(torch.arange(17) == 13, 0, clip[1]))

    network = dict(NETWORK, weights=str(weights))
    dataset = DATASETS.build(
        dict(
            type='Transformed',
            dataset=dict(type=Clips),
            transforms=[dict(type='CompleteKeypoints', network=network)],
        )
    )
    assert dataset[0].keypoints2d.source == 'completed:noise:x' and dataset.name == 'clips'
    assert (dataset[0].keypoints2d.confidence[:, 13] == torch.tensor(0.3)).all()
    stamp = dataset.fingerprint()['0.completer']
    assert (
        stamp == complete(threshold=0.5).fingerprint()['completer']
    )  # settings are in the config already
    torch.manual_seed(5)
    other = TRANSFORMS.build(dict(type='CompleteKeypoints', network=NETWORK))
    assert len(stamp) == 64 and other.fingerprint()['completer'] != stamp


def test_straight_lines_are_numpys(clip):
    xy, confidence = clip
    generator = torch.Generator().manual_seed(3)
    confidence = torch.where(torch.rand(20, 17, generator=generator) < 0.4, 0.05, confidence)
    confidence[:, 3] = 0
    found = TRANSFORMS.build(dict(type='InterpolateKeypoints', threshold=0.1))(
        sequence(xy, confidence)
    ).keypoints2d
    filled = found.confidence == 0.3
    for k in range(17):
        seen = (confidence[:, k] > 0.1).nonzero()[:, 0].numpy()
        inside = np.zeros(20, bool)
        if len(seen):
            inside[seen[0] : seen[-1]] = True
            inside[seen] = False
            line = np.stack([np.interp(np.arange(20), seen, xy[seen, k, c]) for c in range(2)], 1)
            np.testing.assert_allclose(found.xy[inside, k], line[inside], rtol=1e-5)
        assert (filled[:, k].numpy() == inside).all()
    assert filled.sum() > 40 and torch.equal(found.xy[~filled], xy[~filled])
    assert found.source == 'interpolated:noise:x'


def test_hidden_limbs(clip):
    xy, confidence = clip
    hide = TRANSFORMS.build(dict(type='HideLimbs', limbs=2, share=0.5, seed=4))
    found = hide(sequence(xy, confidence)).keypoints2d
    hidden = found.confidence == 0
    assert torch.equal(found.xy, xy) and torch.equal(found.confidence[~hidden], confidence[~hidden])
    lost = [COCO[k] for k in hidden.any(0).nonzero()[:, 0].tolist()]
    assert (
        len(lost) == 6
        and len(
            {
                (name.split('_')[0], name.split('_')[1] in ('shoulder', 'elbow', 'wrist'))
                for name in lost
            }
        )
        == 2
    )
    for k in hidden.any(0).nonzero()[:, 0]:
        frames = hidden[:, k].nonzero()[:, 0]
        assert len(frames) == 10 and frames[-1] - frames[0] == 9
    again = hide(sequence(xy, confidence)).keypoints2d
    assert torch.equal(again.confidence, found.confidence) and found.source == 'hidden:noise:x'
    for wrong in (dict(limbs=0), dict(limbs=5), dict(share=0.0)):
        with pytest.raises(InputError, match='HideLimbs: limbs='):
            TRANSFORMS.build(dict(type='HideLimbs', **wrong))
    with pytest.raises(InputError, match='InterpolateKeypoints: threshold'):
        TRANSFORMS.build(dict(type='InterpolateKeypoints', threshold=1.0))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(confidence=0.0), 'above 0'),
        (dict(confidence=1.5), 'above 0'),
        (dict(threshold=-0.1), 'threshold=-0.1'),
        (dict(fsp=15), 'did you mean fps'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        TRANSFORMS.build(dict(type='CompleteKeypoints', network=NETWORK, **options))
