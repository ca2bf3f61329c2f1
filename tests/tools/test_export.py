"""tools/export.py: which files, several tracks and bodies, and what it says when something is wrong."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.apis import adapt
from hrtk.apis.look.exporting import export
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.camera import crop_to_image_camera
from hrtk.testing import write_body_files

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/export.py'
OPTIONS = {'dataset.sequences': 2, 'dataset.frames': 3, 'dataset.size': 64, 'outputs': None}


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('finished')
    adapt(ROOT / 'configs/source/r18_wild.py', work_dir=folder, cfg_options=OPTIONS)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a work dir with two tracks of three frames."""
    return Path(shutil.copytree(finished, tmp_path / 'run'))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Runs the tool in this process: (exit code, stdout, stderr)."""

    def start(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            runpy.run_path(str(TOOL), run_name='__main__')
        return exit.value.code, *capsys.readouterr()

    return start


def results(run: Path) -> Path:
    (folder,) = run.glob('results/*')
    return folder


def vertices(text: str) -> np.ndarray:
    return np.array(
        [line.split()[1:] for line in text.splitlines() if line.startswith('v ')], float
    )


def test_files_of_two_tracks(run: Path, command) -> None:
    code, stdout, stderr = command(run, '--formats', 'glb', 'bvh', 'amass', 'obj', 'joints')
    assert code == 0
    target = results(run) / 'exports/after'
    stems = sorted(path.stem for path in results(run).glob('*.npz'))
    assert len(stems) == 2
    wanted = {
        f'{folder}/{stem}{ending}'
        for stem in stems
        for folder, ending in (
            ('glb', '.glb'),
            ('bvh', '.bvh'),
            ('amass', '.npz'),
            ('amass', '_smplx.npz'),
            ('joints', '.csv'),
            ('joints', '.json'),
            ('obj', '/000000.obj'),
            ('obj', '/000001.obj'),
            ('obj', '/000002.obj'),
        )
    }
    assert {
        path.relative_to(target).as_posix() for path in target.rglob('*') if path.is_file()
    } == wanted | {'motion.json'}
    facts = json.loads((target / 'motion.json').read_text())
    assert sorted(facts) == stems and all(f'{stem}: focal length' in stderr for stem in stems)
    assert sorted(stdout.split()) == sorted(
        str(target / name.partition('/0')[0])
        for name in wanted
        if '/00000' not in name or name.endswith('/000000.obj')
    )
    tracks = [np.load(target / f'amass/{stem}.npz')['poses'] for stem in stems]
    assert tracks[0].shape == tracks[1].shape == (3, 72) and not np.allclose(*tracks)


def test_a_mesh_is_the_one_of_the_result(run: Path) -> None:
    """With the mean shape, where the crop camera shows it; without filter and turn."""
    path = sorted(results(run).glob('*.npz'))[1]
    result, body = np.load(path), BodyModel()
    size = tuple(result['image_size'])
    for row, prefix in (('after', ''), ('before', 'before_')):
        plain = dict(viewing_ray=False, smooth=0, floor=False)
        export(run, ['obj'], row=row, world='camera', out=run / 'out', focal=900, **plain)
        rotmat, betas, camera, boxes = (
            torch.as_tensor(result[key])
            for key in (f'{prefix}rotmat', f'{prefix}betas', f'{prefix}camera', 'boxes')
        )
        mesh = body(rotmat, betas.mean(0, keepdim=True).expand_as(betas)).vertices
        expected = crop_to_image_camera(camera, boxes, size, 900.0).numpy()
        folder = run / 'out' / results(run).name / row / 'obj' / path.stem
        for t in range(3):
            shift = vertices((folder / f'{t:06d}.obj').read_text()) - mesh[t].numpy()
            np.testing.assert_allclose(shift, shift[:1].repeat(len(shift), 0), atol=1e-5)
            np.testing.assert_allclose(shift[0], expected[t], rtol=0.03, atol=0.03)


def test_the_camera_and_the_filter_are_options(run: Path) -> None:
    def joints(**options) -> dict:
        written = export(run, ['joints'], sequences='*_000', out=run / 'out', **options)
        return json.loads(next(path for path in written if path.suffix == '.json').read_text())

    assert joints(fov=90)['focal'] == pytest.approx(32) and joints(focal=77)['focal'] == 77
    assert joints()['focal'] == pytest.approx(np.hypot(64, 64))
    turned, plain = (np.array(joints(viewing_ray=ray)['xyz']) for ray in (True, False))
    assert np.abs(turned - plain).max() > 1e-3
    facts = json.loads(next((run / 'out').glob('*/after/motion.json')).read_text())
    assert [name for name in facts] == ['wild_s0_000'] and not facts['wild_s0_000']['viewing_ray']


def test_a_result_with_a_focal_length(run: Path) -> None:
    path = sorted(results(run).glob('*.npz'))[0]
    values = dict(np.load(path))
    assert 'focal' not in values
    np.savez(path, **values, focal=321.0)
    export(run, ['bvh'])
    facts = json.loads((results(run) / 'exports/after/motion.json').read_text())
    assert facts[path.stem]['focal_px'] == 321 and facts[path.stem]['focal_known']
    assert not facts['wild_s0_001']['focal_known']


def test_choice_of_sequences_and_place(run: Path, command) -> None:
    code, stdout, _ = command(
        results(run),
        '--formats',
        'bvh',
        '--sequences',
        '*_001',
        '--out',
        run / 'out',
        '--row',
        'before',
        '--focal',
        '500',
        '--world',
        'z-up',
    )
    (written,) = stdout.split()
    assert code == 0 and Path(written).parent == run / 'out' / results(run).name / 'before/bvh'
    assert written.endswith('_001.bvh') and not (results(run) / 'exports').exists()


def test_frames_of_a_longer_result_do_not_stay(run: Path) -> None:
    folder = export(run, ['obj'])[0]
    (folder / '000003.obj').write_text('old')
    (folder / 'scene.mtl').write_text('mine')
    export(run, ['obj'])
    assert sorted(path.name for path in folder.iterdir()) == [
        '000000.obj',
        '000001.obj',
        '000002.obj',
        'scene.mtl',
    ]


def test_a_run_on_an_smpl_file(run: Path, tmp_path: Path) -> None:
    write_body_files(tmp_path)
    file, record = tmp_path / 'body_models/smpl/SMPL_MALE.pkl', results(run) / 'run.json'
    content = json.loads(record.read_text())
    body = BodyModel(file)
    content['config']['estimator']['body']['file'] = str(file)
    content['fingerprints']['estimator']['body'] = body.data.sha256
    record.write_text(json.dumps(content))
    written = export(run, ['amass', 'obj'], world='z-up')
    data = np.load(next(path for path in written if path.suffix == '.npz'))
    assert str(data['gender']) == 'male' and str(data['body']) == 'SMPL_MALE'
    assert all(
        len(vertices((path / '000002.obj').read_text())) == 6890
        for path in written
        if path.suffix == ''
    )


def damage(run: Path) -> None:
    path = sorted(results(run).glob('*.npz'))[1]
    path.write_bytes(path.read_bytes()[:900])


def shorten(run: Path) -> None:
    path = sorted(results(run).glob('*.npz'))[0]
    values = dict(np.load(path))
    np.savez(path, **{**values, 'boxes': values['boxes'][:2]})


def empty(run: Path) -> None:
    for path in results(run).glob('*.npz'):
        path.unlink()


def other_body(run: Path) -> None:
    record = results(run) / 'run.json'
    content = json.loads(record.read_text())
    content['fingerprints']['estimator']['body'] = 'f00'
    record.write_text(json.dumps(content))


def missing_body(run: Path) -> None:
    record = results(run) / 'run.json'
    content = json.loads(record.read_text())
    assert content['config']['estimator']['body']['file'] == 'open'
    content['config']['estimator']['body']['file'] = 'gone/SMPL_NEUTRAL.pkl'
    record.write_text(json.dumps(content))


@pytest.mark.parametrize(
    'change, arguments, parts',
    [
        (
            lambda run: shutil.rmtree(run / 'results'),
            [],
            ['no', 'run.json', 'run tools/adapt.py first'],
        ),
        (empty, [], ['no results', 'run tools/adapt.py again']),
        (damage, [], ['_001.npz', 'not a complete hrtk-result-1 file', 'delete it and run again']),
        (shorten, [], ['boxes', 'delete this result and run tools/adapt.py again']),
        (other_body, [], ['open_body.npz', 'not the body file', 'run tools/adapt.py again']),
        (missing_body, [], ['gone/SMPL_NEUTRAL.pkl', 'smpl.is.tue.mpg.de']),
        (None, ['--formats', 'gbl'], ["no format 'gbl'", "Did you mean 'glb'?"]),
        (
            None,
            ['--formats', 'xyzzy'],
            ["no format 'xyzzy'", 'Known: glb, bvh, fbx, amass, joints, trc, c3d, obj.'],
        ),
        (None, ['--row', 'between'], ["no row 'between'"]),
        (None, ['--world', 'up'], ["no world 'up'"]),
        (None, ['--focal', '0'], ['focal', 'not 0']),
        (None, ['--sequences', 'nobody*'], ["no result fits 'nobody*'", 'wild_s0_000']),
    ],
)
def test_bad_input(run: Path, command, change, arguments: list[str], parts: list[str]) -> None:
    if change:
        change(run)
    code, stdout, stderr = command(run, *arguments)
    assert (
        code == 2 and stdout == '' and stderr.startswith('error: ') and stderr.count('error') == 1
    )
    for part in parts:
        assert part in stderr
    assert not list(run.rglob('exports'))  # all is read before anything is written


def test_no_formats(run: Path) -> None:
    with pytest.raises(InputError, match='no format was named'):
        export(run, [])


def test_an_unfinished_folder_beside_a_finished_one(run: Path) -> None:
    whole, other = results(run), run / 'results/000000000000'
    other.mkdir()
    shutil.copy(whole / 'run.json', other)
    assert len(export(run, ['bvh'])) == 2


def test_a_name_that_is_escaped(run: Path) -> None:
    path = sorted(results(run).glob('*.npz'))[0]
    path.rename(path.with_name('people%2Fone.npz'))
    (written,) = export(run, ['glb'], sequences='people/*')
    assert written.name == 'people%2Fone.glb'


@pytest.mark.parametrize(
    'stem', ['tänzer 日本 #1', 't%C3%A4nzer %E6%97%A5%E6%9C%AC %231']
)  # today's file, and that of an earlier version
def test_a_name_that_is_not_ascii(run: Path, stem: str) -> None:
    path = sorted(results(run).glob('*.npz'))[0]
    path.rename(path.with_name(f'{stem}.npz'))
    (written,) = export(run, ['bvh'], sequences='tänzer*')
    assert written.name == 'tänzer 日本 #1.bvh'
    assert list(json.loads((written.parents[1] / 'motion.json').read_text())) == ['tänzer 日本 #1']
