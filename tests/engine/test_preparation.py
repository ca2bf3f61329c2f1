"""A preparation survives kills, is done once for all processes, and leaves a checkpoint."""

import pytest
import torch

from hrtk.apis import adapt

OPTIONS = {'adapter.type': 'Diligent'}


@pytest.fixture
def whole(config, tmp_path, digits):
    adapt(config, work_dir=tmp_path / 'whole', cfg_options=OPTIONS)
    return digits(tmp_path / 'whole')


def files(work_dir):
    return sorted(path.name for path in (work_dir / 'results').glob('*/*.pt'))


def test_kill_inside_and_rerun(fork, config, whole, digits, tmp_path, monkeypatch):
    assert fork(tmp_path / 'run', OPTIONS, FAKE_KILL_PREPARE=6)[0][0] == -9
    assert files(tmp_path / 'run') == ['prepare_progress.pt']
    monkeypatch.setenv('FAKE_DIARY', str(tmp_path / 'diary'))
    adapt(config, work_dir=tmp_path / 'run', cfg_options=OPTIONS)
    assert (tmp_path / 'diary').read_text() == 'xxxx'
    assert digits(tmp_path / 'run') == whole


def test_kill_after_it_keeps_its_result(fork, config, whole, digits, tmp_path, monkeypatch):
    assert fork(tmp_path / 'run', OPTIONS, FAKE_KILL=10)[0][0] == -9
    assert files(tmp_path / 'run') == ['prepared.pt']
    monkeypatch.setenv('FAKE_DIARY', str(tmp_path / 'diary'))
    adapt(config, work_dir=tmp_path / 'run', cfg_options=OPTIONS)
    assert not (tmp_path / 'diary').exists()
    assert digits(tmp_path / 'run') == whole


def test_two_processes_share_one(fork, whole, digits, tmp_path, capfd):
    capfd.readouterr()
    assert [code for code, _ in fork(tmp_path / 'run', OPTIONS, processes=2)] == [0, 0]
    assert digits(tmp_path / 'run') == whole
    assert 'prepare: 10/10, loss' in capfd.readouterr().out


def test_a_damaged_state_is_reported_and_made_again(fork, config, whole, digits, tmp_path, capfd):
    assert fork(tmp_path / 'run', OPTIONS, FAKE_KILL_PREPARE=6)[0][0] == -9
    state = next((tmp_path / 'run' / 'results').glob('*/prepare_progress.pt'))
    state.write_bytes(state.read_bytes()[:-100])
    adapt(config, work_dir=tmp_path / 'run', cfg_options=OPTIONS)
    assert 'damaged' in ''.join(capfd.readouterr())
    assert digits(tmp_path / 'run') == whole


def test_the_result_is_a_checkpoint(config, whole, tmp_path):
    path = next((tmp_path / 'whole' / 'results').glob('*/prepared.pt'))
    content = torch.load(path, weights_only=True)
    assert content['state_dict']['weight'].shape == (157, 192)
