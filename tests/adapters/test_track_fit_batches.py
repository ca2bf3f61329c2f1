"""TrackFit in batches with source crops, a pose prior and frames that leave, against a loop that is written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from literal.boa import LiteralBOA  # conftest.py puts its folder on the path
from test_no_evidence import track_sequence
from tiny_parts import SIZE, VIEWS, RandomViews, Tiny, predict_all, weights_of

from hrtk.adapters import TrackFit
from hrtk.adapters.track.objectives import LossWeights, Objectives, TrackTargets
from hrtk.errors import InputError
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm
from hrtk.structures import Prediction

OPTIONS = dict(lr=2e-3, shape_lr=0.02, adam_betas=(0.8, 0.95), robust=0.7)
WEIGHTS = dict(depth=1.0, pose=0.5, acceleration=1e-4)


def by_hand(model, sequence, passes: int, batch: int, until: float):
    """Returns how many passes every frame was in; the model keeps the fitted weights."""
    literal = LiteralBOA(model, read_gmm(OPEN_GMM))
    views = RandomViews(SIZE, double=True)
    weights = dict(model.named_parameters())
    inputs = model.crops(sequence, range(len(sequence)))
    targets = TrackTargets.of(sequence, torch.device('cpu'))
    objectives = Objectives(LossWeights(**WEIGHTS), OPTIONS['robust'])
    with torch.no_grad():
        anchor = model(inputs)
    shape = anchor.betas.mean(0, keepdim=True).clone().requires_grad_()
    adam = torch.optim.Adam(weights.values(), OPTIONS['lr'], OPTIONS['adam_betas'])
    shape_adam = torch.optim.Adam([shape], OPTIONS['shape_lr'], OPTIONS['adam_betas'])

    def joints_of(rotmat):
        return model.body.joints(rotmat, shape.expand(len(rotmat), -1), 'body12')

    def error_of(joints, rows) -> np.ndarray:
        shift = (targets[rows].project(joints) - targets.keypoints.xy[rows]).detach().numpy()
        sure = targets.keypoints.confidence[rows].numpy()
        return 112 * np.sqrt((sure[..., None] * shift**2).sum((1, 2)) / (2 * sure.sum(1)))

    errors = np.full(len(sequence), np.inf)
    visits = np.zeros(len(sequence), int)
    for _ in range(passes):
        behind = np.flatnonzero(errors > until)
        if not len(behind):
            with torch.no_grad():
                rows = torch.arange(len(sequence))
                errors = error_of(joints_of(model(inputs).rotmat), rows)
            behind = np.flatnonzero(errors > until)
        if not len(behind):
            break
        runs = [behind]
        if len(behind) > batch:
            offset = int(torch.randint(batch, ()))
            starts = range(offset, len(behind), batch)
            runs = [behind[:offset]] * (offset > 0) + [behind[s : s + batch] for s in starts]
            runs = [runs[place] for place in torch.randperm(len(runs)).tolist()]
        for run in runs:
            rows = torch.from_numpy(run)
            crop = views[int(torch.randint(8, (1,)))]
            raw = model(inputs[rows])
            prediction = Prediction(raw.rotmat, shape.expand(len(rows), -1), raw.camera)
            joints = joints_of(raw.rotmat)
            anchor_joints = model.body.joints(anchor.rotmat, anchor.betas, 'body12')[rows]
            loss = objectives(joints, prediction, anchor_joints, anchor[rows], targets[rows])
            energies = [literal._energy(raw.rotmat[i : i + 1]) for i in range(len(rows))]
            loss = loss + 0.003 * sum(energies) / len(energies)
            loss = loss + 0.4 * literal._source(weights, [crop])
            adam.zero_grad()
            shape_adam.zero_grad()
            loss.backward()
            adam.step()
            shape_adam.step()
            errors[run] = error_of(joints, rows)
            visits[run] += 1
    return visits, shape.detach()


@pytest.mark.parametrize('batch, until', [(3, 120.0), (4, 1e-3), (8, 120.0)])
def test_passes_are_those_of_the_loop_written_out(batch, until):
    sequence = track_sequence(7)
    model, plain = Tiny(), Tiny()
    start = weights_of(model)
    adapter = TrackFit(
        **OPTIONS,
        steps=5,
        batch=batch,
        until=until,
        weights=dict(WEIGHTS, pose_prior=0.003, source=0.4),
        pose_prior=dict(type='GMMPosePrior', dtype=torch.float64),
        source=dict(dataset=VIEWS),
    )
    session = adapter.start(model)
    torch.manual_seed(4)
    found = list(session.run(sequence))
    torch.manual_seed(4)
    visits, shape = by_hand(plain, sequence, 5, batch, until)
    wanted = weights_of(plain)
    end = weights_of(model)
    assert max((end[name] - wanted[name]).abs().max() for name in end) < 1e-8
    assert max((end[name] - start[name]).abs().max() for name in end) > 1e-3
    assert (found[0].betas - shape).abs().max() < 1e-8
    assert session.counts['steps'] == pytest.approx(visits.mean())
    if until > 1:
        assert visits.min() < visits.max(), 'some frame leaves before another'
    else:
        assert set(visits) == {5}
    assert set(adapter.fingerprint()) >= {'pose_prior'}


def test_without_until_every_frame_is_in_all_passes_and_nothing_is_counted():
    session = TrackFit(steps=2, batch=2, lr=1e-3).start(Tiny())
    predict_all(session, track_sequence(5))
    assert 'steps' not in session.counts


@pytest.mark.parametrize('options', [dict(batch=0), dict(until=0.0), dict(until=float('inf'))])
def test_bad_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        TrackFit(**options)
