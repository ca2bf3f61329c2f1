"""A run that was killed, distributed over processes or damaged ends with the digits of an uninterrupted run."""

import dataclasses

import numpy as np
import pytest

from hrtk.apis import adapt
from hrtk.engine import Result
from hrtk.errors import InputError


def stored(work_dir):
    return sorted((work_dir / 'results').glob('*/*.npz'))


@pytest.fixture
def whole(config, tmp_path, digits):
    adapt(config, work_dir=tmp_path / 'whole')
    return digits(tmp_path / 'whole')


def test_kill_and_rerun(run_tool, config, whole, digits, tmp_path):
    killed = run_tool(tmp_path / 'run', FAKE_KILL=10)  # frame 10 lies in the third sequence
    assert killed.returncode == -9
    assert [path.name for path in stored(tmp_path / 'run')] == ['clip%2F0.npz', 'clip%2F1.npz']
    times = [path.stat().st_mtime_ns for path in stored(tmp_path / 'run')]
    adapt(config, work_dir=tmp_path / 'run')
    assert [path.stat().st_mtime_ns for path in stored(tmp_path / 'run')[:2]] == times
    assert digits(tmp_path / 'run') == whole


def test_two_processes(run_tool, whole, digits, tmp_path):
    done = run_tool(tmp_path / 'run', processes=2)
    assert done.returncode == 0, done.stderr
    assert digits(tmp_path / 'run') == whole
    assert done.stdout.count('protocol open') == 1


@pytest.mark.parametrize('kill', [4, 10, 17])
def test_carried_state_continues_exactly(fork, config, digits, tmp_path, kill):
    options = {'adapter.reset': 'never'}
    adapt(config, work_dir=tmp_path / 'whole', cfg_options=options)
    assert fork(tmp_path / 'run', options, FAKE_KILL=kill)[0][0] == -9
    if kill == 17:
        # As if killed between a result and its state: the result must not count.
        last = Result.load(stored(tmp_path / 'whole')[4])
        path = stored(tmp_path / 'run')[0].parent / 'clip%2F4.npz'
        dataclasses.replace(last, after=last.before).save(path)
    adapt(config, work_dir=tmp_path / 'run', cfg_options=options)
    assert digits(tmp_path / 'run') == digits(tmp_path / 'whole')


@pytest.mark.parametrize('damage', ['result', 'state'])
def test_carried_state_starts_again_when_damaged(config, digits, tmp_path, damage):
    options = {'adapter.reset': 'never'}
    adapt(config, work_dir=tmp_path, cfg_options=options)
    before = digits(tmp_path)
    if damage == 'result':
        path = stored(tmp_path)[1]
    else:
        path = next((tmp_path / 'results').glob('*/state.pt'))
    path.write_bytes(path.read_bytes()[:-200])
    adapt(config, work_dir=tmp_path, cfg_options=options)
    assert digits(tmp_path) == before


@pytest.mark.parametrize('damage', ['cut', 'flipped', 'empty', 'foreign'])
def test_damaged_result_is_computed_again(config, digits, tmp_path, capfd, damage):
    adapt(config, work_dir=tmp_path)
    before = digits(tmp_path)
    path = stored(tmp_path)[2]
    data = path.read_bytes()
    if damage == 'foreign':
        np.savez(path, schema='something-else')
    elif damage == 'flipped':
        path.write_bytes(data[:2000] + bytes([data[2000] ^ 255]) + data[2001:])
    elif damage == 'cut':
        path.write_bytes(data[: len(data) // 2])
    else:
        path.write_bytes(b'')
    capfd.readouterr()
    adapt(config, work_dir=tmp_path)
    assert path.name in capfd.readouterr().out
    assert digits(tmp_path) == before
    assert len(Result.load(path)) == 2


def test_no_resume_computes_again(config, digits, tmp_path):
    adapt(config, work_dir=tmp_path)
    before = digits(tmp_path)
    times = [path.stat().st_mtime_ns for path in stored(tmp_path)]
    adapt(config, work_dir=tmp_path, resume=False)
    assert all(path.stat().st_mtime_ns > t for path, t in zip(stored(tmp_path), times))
    assert digits(tmp_path) == before


def test_other_settings_get_another_folder(config, tmp_path):
    first = adapt(config, work_dir=tmp_path)
    for options in ({'adapter.step': 2e-3}, {'randomness.seed': 1}, {'estimator.scale': 0.03}):
        other = adapt(config, work_dir=tmp_path, cfg_options=options)
        assert other['Jiggle/mpjpe_mm'] != first['Jiggle/mpjpe_mm']
    options = {'log_level': 'WARNING', 'evaluator.protocol': 'open'}
    adapt(config, work_dir=tmp_path, cfg_options=options)
    assert len(list((tmp_path / 'results').iterdir())) == 4


def test_changed_keypoints_are_noticed(config, tmp_path, monkeypatch):
    first = adapt(config, work_dir=tmp_path)
    # The config stays the same, as when a keypoint file is edited.
    monkeypatch.setenv('FAKE_SHIFT', '5')
    second = adapt(config, work_dir=tmp_path)
    assert second['Source/reprojection_px'] != first['Source/reprojection_px']
    adapt(config, work_dir=tmp_path / 'never', cfg_options={'adapter.reset': 'never'})
    monkeypatch.setenv('FAKE_SHIFT', '6')
    with pytest.raises(InputError, match='clip/0.*--no-resume'):
        adapt(config, work_dir=tmp_path / 'never', cfg_options={'adapter.reset': 'never'})


def test_bad_file_ends_the_run_but_keeps_what_is_done(config, tmp_path):
    with pytest.raises(
        InputError, match='cannot be decoded(.|\n)*3 of 5 sequences are finished(.|\n)*resumes'
    ):
        adapt(config, work_dir=tmp_path, cfg_options={'dataset.bad': 3})
    assert len(stored(tmp_path)) == 3


def test_bad_file_of_one_process_lets_the_other_finish(fork, tmp_path):
    outcomes = fork(tmp_path / 'run', {'dataset.bad': 1}, processes=2)
    for code, message in outcomes:
        assert code == 2
        assert 'cannot be decoded' in message and '3 of 5 sequences are finished' in message
    assert len(stored(tmp_path / 'run')) == 3


@pytest.mark.parametrize('options', [{}, {'adapter.type': 'Diligent'}])
@pytest.mark.parametrize('lost', ['clip%2F0', 'clip%2F1'])  # of the first process, of the second
def test_a_process_with_nothing_to_compute_lets_the_other_finish(
    fork, config, digits, tmp_path, options, lost
):
    adapt(config, work_dir=tmp_path, cfg_options=options)
    whole = digits(tmp_path)
    next((tmp_path / 'results').glob(f'*/{lost}.npz')).unlink()
    assert [code for code, _ in fork(tmp_path, options, processes=2)] == [0, 0]
    assert digits(tmp_path) == whole


def test_more_processes_than_sequences(fork, config, digits, tmp_path):
    options = {'dataset.lengths': (3, 5)}
    adapt(config, work_dir=tmp_path / 'whole', cfg_options=options)
    assert [code for code, _ in fork(tmp_path / 'run', options, processes=3)] == [0, 0, 0]
    assert digits(tmp_path / 'run') == digits(tmp_path / 'whole')


def test_carried_state_is_refused_by_two_processes(fork, tmp_path):
    for code, message in fork(tmp_path / 'run', {'adapter.reset': 'never'}, processes=2):
        assert code == 2 and "reset='never'" in message and '2 processes' in message
