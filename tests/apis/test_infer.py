"""One command from a video: what it makes, what it leaves alone when it is run again, and what it refuses."""

import dataclasses
import json
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from infer_parts import FRAMES, OPEN, ROOT, Stub, film, picture, points

import hrtk.apis.look.report as report_api
import hrtk.visualization.report as report_page
from hrtk.apis.detect import detect
from hrtk.apis.doubts import stored_doubts
from hrtk.apis.infer import infer
from hrtk.apis.look.report import report
from hrtk.apis.look.stored import bodies_by_role
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.errors import InputError
from hrtk.evaluation import get_protocol
from hrtk.geometry.camera import viewing_rotation
from hrtk.results import Result
from hrtk.structures import GroundTruth
from hrtk.visualization.export import Placing


def test_start_model_of_drawn_people(drawn_clip, two_people, tmp_path):
    frozen = dict(adapt=ROOT / 'configs/source/r18_wild.py', output=tmp_path)
    made = infer(drawn_clip, two_people, export=['npz', 'bvh'], **frozen)
    names = sorted(path.name for path in made.results.glob('*.npz'))
    assert names == ['clip_person0.npz', 'clip_person1.npz']
    result = np.load(made.results / names[0])
    assert result['rotmat'].shape == (FRAMES, 24, 3, 3) and result['keypoints_source'] == 'rtmlib'
    np.testing.assert_array_equal(result['rotmat'], result['before_rotmat'])
    assert made.metrics['frames'] == 2 * FRAMES
    frames = film(made.overlay)
    assert made.overlay == tmp_path / 'overlay.mp4' and len(frames) == FRAMES
    # Bodies are drawn over both people and not between them.
    changed = np.mean(
        [np.abs(frame - picture(t)).max(-1) > 40 for t, frame in enumerate(frames)], axis=0
    )
    assert (
        changed[50:80, 110:125].max() > 0.5
        and changed[50:80, 25:60].max() > 0.5
        and changed[:, 90:95].max() == 0
    )
    assert [path.suffix for path in made.exports] == ['.npz', '.npz', '.bvh'] * 2
    assert len(list(tmp_path.glob('pictures/*/*.png'))) == 2 * FRAMES

    stamps = {path: path.stat().st_mtime_ns for path in [*made.results.glob('*.npz'), made.overlay]}
    assert infer(drawn_clip, two_people, **frozen).metrics[
        'Source/reprojection_px'
    ] == pytest.approx(made.metrics['Source/reprojection_px'])
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}
    one = infer(drawn_clip, two_people, max_people=1, **frozen)
    assert one.results != made.results and one.metrics['sequences'] == 1
    assert made.overlay.stat().st_mtime_ns != stamps[made.overlay]  # the film shows the last call
    infer(drawn_clip, two_people, **frozen)
    changed = np.mean(
        [np.abs(frame - picture(t)).max(-1) > 40 for t, frame in enumerate(film(made.overlay))],
        axis=0,
    )
    assert changed[50:80, 110:125].max() > 0.5


def test_the_default_start_model_is_landmark_hmr(drawn_clip, two_people, tmp_path, monkeypatch):
    made = infer(drawn_clip, two_people, output=tmp_path)
    check_report_of_two_people(made, tmp_path, monkeypatch)
    names = sorted(path.name for path in made.results.glob('*.npz'))
    assert names == ['clip_person0.npz', 'clip_person1.npz']
    result = Result.load(made.results / names[0])
    assert result.after.rotmat.shape == (FRAMES, 24, 3, 3)
    assert result.after.joint_spread.shape == (FRAMES, 24)
    assert torch.equal(result.after.rotmat, result.before.rotmat)


def check_report_of_two_people(made, folder, monkeypatch):
    """The page shows both people at once, each of them, and the doubtful frames that ``infer`` counted."""
    for module in (report_api, report_page):
        monkeypatch.setattr(module, 'plotly_script', lambda: '/* stand-in */')
    page = report(folder, frames=4, output=folder / 'page.html').read_text()
    both, *each = [json.loads(part) for part in re.findall(r'class="data">(.*?)</script>', page)]
    assert both['name'] == 'clip' and both['shown'] == [0, 2, 4, 6]
    assert [body['at'] for body in both['bodies']] == [[0, 1, 2, 3]] * 2
    (path,) = made.results.glob('clip_person0.npz')
    assert both['frameIds'] == list(Result.load(path).frame_ids)
    counted = {name: int(found.frames.sum()) for name, found in made.doubts.items()}
    assert {data['name']: len(data['doubts']) for data in each} == counted
    assert len(both['doubts']) == sum(counted.values()) > 0
    for data in each:
        assert len(data['places']['before']) == 4 and data['stage']['camera'][0] == 0
        (error,) = data['errors'].values()
        assert len(error['before']) == FRAMES


def test_a_known_focal_length_is_stored_and_computes_nothing_again(
    drawn_clip, two_people, tmp_path
):
    options = dict(output=tmp_path, max_people=1)
    plain = infer(drawn_clip, two_people, **options)
    (file,) = plain.results.glob('*.npz')
    keys = set(np.load(file).files)
    digits = np.load(file)['rotmat']
    known = infer(drawn_clip, two_people, focal=150.0, export=['joints'], **options)
    assert known.results == plain.results and np.load(file)['focal'] == 150
    assert set(np.load(file).files) == keys | {'focal'}
    np.testing.assert_array_equal(np.load(file)['rotmat'], digits)
    exported = json.loads(known.exports[1].read_text())
    assert exported['focal'] == 150
    wide = infer(drawn_clip, two_people, fov=90.0, **options)
    assert wide.results == plain.results and np.load(file)['focal'] == pytest.approx(80)
    infer(drawn_clip, two_people, **options)
    assert set(np.load(file).files) == keys
    with pytest.raises(InputError, match='not both'):
        infer(drawn_clip, two_people, fov=90.0, focal=3.0, **options)


def test_bodies_of_own_footage_are_turned_by_the_viewing_ray(
    drawn_clip, two_people, tmp_path, caplog
):
    """Reports and the viewer show the bodies in the camera frame; the option switches it off."""
    made = infer(drawn_clip, two_people, output=tmp_path, max_people=1, focal=100.0)
    (path,) = made.results.glob('*.npz')
    result = Result.load(path)
    sequence = SimpleNamespace(truth=None)
    shown = bodies_by_role(sequence, result, True, Placing(), OPEN)
    boxes = torch.as_tensor(result.boxes)
    turn = viewing_rotation(boxes, 100.0, (79.5, 59.5))
    expected = turn @ result.after.rotmat[:, 0]
    torch.testing.assert_close(shown['after'][0][:, 0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(shown['after'][0][:, 1:], result.after.rotmat[:, 1:])
    assert (expected - result.after.rotmat[:, 0]).abs().max() > 0.05
    plain = bodies_by_role(sequence, result, True, Placing(viewing_ray=False), OPEN)
    assert plain['after'][0] is result.after.rotmat
    truth = GroundTruth(result.after.rotmat, result.after.betas)
    beside_truth = bodies_by_role(SimpleNamespace(truth=truth), result, True, Placing(), OPEN)
    assert beside_truth['after'][0] is result.after.rotmat
    camera = torch.tensor([100.0, 79.5, 59.5]).repeat(len(result), 1)
    known = SimpleNamespace(name='a', truth=dataclasses.replace(truth, intrinsics=camera))
    compared = bodies_by_role(known, result, True, Placing(), get_protocol('open_ray'))
    torch.testing.assert_close(compared['after'][0], shown['after'][0])
    doubtful = [name for name, doubts in made.doubts.items() if doubts.doubtful]
    texts = stored_doubts(tmp_path / 'metrics.json', made.results.name)
    assert doubtful and doubtful == list(texts) and all(texts.values())
    assert stored_doubts(tmp_path / 'metrics.json', 'another run') == {}
    assert stored_doubts(tmp_path / 'nothing.json', made.results.name) == {}
    sound = {'name': 'b', 'doubts': {'doubtful': True, 'reasons': ['motion', 'bones']}}
    sequences = ['x', {'doubts': {'doubtful': True, 'text': 'of nobody'}}, sound, {'doubts': 3}]
    for per_sequence, expected in ((sequences, {'b': 'motion, bones'}), ({'a': 1}, {}), (7, {})):
        damaged = {'fingerprint': made.results.name, 'per_sequence': per_sequence}
        (tmp_path / 'damaged.json').write_text(json.dumps(damaged))
        assert stored_doubts(tmp_path / 'damaged.json', made.results.name) == expected
    assert 'damaged.json: the doubts about 3 of 4 tracks are damaged and left out' in caplog.text
    pytest.importorskip('plotly', reason='reports take their 3D player from plotly')
    page = report(tmp_path).read_text()
    assert all(f'Doubtful: {name}: {text}' in page for name, text in texts.items())
    assert report(tmp_path, viewing_ray=False).read_text() != page
    assert report(tmp_path, focal=100.0).read_text() == page
    assert report(tmp_path, fov=20.0).read_text() != page


def test_the_data_set_is_built_once(drawn_clip, two_people, tmp_path, caplog):
    """Reading keypoints and tracking take long, and whatever the log says about the file would be said twice."""
    entries = json.loads(two_people.read_text())
    entries[2]['keypoints'][0][5][0] = None
    broken = tmp_path / 'kp.json'
    broken.write_text(json.dumps(entries))
    infer(drawn_clip, broken, output=tmp_path, film=False)
    said = [record for record in caplog.records if 'no finite numbers' in record.getMessage()]
    assert len(said) == 1


def test_adapts_as_a_config_says(drawn_clip, two_people, tmp_path):
    # A data set with ground truth, masks of its own and another protocol are all replaced.
    config = dict(
        default_scope='hrtk',
        randomness=dict(seed=0),
        outputs=None,
        estimator=dict(
            type='HMR',
            backbone=dict(type='ResNet', depth=18, width=32),
            resolution=112,
            head=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0),
            weights='open:r18_studio',
            body=dict(type='BodyModel', file='open'),
        ),
        dataset=dict(type='OpenStream', domain='wild', sequences=8, frames=40),
        evaluator=[
            dict(type='MeshEvaluator', protocol='boa_ps', bodies=dict(male='m', female='f'))
        ],
        adapter=dict(
            type='Bilevel',
            lr=2e-4,
            inner_lr=3e-4,
            steps=3,
            order='first',
            interval=2,
            normalise='visible',
            weights=dict(keypoints2d=10.0, motion=1.0),
        ),
    )
    made = infer(
        drawn_clip,
        two_people,
        adapt=config,
        output=tmp_path,
        max_people=1,
        device='cpu',
        cfg_options={'adapter.steps': 2, 'dataset.name': 'mine'},
    )
    assert [path.name for path in made.results.glob('*.npz')] == ['mine_person0.npz']
    assert made.metrics['Bilevel/reprojection_px'] < made.metrics['Source/reprojection_px']
    run = json.loads((made.results / 'run.json').read_text())
    assert run['config']['adapter']['steps'] == 2
    assert run['config']['evaluator']['protocol'] == 'open'


def test_photographs(tmp_path):
    (tmp_path / 'photos').mkdir()
    for name in ('a', 'b'):
        cv2.imwrite(str(tmp_path / f'photos/{name}.png'), picture(0))
    made = infer(tmp_path / 'photos', output=tmp_path / 'out', pose2d=Stub())
    assert made.metrics['sequences'] == 2
    assert sorted(path.name for path in made.overlay.glob('*.png')) == ['a.png', 'b.png']
    assert cv2.imread(str(made.overlay / 'a.png')).shape == (120, 160, 3)


def test_missing_people_are_told(tmp_path, caplog):
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in ('a', 'b', 'c'):
        cv2.imwrite(str(folder / f'{name}.png'), np.zeros((400, 300, 3), np.uint8))
    small = points(20)
    small[:, :2] *= 0.5  # 35 of 400 px
    large = points(20)
    large[:, :2] *= 4

    class Crowd(Stub):
        def __call__(self, images):
            self.asked += 1
            return [[np.zeros((0, 17, 3), np.float32), self.people, small[None]][self.asked - 1]]

    for source, people, told in (
        ('blazepose', np.stack([large, small]), True),
        ('blazepose', large[None], False),
        ('stub', np.stack([large, small]), False),
    ):
        caplog.clear()
        crowd = Crowd()
        crowd.source = source
        crowd.people = people
        detect(open_footage(folder), crowd, tmp_path / f'{source}{len(people)}.json')
        assert 'nobody found in 1 of 3 images: a.png' in caplog.text
        assert ('people as small as 9 % of the image' in caplog.text) == told


def test_detection_goes_on_where_it_was(drawn_clip, tmp_path):
    path = tmp_path / 'keypoints.json'
    with pytest.raises(KeyboardInterrupt):
        detect(open_footage(drawn_clip), Stub(stop_at=4), path)
    part = tmp_path / 'keypoints.json.part'
    part.write_bytes(part.read_bytes() + b'{"frame": 4, "keyp')  # killed within a line
    again = Stub()
    detect(open_footage(drawn_clip), again, path)
    assert again.asked == FRAMES - 4 and not part.exists()
    table = read_keypoints(path)
    assert table.source == 'stub' and [frame.number for frame in table.frames] == list(
        range(FRAMES)
    )
    for t in range(FRAMES):  # each frame's own answer, within the codec's pixel
        np.testing.assert_allclose(table.points[t], points(20 + 4 * t), atol=1.1)
    done = Stub()
    detect(open_footage(drawn_clip), done, path)
    assert done.asked == 0
    other = Stub()
    other.source = 'other'
    detect(open_footage(drawn_clip), other, path)
    assert other.asked == FRAMES and read_keypoints(path).source == 'other'
