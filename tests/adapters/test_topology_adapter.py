"""TopologyAdapter against a literal reading of Algorithm 1 in float64; fitting; kills; masks that say nothing."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_parts import SIZE, Diary, Tiny, equal, predict_all, run, tiny_sequence, weights_of

from hrtk.adapters import Preparation, TopologyAdapter
from hrtk.adapters.parts.targets import crop_targets
from hrtk.adapters.topology.fitting import fit_bodies
from hrtk.adapters.topology.objectives import MaskBatch
from hrtk.adapters.topology.pose_space import PoseSpace
from hrtk.adapters.topology.targets import MaskTargets
from hrtk.errors import InputError
from hrtk.geometry.camera import crop_points, project
from hrtk.losses.topology import alignment_losses, silhouette_target
from hrtk.models.estimators import LatentHMR
from hrtk.registry import ADAPTERS, DATASETS
from hrtk.silhouettes.coverage import cover
from hrtk.structures import Prediction

RATE = 1e-3


def with_masks(sequence, seed=0):
    """The same sequence with the masks of bodies that a random network sees in it, on whole pictures."""
    model = Tiny(seed)
    with torch.no_grad():
        seen = model(model.crops(sequence, range(len(sequence))))
        vertices = model.body(seen.rotmat, seen.betas).vertices
        points = crop_points(
            vertices, seen.camera.new_tensor([[0.9, 0, 0]]).repeat(len(sequence), 1), 1
        )
    masks = []
    for t, box in enumerate(sequence.boxes.double()):
        pixels = points[t].clone()
        pixels[:, :2] = box[:2] + (2 * pixels[:, :2]) * box[2] / 2
        height, width = np.asarray(sequence.frames[t]).shape[:2]
        masks.append(
            cover(pixels[None], model.body.faces, (height, width)).mask[0].numpy().astype(np.uint8)
        )
    return dataclasses.replace(sequence, masks=masks)


def adapter(**options):
    """With free poses, quick rates and every second iteration a fit."""
    return TopologyAdapter(
        **{
            **dict(
                prior=None,
                lr=RATE,
                batch=4,
                tracks=2,
                every=2,
                fitting_steps=3,
                iterations=5,
                weights=dict(betas=0.01),
            ),
            **options,
        }
    )


class Tracks(list):
    """A data set of sequences of 5, 4 and 3 frames."""

    def __init__(self):
        super().__init__(
            with_masks(tiny_sequence(f'track{i}', frames, seed=i))
            for i, frames in enumerate((5, 4, 3))
        )


def loss_of(model, prediction, target, part):
    """A term with the pull on betas, per picture, as the paper's sums over numbers of pixels."""
    vertices = model.body(prediction.rotmat, prediction.betas).vertices
    side = target.mask.shape[-1]
    points = crop_points(vertices, prediction.camera, side)
    both = alignment_losses(points, model.body.faces, target, 'material', 'mean')
    terms = dict(
        silhouette=both.silhouette, topology=both.topology, both=both.silhouette + both.topology
    )
    return terms[part] * 2 / side + 0.01 * prediction.betas.square().mean(1)


def literal(model, crops, masks, iterations, every, steps):
    """Algorithm 1 on one batch, as printed, with torch's own Adam."""
    space, target = PoseSpace(), silhouette_target(masks)
    weights = list(model.parameters())
    adams = {name: torch.optim.Adam(weights, lr=RATE) for name in ('silhouette', 'topology', 'fit')}

    def descend(name, loss):
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights, allow_unused=True)):
            weight.grad = torch.zeros_like(weight) if gradient is None else gradient
        adams[name].step()

    for iteration in range(iterations):
        if iteration % every:
            for name in ('silhouette', 'topology'):
                descend(name, loss_of(model, model(crops), target, name).mean())
            continue
        with torch.no_grad():
            start = space.theta(model(crops))
        rows = []
        for i in range(len(crops)):
            values = [value[i : i + 1].clone().requires_grad_() for value in start.tensors()]
            adam, best, least, first = torch.optim.Adam(values, lr=1e-2), None, None, None
            for step in range(steps + 1):
                one = type(target)(*(part[i : i + 1] for part in target[:4]))
                loss = loss_of(model, space.prediction(type(start)(*values)), one, 'both')
                if least is None or loss < least:
                    best, least = [value.detach().clone() for value in values], loss.detach()
                first = loss.detach() if first is None else first
                if step < steps:
                    adam.zero_grad()
                    loss.sum().backward()
                    adam.step()
            rows.append((best, least < first))
        fitted = type(start)(*(torch.cat([row[0][k] for row in rows]) for k in range(4)))
        better = torch.cat([row[1] for row in rows])
        distance = space.distance(space.theta(model(crops)), fitted)
        descend('fit', distance[better].mean() if better.any() else 0 * distance.sum())


def test_online_is_algorithm_1():
    sequence = with_masks(tiny_sequence(frames=3))
    ours, plain = Tiny(), Tiny()
    torch.manual_seed(0)
    found = list(adapter(mode='online').start(ours).run(sequence))
    crops = plain.crops(sequence, range(3))
    masks, usable = MaskTargets(sequence, plain.resolution).get(range(3))
    assert usable.all() and masks.any(2).any(1).all()
    literal(plain, crops, masks, 5, 2, 3)
    start, end, wanted = weights_of(Tiny()), weights_of(ours), weights_of(plain)
    assert (
        max((end[name] - wanted[name]).abs().max() for name in end) < 1e-6
    )  # distance maps are float32
    assert max((end[name] - start[name]).abs().max() for name in end) > 1e-3
    with torch.no_grad():
        expected = plain(crops)
    for name in ('rotmat', 'betas', 'camera'):
        assert (
            torch.cat([getattr(p, name) for p in found]) - getattr(expected, name)
        ).abs().max() < 1e-6


def test_set_mode_learns_and_survives_a_kill():
    whole = adapter(save_every=2)
    torch.manual_seed(0)
    model = Tiny()
    before = weights_of(model)
    expected = whole.prepare(model, Tracks(), Preparation())
    assert not equal({k: expected[k] for k in before}, before)
    diary = Diary(kill=3)
    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        adapter(save_every=2).prepare(Tiny(), Tracks(), diary)
    diary.kill = None
    torch.manual_seed(0)
    assert equal(adapter(save_every=2).prepare(Tiny(), Tracks(), diary), expected)


def test_fitting_lowers_every_loss_and_rows_do_not_meet():
    sequence, model = with_masks(tiny_sequence(frames=4)), Tiny()
    masks, usable = MaskTargets(sequence, model.resolution).get(range(4))
    ours = adapter(mode='fit', fitting_steps=20)
    space = PoseSpace()
    with torch.no_grad():
        start = space.theta(model(model.crops(sequence, range(4))))

    def objective(rows):
        target = silhouette_target(masks[rows])
        batch = MaskBatch(None, target, usable[rows])
        return lambda prediction: ours.objectives.all_terms(prediction, model.body, batch)

    every = slice(0, 4)
    fitted, better = fit_bodies(space, start, objective(every), 20, 1e-2)
    first, last = (objective(every)(space.prediction(theta)) for theta in (start, fitted))
    assert better.all() and (last < first).all()
    alone, _ = fit_bodies(
        space,
        type(start)(*(value[2:3] for value in start.tensors())),
        objective(slice(2, 3)),
        20,
        1e-2,
    )
    for one, many in zip(alone.tensors(), fitted.tensors()):
        assert (one[0] - many[2]).abs().max() < 1e-6


def test_sequences_start_anew_and_weights_stay_where_nothing_adapts():
    first, second = Tracks()[:2]
    online, model = adapter(mode='online'), Tiny()
    expected = run(adapter(mode='online'), Tiny(), second)
    run(online, model, first)
    model.load_state_dict(Tiny().state_dict())
    assert torch.equal(run(online, model, second), expected)
    frozen = Tiny()
    run(adapter(mode='fit'), frozen, first)
    assert equal(weights_of(frozen), weights_of(Tiny()))
    assert adapter(mode='fit').prepare(Tiny(), Tracks(), Preparation()) is None


def two_people(mask):
    both = np.zeros_like(mask)
    both[5:35, 6:14], both[5:35, 22:30] = 1, 1
    return both


def test_masks_that_say_nothing_are_skipped_and_counted():
    sequence = with_masks(tiny_sequence(frames=6))
    masks = list(sequence.masks)
    masks[1], masks[3], masks[4] = (
        np.zeros_like(masks[1]),
        np.ones_like(masks[3]),
        two_people(masks[4]),
    )
    spoilt = dataclasses.replace(sequence, masks=masks)
    for mode in ('online', 'fit'):
        model = Tiny()
        session = adapter(mode=mode).start(model)
        assert torch.isfinite(predict_all(session, spoilt)).all()
        assert session.counts['skipped_masks'] == 3
        assert session.counts.get('skipped_updates', 0) == 0
        assert all(torch.isfinite(value).all() for value in weights_of(model).values())
    fitted = run(adapter(mode='fit'), Tiny(), spoilt)
    plain = run(adapter(mode='fit', fitting_steps=0), Tiny(), spoilt)
    changed = (fitted - plain).abs().flatten(1).amax(1) > 1e-6
    assert changed.tolist() == [True, False, True, False, False, True]


def test_a_target_without_any_usable_mask_is_refused():
    sequence = with_masks(tiny_sequence(frames=2))
    empty = dataclasses.replace(sequence, masks=[np.zeros_like(mask) for mask in sequence.masks])
    with pytest.raises(InputError, match="no frame of the target has a usable mask.*'empty': 2"):
        adapter().prepare(Tiny(), [empty], Preparation())


@pytest.mark.parametrize(
    'change, said',
    [(lambda mask: mask[:-1], 'the mask is'), (lambda mask: mask * 7 + 2, 'values 0 and 1')],
)
def test_wrong_masks_are_named(change, said):
    sequence = with_masks(tiny_sequence(frames=2))
    wrong = dataclasses.replace(sequence, masks=[change(mask) for mask in sequence.masks])
    with pytest.raises(InputError, match=f'noise, mask of frame 000000.*{said}'):
        run(adapter(mode='fit'), Tiny(), wrong)


def test_a_track_without_masks_is_named():
    with pytest.raises(InputError, match='noise: has no masks'):
        run(adapter(mode='online'), Tiny(), tiny_sequence())


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(mode='offline'), 'offline'),
        (dict(silhouette='l1'), 'l1'),
        (dict(weights=dict(pose=1.0)), 'pose'),
        (dict(silhouette=None, topology=None), 'both off, and keypoints2d'),
        (dict(batch=0), 'batch'),
        (dict(grad='soft'), 'soft'),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(InputError, match=said):
        ADAPTERS.build(dict(type='TopologyAdapter', prior=None, **options))


@pytest.mark.parametrize(
    'options',
    [
        dict(silhouette='l2', topology=None),
        dict(topology=None),
        dict(topology='l2'),
        dict(silhouette=None),
    ],
)
def test_baselines_of_table_4_change_the_weights(options):
    model = Tiny()
    torch.manual_seed(0)
    after = adapter(iterations=2, **options).prepare(model, Tracks()[:1], Preparation())
    start = weights_of(Tiny())
    assert not equal({name: after[name] for name in start}, start)
    assert all(torch.isfinite(value).all() for value in after.values())


def reprojection(model, sequence):
    """The squared error of every frame's visible keypoints, frame by frame."""
    keypoints = crop_targets(sequence)
    points, confidence = keypoints.xy, keypoints.confidence
    found = model(model.crops(sequence, range(len(sequence))))
    joints = project(model.body.joints(found.rotmat, found.betas, 'spin24'), found.camera)
    return sum(
        (confidence[t, :, None] * (joints[t] - points[t]) ** 2).sum() / (2 * confidence[t].sum())
        for t in range(len(sequence))
    ) / len(sequence)


@pytest.mark.parametrize('kinds', [dict(silhouette=None, topology=None), dict(topology=None)])
def test_baselines_of_table_5_follow_keypoints(kinds):
    """A1 and A2, a step of each loss in turn, written out."""
    sequence = with_masks(tiny_sequence(frames=3))
    sequence.keypoints2d.confidence[1, ::2] = 0
    ours, plain, start = Tiny(), Tiny(), weights_of(Tiny())
    options = dict(every=0, iterations=1, weights=dict(betas=0.0, keypoints2d=10.0), **kinds)
    run(adapter(mode='online', **options), ours, sequence)
    losses = [lambda: 10 * reprojection(plain, sequence)]
    if 'silhouette' not in kinds:
        target = silhouette_target(MaskTargets(sequence, plain.resolution).get(range(3))[0])
        found = plain(plain.crops(sequence, range(3)))
        losses.insert(
            0,
            lambda: (
                loss_of(plain, found, target, 'silhouette') - 0.01 * found.betas.square().mean(1)
            ).mean(),
        )
    for loss in losses:
        adam = torch.optim.Adam(plain.parameters(), lr=RATE)
        plain.zero_grad()
        loss().backward()
        adam.step()
    after, expected = weights_of(ours), weights_of(plain)
    assert max((after[name] - expected[name]).abs().max() for name in after) < 1e-6
    assert max((after[name] - start[name]).abs().max() for name in after) > RATE / 2


class TinyLatent(LatentHMR):
    """The paper's regressor in float64, with poses far from the middle of the latent space."""

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        super().__init__(
            backbone=dict(type='ResNet', depth=18, width=4, norm='gn'),
            head=dict(hidden=16),
            prior=dict(type='PoseAutoEncoder', latent=6, hidden=8),
            resolution=SIZE,
        )
        for value in self.prior.state_dict().values():
            torch.nn.init.normal_(value, std=0.2)
        torch.nn.init.normal_(self.head.last.weight, std=0.1)
        self.double().eval()

    def crops(self, sequence, indices):
        return super().crops(sequence, indices).double()


def test_latents_that_the_network_regresses_are_the_coordinates():
    """A fitting iteration of Algorithm 1 on Theta = {phi, R, beta, s, t}, written out; the decoder stays frozen."""
    sequence, model, plain = with_masks(tiny_sequence(frames=3)), TinyLatent(), TinyLatent()
    ours = adapter(
        mode='online', prior='estimator', every=1, iterations=1, fitting_steps=4, silhouette=None
    )
    found = list(ours.start(model).run(sequence))
    crops = plain.crops(sequence, range(3))
    masks, _ = MaskTargets(sequence, SIZE).get(range(3))

    def decoded(phi, root, betas, camera):
        x, y = root.view(-1, 3, 2).unbind(2)
        x = x / x.norm(dim=1, keepdim=True)
        y = y - (x * y).sum(1, keepdim=True) * x
        y = y / y.norm(dim=1, keepdim=True)
        first = torch.stack([x, y, torch.linalg.cross(x, y)], 2)
        rotmat = torch.cat([first[:, None], plain.prior.decode(phi)], 1)
        return Prediction(rotmat, betas, camera)

    def loss(values):
        return loss_of(plain, decoded(*values), silhouette_target(masks), 'topology')

    with torch.no_grad():
        seen = plain(crops)
        first = [seen.latent, seen.rotmat[:, 0, :, :2].flatten(1), seen.betas, seen.camera]
    values = [value.clone().requires_grad_() for value in first]
    adam = torch.optim.Adam(values, lr=1e-2)
    kept, least = [value.detach().clone() for value in values], loss(values).detach()
    start_loss = least.clone()
    for _ in range(4):
        adam.zero_grad()
        loss(values).sum().backward()
        adam.step()
        values[0].data.clamp_(-1, 1)
        now = loss(values).detach()
        for row in range(3):
            if now[row] < least[row]:
                least[row] = now[row]
                for old, new in zip(kept, values):
                    old[row] = new.detach()[row]
    better = least < start_loss
    assert better.any()
    seen = plain(crops)
    distance = (
        (seen.latent - kept[0]).square().mean(1)
        + (seen.rotmat[:, 0] - decoded(*kept).rotmat[:, 0]).square().mean((1, 2))
        + 0.1 * (seen.betas - kept[2]).square().mean(1)
        + (seen.camera - kept[3]).square().mean(1)
    )
    optimizer = torch.optim.Adam(plain.parameters(), lr=RATE)
    distance[better].mean().backward()
    optimizer.step()
    end, wanted, start = weights_of(model), weights_of(plain), TinyLatent()
    assert max((end[name] - wanted[name]).abs().max() for name in end) < 1e-6
    assert max((end[name] - weights_of(start)[name]).abs().max() for name in end) > RATE / 2
    assert equal(dict(model.prior.state_dict()), dict(start.prior.state_dict()))
    with torch.no_grad():
        expected = plain(crops)
    for name in ('rotmat', 'betas', 'camera'):
        difference = torch.cat([getattr(p, name) for p in found]) - getattr(expected, name)
        assert difference.abs().max() < 1e-6


def test_the_estimators_prior_needs_an_estimator_that_has_one():
    with pytest.raises(InputError, match="Tiny has no prior of its own, use prior='open'"):
        adapter(mode='online', prior='estimator').start(Tiny())
    assert adapter(prior='estimator').fingerprint() == {}


@DATASETS.register_module()
class OtherTracks(Tracks):
    """A data set with masks that is not the predicted one."""

    def fingerprint(self):
        return {'noise': 'three tracks'}


def test_a_target_of_its_own_replaces_the_predicted_one():
    """Predicted sequences without masks; the weights are those that the target alone gives."""
    options = dict(iterations=3, target=[dict(type='OtherTracks')])
    torch.manual_seed(0)
    model = Tiny()
    found = adapter(**options).prepare(model, [tiny_sequence(frames=2)], Preparation())
    torch.manual_seed(0)
    expected = adapter(iterations=3).prepare(Tiny(), Tracks(), Preparation())
    assert equal(found, expected)
    assert adapter(**options).fingerprint() == {'target.0.noise': 'three tracks'}
    assert torch.isfinite(run(adapter(**options), model, tiny_sequence(frames=2))).all()
    with pytest.raises(InputError, match="target needs mode='set'"):
        adapter(mode='fit', target=[dict(type='OtherTracks')])


def test_a_target_without_files_has_no_hashes(monkeypatch):
    monkeypatch.delattr(OtherTracks, 'fingerprint')
    assert adapter(target=[dict(type='OtherTracks')]).fingerprint() == {}
