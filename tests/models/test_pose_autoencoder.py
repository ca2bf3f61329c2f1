"""The auto-encoder pose prior: forms and gradients, and how near the bundled weights come to held-out poses."""

import re

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.datasets import OpenPoses
from hrtk.errors import InputError
from hrtk.evaluation.functional import mpjpe
from hrtk.models.checkpoints import BUNDLED
from hrtk.models.priors import PoseAutoEncoder
from hrtk.registry import MODELS
from hrtk.training.pose_prior import nearest_deg, outside


def random_rotations(count, joints, seed=0):
    matrices = Rotation.random(count * joints, random_state=seed).as_matrix()
    return torch.from_numpy(matrices).view(count, joints, 3, 3)


def small(seed=0, **options):
    """A network of random weights, in float64."""
    torch.manual_seed(seed)
    network = PoseAutoEncoder(latent=4, hidden=8, **options).double()
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    return network


@pytest.fixture(scope='module')
def bundled():
    return PoseAutoEncoder(weights='open').eval()


def test_forms_and_ranges():
    network = small()
    poses = random_rotations(5, 23)
    latent = network.encode(poses)
    assert latent.shape == (5, 4) and latent.abs().max() <= 1 and latent.std() > 0.1
    decoded = network.decode(latent)
    assert decoded.shape == (5, 23, 3, 3)
    np.testing.assert_allclose(
        (decoded @ decoded.mT).detach(), np.broadcast_to(np.eye(3), (5, 23, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(torch.linalg.det(decoded).detach(), 1, atol=1e-12)
    assert torch.equal(network(poses), decoded) and network.encode(poses[:0]).shape == (0, 4)


def test_an_untrained_decoder_rests():
    decoded = PoseAutoEncoder(latent=4, hidden=8).decode(torch.rand(3, 4) * 2 - 1)
    assert torch.equal(decoded, torch.eye(3).expand(3, 23, 3, 3))


def test_project_keeps_the_orientation():
    network, poses = small(), random_rotations(3, 24)
    projected = network.project(poses)
    assert torch.equal(projected[:, 0], poses[:, 0])
    assert torch.equal(projected[:, 1:], network.decode(network.encode(poses[:, 1:])))
    turned = torch.cat([poses[:, :1] @ poses[:1, :1], poses[:, 1:]], 1)
    assert torch.equal(network.project(turned)[:, 1:], projected[:, 1:])


def test_gradients():
    network, poses = small(), random_rotations(2, 23)
    latent = (torch.rand(2, 4, dtype=torch.float64) * 2 - 1).requires_grad_()
    assert torch.autograd.gradcheck(network.decode, latent)
    assert torch.autograd.gradcheck(network.encode, poses.requires_grad_())


@pytest.mark.parametrize(
    'call, shape',
    [
        ('encode', (2, 24, 3, 3)),
        ('encode', (23, 3, 3)),
        ('encode', (2, 69)),
        ('decode', (2, 5)),
        ('decode', (4,)),
        ('project', (2, 23, 3, 3)),
    ],
)
def test_wrong_shapes(call, shape):
    with pytest.raises(InputError, match=re.escape(str(shape))):
        getattr(PoseAutoEncoder(latent=4, hidden=8), call)(torch.zeros(shape))


def test_weights_by_name_and_by_path(bundled, tmp_path):
    path = BUNDLED / 'pose_aae_open.pt'
    assert path.stat().st_size <= 2e6 and path.with_suffix('.json').is_file()
    latent = torch.rand(3, 32) * 2 - 1
    for weights in ('open:pose_aae_open', path):
        other = MODELS.build(dict(type='PoseAutoEncoder', weights=weights))
        assert torch.equal(other.decode(latent), bundled.decode(latent))
    torch.save(small().state_dict(), tmp_path / 'mine.pt')
    mine = PoseAutoEncoder(latent=4, hidden=8, weights=tmp_path / 'mine.pt').double()
    torch.testing.assert_close(
        mine.decode(latent[:, :4].double()),
        small().decode(latent[:, :4].double()),
        rtol=0,
        atol=1e-5,
    )


def test_wrong_files(tmp_path):
    torch.save(small().state_dict(), tmp_path / 'other.pt')
    torch.save(
        {'state_dict': {'encoder.linear.weight': torch.zeros(32, 138)}}, tmp_path / 'part.pt'
    )
    torch.save({'network': small()}, tmp_path / 'object.pt')
    (tmp_path / 'short.pt').write_bytes((BUNDLED / 'pose_aae_open.pt').read_bytes()[:9000])
    for name, message in (
        ('other', 'not a checkpoint of PoseAutoEncoder'),
        ('part', 'missing'),
        ('object', 'no key matches'),  # the module itself is left out
        ('short', 'not a readable checkpoint'),
        ('none', 'no such'),
    ):
        with pytest.raises(InputError, match=message):
            PoseAutoEncoder(weights=tmp_path / f'{name}.pt')
    with pytest.raises(InputError, match="Did you mean 'open:pose_aae_open'"):
        PoseAutoEncoder(weights='open:pose_aae')


@torch.no_grad()
def test_bundled_weights_reconstruct_held_out_poses(bundled):
    # Measured over all held-out poses: 12.7 and 12.6 mm, 1.75 degrees.
    body, poses = BodyModel(file='open'), OpenPoses('test').rotmat[::7]
    whole = torch.cat([torch.eye(3).expand(len(poses), 1, 3, 3), poses], 1)
    decoded = bundled.project(whole)
    betas = torch.zeros(len(poses), 10)
    for skeleton, bound in (('smpl24', 15), ('lsp14', 15)):
        found, true = (body.joints(rotmat, betas, skeleton) for rotmat in (decoded, whole))
        assert mpjpe(found, true).mean() < bound
    difference = (
        Rotation.from_matrix(decoded.view(-1, 3, 3))
        * Rotation.from_matrix(whole.view(-1, 3, 3)).inv()
    )
    assert np.rad2deg(difference.magnitude()).reshape(-1, 24)[:, 1:].mean() < 2.1
    still = (poses - torch.eye(3)).abs().amax((0, 2, 3)) == 0
    assert still.sum() == 6  # toes, wrists and hands
    assert np.rad2deg(difference.magnitude()).reshape(-1, 24)[:, 1:][:, still].mean() < 0.1


@torch.no_grad()
def test_bundled_weights_decode_any_latent_near_the_training_poses(bundled):
    reference, held_out = OpenPoses('train', mirror=True).rotmat[::4], OpenPoses('test').rotmat
    generator = torch.Generator().manual_seed(0)
    decoded = bundled.decode(torch.rand(200, 32, generator=generator) * 2 - 1)
    pieces = torch.randint(len(held_out), (200, 23), generator=generator)
    loose = held_out[pieces, torch.arange(23)]  # joints that know nothing of each other
    assert nearest_deg(decoded, reference).mean() < nearest_deg(loose, reference).mean() - 1
    assert outside(decoded, reference) < 0.03
    latent = bundled.encode(held_out)
    assert (
        np.mean([stats.kstest(column, stats.uniform(-1, 2).cdf).statistic for column in latent.T])
        < 0.15
    )
