"""Checkpoints: official layouts load, others leave the module as it was, and nothing in a file is executed."""

from __future__ import annotations

import io
import logging
import os
import pickle
import pickletools
import sys
import zipfile

import numpy as np
import pytest
import torch

from hrtk.errors import InputError
from hrtk.models.checkpoints import find_weights, load_official, load_weights, read_checkpoint
from hrtk.models.estimators import HMR


def network(seed: int = 0, width: int = 4, norm: str = 'bn') -> HMR:
    torch.manual_seed(seed)
    return HMR(
        dict(type='ResNet', depth=18, width=width, norm=norm),
        dict(type='IterativeRegressor', hidden=8),
        body=None,
    ).eval()


def official(seed: int = 1, **options) -> dict[str, torch.Tensor]:
    """A state dict under SPIN's flat names."""
    return {
        key.split('.', 1)[1]: value.clone()
        for key, value in network(seed, **options).state_dict().items()
    }


def values(module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda state: state,
        lambda state: {'model': state, 'epoch': 3},
        lambda state: {'state_dict': state},
        lambda state: {'gen_state_dict': state, 'performance': np.float32(56.5)},
        lambda state: {'model': {f'module.{key}': value for key, value in state.items()}},
    ],
)
def test_official_layouts(wrap):
    module, state = network(), official()
    report = load_official(module, wrap(state))
    assert same(values(module), values(network(1)))
    assert report.missing_keys == report.unexpected_keys == report.dropped == ()
    assert len(report.loaded) == len(state)


def test_every_unmatched_key_is_reported():
    module, state = network(), official()
    start = values(module)
    del state['fc2.bias'], state['layer3.1.bn2.weight']
    state.update(
        {
            'keypoint_head.weight': torch.zeros(3),
            'smpl.v_template': torch.zeros(9, 3),
            'regressor.smpl.betas': torch.zeros(1, 10),
        }
    )
    report = load_official(module, state)
    assert set(report.missing_keys) == {'head.fc2.bias', 'backbone.layer3.1.bn2.weight'}
    assert report.unexpected_keys == ('keypoint_head.weight',)
    assert set(report.dropped) == {'smpl.v_template', 'regressor.smpl.betas'}
    assert torch.equal(module.state_dict()['head.fc2.bias'], start['head.fc2.bias'])
    assert torch.equal(module.state_dict()['head.fc1.bias'], state['fc1.bias'])


def test_batch_counters_of_a_batch_norm_file_are_dropped_by_a_group_norm_network():
    report = load_official(network(norm='gn'), official())
    assert report.missing_keys == ()
    assert {key.rsplit('.', 1)[1] for key in report.dropped} == {'num_batches_tracked'}
    assert {key.rsplit('.', 1)[1] for key in report.unexpected_keys} == {
        'running_mean',
        'running_var',
    }


def test_another_shape_leaves_the_module_unchanged():
    module = network()
    before, state = values(module), official()
    state['decshape.weight'] = torch.zeros(11, 8)
    with pytest.raises(
        InputError, match=r'a\.pt.*HMR.*1 of its.*decshape\.weight \(11, 8\), expected \(10, 8\)'
    ):
        load_official(module, state, name='a.pt')
    assert same(values(module), before)


@pytest.mark.parametrize(
    'state',
    [{'encoder.weight': torch.zeros(3)}, {}, {'fc1.weight': 'text'}, {'optimizer': {'lr': 1}}],
)
def test_another_networks_checkpoint(state):
    module = network()
    before = values(module)
    with pytest.raises(InputError, match='not a checkpoint of HMR as configured'):
        load_official(module, state)
    assert same(values(module), before)


def test_load_weights_reads_own_and_official_files(tmp_path):
    torch.save({'model': official()}, tmp_path / 'official.pt')
    torch.save(network(1).state_dict(), tmp_path / 'own.pt')
    for name in ('official.pt', 'own.pt'):
        module = network()
        load_weights(module, tmp_path / name)
        assert same(values(module), values(network(1)))
    module = HMR(
        dict(type='ResNet', depth=18, width=4),
        dict(type='IterativeRegressor', hidden=8),
        body=None,
        weights=str(tmp_path / 'own.pt'),
    )
    assert same(values(module), values(network(1)))


def test_load_weights_insists_on_every_key(tmp_path):
    state = official()
    del state['fc1.bias']
    torch.save(state, tmp_path / 'partial.pt')
    with pytest.raises(InputError, match=r'partial\.pt.*1 missing \(head\.fc1\.bias\)'):
        load_weights(network(), tmp_path / 'partial.pt')
    torch.save(official(width=8), tmp_path / 'wide.pt')
    with pytest.raises(InputError, match=r'wide\.pt.*another shape'):
        load_weights(network(), tmp_path / 'wide.pt')


def test_half_precision_files_load_into_float32(tmp_path):
    torch.save(
        {
            key: value.half() if value.is_floating_point() else value
            for key, value in official().items()
        },
        tmp_path / 'half.pt',
    )
    module = network()
    load_weights(module, tmp_path / 'half.pt')
    assert module.head.fc1.weight.dtype == torch.float32
    torch.testing.assert_close(
        module.head.fc1.weight, network(1).head.fc1.weight, rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize('scalar', [np.float32(56.5), np.float64(56.5), np.int64(7)])
@pytest.mark.parametrize('old_numpy', [False, True])
def test_numpy_scalars_beside_the_weights(tmp_path, scalar, old_numpy):
    path = tmp_path / 'vibe.pth.tar'
    torch.save(
        {'gen_state_dict': official(), 'performance': scalar},
        path,
        _use_new_zipfile_serialization=False,
    )
    if old_numpy:  # the module's name before numpy 2, which the released files carry
        path.write_bytes(
            path.read_bytes().replace(b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n')
        )
        assert b'numpy._core' not in path.read_bytes()
    content = read_checkpoint(path)
    assert content['performance'] == scalar
    assert load_official(network(), content).missing_keys == ()


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('zipped', [True, False])
def test_a_payload_is_refused_and_not_run(tmp_path, zipped):
    target = tmp_path / 'made_by_the_payload'
    torch.save(
        {'model': official(), 'extra': Payload(target)},
        tmp_path / 'evil.pt',
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(InputError, match=r'evil\.pt.*does not execute'):
        read_checkpoint(tmp_path / 'evil.pt')
    assert not target.exists()
    (tmp_path / 'plain.pkl').write_bytes(pickle.dumps(Payload(target), protocol=2))
    with pytest.raises(InputError, match=r'plain\.pkl'):
        read_checkpoint(tmp_path / 'plain.pkl')
    assert not target.exists()


def text(value: str) -> bytes:
    """The opcode of a string (BINUNICODE)."""
    encoded = value.encode()
    return b'X' + len(encoded).to_bytes(4, 'little') + encoded


# Objects of classes that exist nowhere, as opcodes of pickle protocol 2.
FOREIGN = {
    # yacs' CfgNode: a dict of its own class, with entries, one of them another such dict, and a state.
    'dict': b'cnowhere.config\nCfgNode\n)\x81'
    + (text('SIZE') + b'K\x07s')
    + (text('MODEL') + b'cnowhere.config\nCfgNode\n)\x81' + text('DEPTH') + b'K\x12ss')
    + (b'}' + text('__immutable__') + b'\x88sb'),
    'list': b'cnowhere\nListConfig\n)\x81(K\x01K\x02e',
    'call': b'cnowhere\nmake\n(K\x01' + text('a') + b'tR}' + text('x') + b'K\x01sb',
    'old class': b'(K\x01inowhere\nThing\n',
    'reconstructor': b'ccopy_reg\n_reconstructor\n(cnowhere\nThing\nc__builtin__\nobject\nNtR',
    'class': b'cnowhere\nThing\n',
    'library': b'cpathlib\nPosixPath\n(' + text('/home/author') + b'tR',
    'in a list': b'](K\x01cnowhere\nThing\n)\x81e',
    'in a tuple': b'K\x01cnowhere\nThing\n)\x81\x86',
}


def with_opcodes(path, opcodes, zipped):
    """A checkpoint beside whose state dict stands ``hyper_parameters``, written as these opcodes."""
    entry = (
        text('hyper_parameters') + b'}' + text('cfg') + opcodes + b's' + text('lr') + b'K\x02ss.'
    )
    torch.save({'state_dict': official(), 'epoch': 35}, path, _use_new_zipfile_serialization=zipped)
    if not zipped:
        # Magic number, protocol, system, content, keys of the storages: five pickles one after the other.
        data = path.read_bytes()
        stream = io.BytesIO(data)
        for _ in range(4):
            for _opcode in pickletools.genops(stream):
                pass
        end = stream.tell()
        path.write_bytes(data[: end - 1] + entry + data[end:])
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in members.items():
            if name.endswith('/data.pkl'):
                assert data.endswith(b'.')
                data = data[:-1] + entry
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('kind', FOREIGN)
def test_tensors_beside_objects_of_foreign_classes(tmp_path, caplog, kind, zipped):
    """As Lightning saves: a state dict, and hyper-parameters of classes that are not installed."""
    path = with_opcodes(tmp_path / 'lightning.ckpt', FOREIGN[kind], zipped)
    with caplog.at_level(logging.WARNING):
        content = read_checkpoint(path)
    assert content['epoch'] == 35 and content['hyper_parameters'] == {'lr': 2}
    assert content['state_dict'].keys() == official().keys()
    for key, value in official().items():
        assert torch.equal(content['state_dict'][key], value)
    report = load_official(network(1), content)
    assert report.missing_keys == () and report.unexpected_keys == ()
    name = 'pathlib.PosixPath' if kind == 'library' else 'nowhere'
    assert f'left out objects of {name}' in caplog.text
    assert 'nowhere' not in sys.modules


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    'call, refused',
    [
        ('posix\nsystem', True),
        ('os\nsystem', True),
        ('nt\nsystem', True),
        ('subprocess\ngetoutput', True),
        ('builtins\neval', True),
        ('__builtin__\nexec', True),
        ('builtins\ngetattr', False),
        ('torch.serialization\nload', False),
        ('webbrowser\nopen', False),
        ('timeit\ntimeit', False),
    ],
)
def test_hostile_hyper_parameters_are_not_executed(tmp_path, monkeypatch, call, refused, zipped):
    target = tmp_path / 'made_by_the_payload'
    command = f'touch {target}'
    if 'eval' in call or 'exec' in call or 'timeit' in call:
        command = f'open({str(target)!r}, "w")'
    opcodes = f'c{call}\n('.encode() + text(command) + b'tR'
    path = with_opcodes(tmp_path / 'evil.ckpt', opcodes, zipped)
    if refused:
        with pytest.raises(InputError, match=r'evil\.ckpt.*does not execute'):
            read_checkpoint(path)
    else:
        assert read_checkpoint(path)['hyper_parameters'] == {'lr': 2}
    assert not target.exists()


def test_a_whole_model_and_a_script_are_no_state_dict(tmp_path):
    torch.save(network(), tmp_path / 'model.pt')
    with pytest.raises(InputError, match=r'model\.pt: expected a state dict, found a hrtk\.'):
        read_checkpoint(tmp_path / 'model.pt')
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / 'script.pt')
    with pytest.raises(InputError, match=r'script\.pt'):
        read_checkpoint(tmp_path / 'script.pt')


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('share', [0, 1e-4, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path, zipped, share):
    torch.save({'model': official()}, tmp_path / 'whole.pt', _use_new_zipfile_serialization=zipped)
    data = (tmp_path / 'whole.pt').read_bytes()
    (tmp_path / 'cut.pt').write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r'cut\.pt'):
        read_checkpoint(tmp_path / 'cut.pt')


def test_a_file_that_is_no_state_dict(tmp_path):
    torch.save([torch.zeros(3)], tmp_path / 'list.pt')
    with pytest.raises(InputError, match=r'list\.pt.*found a list'):
        read_checkpoint(tmp_path / 'list.pt')
    (tmp_path / 'page.pt').write_text('<html>please log in</html>')
    with pytest.raises(InputError, match=r'page\.pt'):
        read_checkpoint(tmp_path / 'page.pt')


def test_missing_files(tmp_path):
    with pytest.raises(InputError, match=r'none\.pt: no such checkpoint.*configs: open:'):
        find_weights(tmp_path / 'none.pt')
    with pytest.raises(
        InputError, match="weights='open:r18_studi'.*Did you mean 'open:r18_studio'"
    ):
        find_weights('open:r18_studi')
