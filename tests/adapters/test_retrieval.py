"""Banks of exemplars: what is found, what is written, and what is refused."""

from __future__ import annotations

import copy
import json
import warnings

import numpy as np
import pytest
import torch
from tiny_parts import SIZE, VIEWS, RandomViews, Tiny

from hrtk.adapters.bilevel import bank_files, retrieval
from hrtk.adapters.bilevel.bank_files import build_bank
from hrtk.adapters.bilevel.retrieval import ExemplarLookup, RetrievalBank
from hrtk.adapters.parts.trunk import Trunk
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'retrieval'


@pytest.fixture(scope='module')
def model():
    return Tiny()


@pytest.fixture(scope='module')
def unit(model):
    """Features of 40 views by the network itself, one by one, as unit vectors."""
    views = RandomViews(SIZE, 40, double=True)
    with torch.no_grad():
        found = torch.cat(
            [model(normalise(views[i]['image'].float()[None]).double()).features for i in range(40)]
        )
    return found / found.norm(dim=1, keepdim=True)


DATA = dict(VIEWS, length=40)


def find(bank, query):
    return bank._pick(bank.locate(query), bank.random_numbers())


@pytest.mark.parametrize('resident', [1 << 30, 0])
@pytest.mark.parametrize('chunk', [7, 1 << 16])
def test_nearest_by_brute_force(model, unit, resident, chunk, monkeypatch):
    monkeypatch.setattr(retrieval, 'ROWS_AT_ONCE', chunk)
    bank = RetrievalBank(dataset=DATA, batch=3, resident=resident)
    bank.load(model)
    for seed in range(5):
        query = torch.randn(
            1, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        ).abs()
        expected = (unit @ query[0]).argsort(descending=True)[:3].sort().values
        assert find(bank, query).tolist() == expected.tolist()
        trunk = Trunk(model, ['backbone.conv1.weight'])
        batch = ExemplarLookup(bank).find_crops('lower', bank.random_numbers(), query, trunk)
        views = [RandomViews(SIZE, double=True)[int(i)] for i in expected]
        for name in ('rotmat', 'betas', 'keypoints2d'):
            assert torch.equal(getattr(batch, name), torch.stack([view[name] for view in views]))
        assert torch.equal(
            batch.images, normalise(torch.stack([view['image'] for view in views]).float()).double()
        )


def test_topk_draws_among_the_best(model, unit):
    bank = RetrievalBank(dataset=DATA, batch=2, topk=6)
    bank.load(model)
    torch.manual_seed(0)
    drawn = [find(bank, unit[:1]).tolist() for _ in range(60)]
    assert {i for pair in drawn for i in pair} == set(
        (unit @ unit[0]).argsort(descending=True)[:6].tolist()
    )
    assert all(a != b for a, b in drawn)


def test_clusters_partition_the_bank_and_members_lie_near_their_centre(model, unit):
    bank = RetrievalBank(dataset=DATA, mode='cluster', clusters=5, batch=2)
    bank.load(model)
    centers, members, counts = (bank._arrays[name] for name in ('centers', 'members', 'counts'))
    assert sorted(members.tolist()) == list(range(40)) and counts.sum() == 40 and (counts > 0).all()
    clusters = [set(part.tolist()) for part in members.split(counts.tolist())]
    nearest = (unit.float() @ centers.T).argmax(1)
    assert all(i in clusters[k] for i, k in enumerate(nearest.tolist()))
    torch.manual_seed(0)
    for i in range(40):
        assert set(find(bank, unit[i : i + 1]).tolist()) <= clusters[nearest[i]]
    drawn = {i for _ in range(200) for i in find(bank, unit[:1]).tolist()}
    assert drawn == clusters[nearest[0]]


def test_a_guess_is_the_last_answer_with_new_chances(model, unit):
    bank, trunk = (
        RetrievalBank(dataset=DATA, mode='cluster', clusters=5, batch=2),
        Trunk(model, ['head.fc1.weight']),
    )
    bank.load(model)
    _, members, counts = (bank._arrays[name] for name in ('centers', 'members', 'counts'))
    one, other = (unit[part[:1]] for part in members.split(counts.tolist())[:2])
    lookup = ExemplarLookup(bank)
    assert lookup.expected_crops('lower', bank.random_numbers(), trunk) is None
    lookup.find_crops('lower', bank.random_numbers(), one, trunk)
    for level, query, guessed, right in (
        ('upper', one, True, True),
        ('upper', one, True, True),
        ('upper', other, True, False),
        ('upper', other, False, True),
        ('upper', other, True, True),
        ('lower', other, False, True),
    ):
        torch.manual_seed(4)
        random_numbers = bank.random_numbers()
        expected_batch = lookup.expected_crops(level, random_numbers, trunk)
        assert (expected_batch is not None) == guessed
        found = lookup.find_crops(level, random_numbers, query, trunk, expected_batch)
        assert (found is expected_batch) == (guessed and right)
        torch.manual_seed(4)
        expected = [RandomViews(SIZE, double=True)[int(i)]['betas'] for i in find(bank, query)]
        assert torch.equal(found.betas, torch.stack(expected))
    lookup.forget()
    assert lookup.expected_crops('upper', None, trunk) is None


def test_a_bank_is_built_once_per_network(model, cache, monkeypatch):
    RetrievalBank(dataset=DATA).load(model)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(retrieval, 'build_bank', None)
    RetrievalBank(dataset=DATA).load(model)
    with pytest.raises(TypeError):  # other weights need a bank of their own
        RetrievalBank(dataset=DATA).load(Tiny(seed=1))


def test_a_folder_that_was_written_is_read_back(model, unit, tmp_path, monkeypatch):
    monkeypatch.setattr(bank_files, 'ROWS_AT_ONCE', 16)
    build_bank(
        model,
        RandomViews(SIZE, 40, double=True),
        tmp_path / 'bank',
        count=30,
        clusters=4,
        batch_size=8,
    )
    stored = np.load(tmp_path / 'bank' / 'features.npy')
    assert stored.dtype == np.float16 and stored.shape == (30, 32)
    spread = [round(39 * k / 29) for k in range(30)]  # not the first 30 rows
    np.testing.assert_allclose(stored, unit[spread].numpy(), atol=1e-3)
    assert not list(tmp_path.glob('*.part'))
    bank = RetrievalBank(folder=str(tmp_path / 'bank'), mode='cluster')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        bank.load(model)
    first = bank.fingerprint()
    build_bank(model, RandomViews(SIZE, 40, double=True), tmp_path / 'bank', count=31)
    assert RetrievalBank(folder=str(tmp_path / 'bank')).fingerprint() != first
    with pytest.warns(UserWarning, match='features were computed with other weights'):
        RetrievalBank(folder=str(tmp_path / 'bank')).load(Tiny(seed=3))
    with pytest.raises(InputError, match='centers.npy.*--clusters'):
        RetrievalBank(folder=str(tmp_path / 'bank'), mode='cluster').load(model)


def test_a_bank_does_not_touch_the_random_numbers_of_the_run(model):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    RetrievalBank(dataset=DATA, mode='cluster', clusters=3).load(model)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(), 'either'),
        (dict(folder='x', dataset=DATA), 'either'),
        (dict(dataset=DATA, mode='near'), 'mode is one of'),
        (dict(dataset=DATA, batch=3, topk=2), 'topk=2'),
        (dict(dataset=DATA, mode='cluster'), 'clusters'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        RetrievalBank(**options)


def test_folders_that_are_no_banks(model, tmp_path):
    with pytest.raises(InputError, match='no retrieval bank.*build_retrieval_bank'):
        RetrievalBank(folder=str(tmp_path / 'nothing')).load(model)
    folder = build_bank(model, RandomViews(SIZE, 4, double=True), tmp_path / 'bank')
    other = copy.deepcopy(model)
    other.resolution = 64
    with pytest.raises(InputError, match=r'\(3, 32, 32\) and the estimator takes \(3, 64, 64\)'):
        RetrievalBank(folder=str(folder)).load(other)
    with pytest.raises(InputError, match=r'\(3, 32, 32\) and the estimator takes \(3, 64, 64\)'):
        RetrievalBank(dataset=DATA).load(other)
    meta = json.loads((folder / 'bank.json').read_text())
    (folder / 'bank.json').write_text(json.dumps({**meta, 'format': 0}))
    with pytest.raises(InputError, match='format 0'):
        RetrievalBank(folder=str(folder)).load(model)
