"""SequenceClips of files of VIBE's layout, and the labels of few-shot adaptation on them, by plain algebra."""

import numpy as np
import pytest
import torch

from hrtk.adapters.few_shot.labels import Labels
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBank
from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.datasets import SequenceClips, VIBEDatabase
from hrtk.datasets.official.joblib_file import load_joblib
from hrtk.datasets.official.vibe_db import read_vibe_db
from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image
from hrtk.structures import Prediction

SIZE = 32


def studio(data):
    return dict(
        type='VIBEDatabase',
        file=str(data / 'vibe/mpii3d_train_db.pt'),
        image_root=str(data / 'mpi_inf_3dhp_train'),
        source='gt',
    )


def test_clips_of_3dhp_have_joints_and_no_body(data):
    clips = SequenceClips(studio(data), frames=2, resolution=SIZE)
    tracks = VIBEDatabase(**{k: v for k, v in studio(data).items() if k != 'type'})
    assert len(clips) == sum(len(track) // 2 for track in tracks) and clips.clips[1] == (0, 2)
    item, track = clips[1], tracks[0]
    rows = load_joblib(data / 'vibe/mpii3d_train_db.pt')
    assert item['image'].shape == (2, 3, SIZE, SIZE) and item['image'].dtype == torch.uint8
    assert torch.isnan(item['rotmat']).all() and torch.isnan(item['betas']).all()
    for t in range(2):
        crop = crop_image(track.frames[2 + t], track.boxes[2 + t], SIZE)
        assert (item['image'][t] - crop).abs().max() <= 0.5
        points = rows['joints3D'][2 + t, 25:39]
        np.testing.assert_allclose(item['S'][t, :14, :3], points, atol=1e-6)
        x, y, w, h = rows['bbox'][2 + t]
        pixels = rows['joints2D'][2 + t, 25:39]
        seen = (pixels[:, :2] - [x, y]) / (1.2 * max(w, h) / 2)
        known = pixels[:, 2] > 0
        np.testing.assert_allclose(item['part'][t, :14, :2][known], seen[known], atol=1e-4)
        np.testing.assert_allclose(item['part'][t, :14, 2], np.clip(pixels[:, 2], 0, 1))
    assert (item['S'][:, :14, 3] == 1).all() and (item['S'][:, 14:] == 0).all()
    assert (item['part'][:, 14:] == 0).all()
    assert torch.equal(item['keypoints2d'], item['part'][..., :2])
    assert clips.fingerprint() == tracks.fingerprint()


def test_clips_of_3dpw_have_bodies_and_no_invalid_frame(data):
    file = data / 'vibe/3dpw_val_db.pt'
    config = dict(type='VIBEDatabase', file=str(file), image_root=str(data / '3dpw'))
    clips = SequenceClips(config, frames=2, resolution=SIZE)
    table = read_vibe_db(file)
    names = list(dict.fromkeys(table['vid_name']))
    expected = []
    for number, name in enumerate(names):
        valid = table['valid'][table['vid_name'] == name]
        expected += [(number, t) for t in range(0, len(valid) - 1, 2) if valid[t : t + 2].all()]
    assert clips.clips == expected and len(expected) < len(table['vid_name']) // 2
    assert torch.isfinite(clips[0]['rotmat']).all() and (clips[0]['S'] == 0).all()
    few = SequenceClips(config, frames=2, length=2, resolution=SIZE)
    assert few.clips == [expected[0], expected[-1]]


def test_labels_of_joints_alone_by_hand(data):
    bank = SourceBank(dict(type='SequenceClips', dataset=studio(data), frames=2, resolution=SIZE))
    batch = torch.utils.data.default_collate([bank.dataset[i] for i in range(2)])
    body = BodyModel()

    class Source:
        rotmat, betas, keypoints2d = batch['rotmat'], batch['betas'], batch['keypoints2d']
        S, part = batch['S'], batch['part']

    labels = Labels.of_source(Source, body)
    random = torch.Generator().manual_seed(0)
    turns = torch.linalg.qr(torch.randn(4, 24, 3, 3, generator=random)).Q
    betas = torch.randn(4, 10, generator=random)
    camera = torch.tensor([[0.9, 0.1, 0.0]]).expand(4, 3)
    posed = PosedPrediction.of(Prediction(turns, betas, camera), body)
    losses = labels.losses(posed)
    names = joint_names('spin24')
    hips = [names.index('right_hip_lsp'), names.index('left_hip_lsp')]
    found = posed.joints3d.double().numpy()
    truth = batch['S'].reshape(4, 24, 4).double().numpy()
    error, flat = 0.0, 0.0
    seen = posed.joints2d.double().numpy()
    part = batch['part'].reshape(4, 24, 3).double().numpy()
    for t in range(4):
        for j in range(24):
            flat += part[t, j, 2] * ((seen[t, j] - part[t, j, :2]) ** 2).sum()
            if j < 14:
                ours = found[t, j] - found[t, hips].mean(0)
                theirs = truth[t, j, :3] - truth[t, hips, :3].mean(0)
                error += ((ours - theirs) ** 2).sum()
    assert float(losses['joints3d']) == pytest.approx(error / (4 * 24 * 3), rel=1e-5)
    assert float(losses['keypoints2d']) == pytest.approx(flat / (4 * 24 * 2), rel=1e-5)
    assert losses['rotmat'] == 0 and losses['betas'] == 0


@pytest.mark.parametrize(
    'options, said',
    [(dict(frames=0), 'positive'), (dict(frames=99), 'no 99 consecutive frames')],
)
def test_wrong_options_are_named(data, options, said):
    with pytest.raises(InputError, match=said):
        SequenceClips(studio(data), **options)
