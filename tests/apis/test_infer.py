"""One command from a video: what it makes, what it leaves alone when it is run again, and what it refuses."""

import dataclasses
import json
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import hrtk.apis.look.report as report_api
import hrtk.visualization.report as report_page
from hrtk.apis.adaptation import load_config
from hrtk.apis.camera import record
from hrtk.apis.detect import detect
from hrtk.apis.doubts import stored_doubts
from hrtk.apis.infer import infer, set_precision
from hrtk.apis.look.report import report
from hrtk.apis.look.stored import bodies_by_role
from hrtk.cli.main import main
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.detectors import Detector
from hrtk.errors import InputError
from hrtk.evaluation import get_protocol
from hrtk.geometry.camera import viewing_rotation
from hrtk.models.estimators import HMR2
from hrtk.registry import ESTIMATORS
from hrtk.results import Result
from hrtk.structures import GroundTruth
from hrtk.visualization.export import Placing

ROOT = Path(__file__).parents[2]
OPEN = get_protocol('open')
BODY = np.random.default_rng(3).uniform(0, 1, (17, 2)) * (30, 80)
FRAMES = 7


def picture(t):
    """Grey, with a bright square that moves by 4 px per frame, where the stub of a detector finds a person."""
    image = np.full((120, 160, 3), 90, np.uint8)
    image[10:20, 20 + 4 * t : 30 + 4 * t] = 250
    return image


def points(x):
    return np.column_stack([BODY + (x, 20), np.full(17, 0.9)]).astype(np.float32)


class Stub(Detector):
    """Finds one person at the bright square and counts the images."""

    source = 'stub'
    skeleton = 'coco17'

    def __init__(self, stop_at=None):
        self.asked = 0
        self.stop_at = stop_at

    def __call__(self, images):
        if self.asked == self.stop_at:
            raise KeyboardInterrupt
        (image,) = images
        self.asked += 1
        columns = np.flatnonzero(image[12:18].mean((0, 2)) > 170)
        return [points(columns.min())[None]]


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (160, 120))
    for t in range(FRAMES):
        writer.write(picture(t))
    writer.release()
    return path


@pytest.fixture(scope='module')
def two_people(tmp_path_factory):
    """A file of two people in every frame."""
    path = tmp_path_factory.mktemp('keypoints') / 'kp.json'
    entries = [[points(20 + 4 * t), points(100)] for t in range(FRAMES)]
    path.write_text(
        json.dumps(
            [
                dict(
                    keypoints=[p[:, :2].tolist() for p in people],
                    scores=[p[:, 2].tolist() for p in people],
                )
                for people in entries
            ]
        )
    )
    return path


def film(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1].astype(int))
    return frames


def test_start_model_of_drawn_people(clip, two_people, tmp_path):
    frozen = dict(adapt=ROOT / 'configs/source/r18_wild.py', output=tmp_path)
    made = infer(clip, two_people, export=['npz', 'bvh'], **frozen)
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
    assert infer(clip, two_people, **frozen).metrics['Source/reprojection_px'] == pytest.approx(
        made.metrics['Source/reprojection_px']
    )
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}
    one = infer(clip, two_people, max_people=1, **frozen)
    assert one.results != made.results and one.metrics['sequences'] == 1
    assert made.overlay.stat().st_mtime_ns != stamps[made.overlay]  # the film shows the last call
    infer(clip, two_people, **frozen)
    changed = np.mean(
        [np.abs(frame - picture(t)).max(-1) > 40 for t, frame in enumerate(film(made.overlay))],
        axis=0,
    )
    assert changed[50:80, 110:125].max() > 0.5


def test_the_default_start_model_is_landmark_hmr(clip, two_people, tmp_path, monkeypatch):
    made = infer(clip, two_people, output=tmp_path)
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


def test_a_known_focal_length_is_stored_and_computes_nothing_again(clip, two_people, tmp_path):
    options = dict(output=tmp_path, max_people=1)
    plain = infer(clip, two_people, **options)
    (file,) = plain.results.glob('*.npz')
    keys = set(np.load(file).files)
    digits = np.load(file)['rotmat']
    known = infer(clip, two_people, focal=150.0, export=['joints'], **options)
    assert known.results == plain.results and np.load(file)['focal'] == 150
    assert set(np.load(file).files) == keys | {'focal'}
    np.testing.assert_array_equal(np.load(file)['rotmat'], digits)
    exported = json.loads(known.exports[1].read_text())
    assert exported['focal'] == 150
    wide = infer(clip, two_people, fov=90.0, **options)
    assert wide.results == plain.results and np.load(file)['focal'] == pytest.approx(80)
    infer(clip, two_people, **options)
    assert set(np.load(file).files) == keys
    with pytest.raises(InputError, match='not both'):
        infer(clip, two_people, fov=90.0, focal=3.0, **options)


def test_bodies_of_own_footage_are_turned_by_the_viewing_ray(clip, two_people, tmp_path):
    """Reports and the viewer show the bodies in the camera frame; the option switches it off."""
    made = infer(clip, two_people, output=tmp_path, max_people=1, focal=100.0)
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
    pytest.importorskip('plotly', reason='reports take their 3D player from plotly')
    page = report(tmp_path).read_text()
    assert all(f'Doubtful: {name}: {text}' in page for name, text in texts.items())
    assert report(tmp_path, viewing_ray=False).read_text() != page
    assert report(tmp_path, focal=100.0).read_text() == page
    assert report(tmp_path, fov=20.0).read_text() != page


def test_the_data_set_is_built_once(clip, two_people, tmp_path, caplog):
    """Reading keypoints and tracking take long, and whatever the log says about the file would be said twice."""
    entries = json.loads(two_people.read_text())
    entries[2]['keypoints'][0][5][0] = None
    broken = tmp_path / 'kp.json'
    broken.write_text(json.dumps(entries))
    infer(clip, broken, output=tmp_path, film=False)
    said = [record for record in caplog.records if 'no finite numbers' in record.getMessage()]
    assert len(said) == 1


def test_adapts_as_a_config_says(clip, two_people, tmp_path):
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
        clip,
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


def test_detection_goes_on_where_it_was(clip, tmp_path):
    path = tmp_path / 'keypoints.json'
    with pytest.raises(KeyboardInterrupt):
        detect(open_footage(clip), Stub(stop_at=4), path)
    part = tmp_path / 'keypoints.json.part'
    part.write_bytes(part.read_bytes() + b'{"frame": 4, "keyp')  # killed within a line
    again = Stub()
    detect(open_footage(clip), again, path)
    assert again.asked == FRAMES - 4 and not part.exists()
    table = read_keypoints(path)
    assert table.source == 'stub' and [frame.number for frame in table.frames] == list(
        range(FRAMES)
    )
    for t in range(FRAMES):  # each frame's own answer, within the codec's pixel
        np.testing.assert_allclose(table.points[t], points(20 + 4 * t), atol=1.1)
    done = Stub()
    detect(open_footage(clip), done, path)
    assert done.asked == 0
    other = Stub()
    other.source = 'other'
    detect(open_footage(clip), other, path)
    assert other.asked == FRAMES and read_keypoints(path).source == 'other'


class FakeCamera:
    """A webcam of so many pictures; Ctrl-C is pressed after them, or it is unplugged."""

    def __init__(self, count, end=KeyboardInterrupt, step=1 / 16):
        self.count, self.end, self.step, self.given, self.released, self.time = (
            count,
            end,
            step,
            0,
            False,
            100.0,
        )

    def __call__(self, index):
        self.index = index
        return self

    def isOpened(self):
        return self.count > 0

    def read(self):
        if self.given == self.count:
            if self.end is None:
                return False, None
            raise self.end
        self.given += 1
        self.time += self.step
        return True, picture(self.given - 1)

    def release(self):
        self.released = True

    def monotonic(self):
        return self.time


@pytest.fixture
def camera(monkeypatch):
    def plug(*args, **kwargs):
        fake = FakeCamera(*args, **kwargs)
        stand_in = SimpleNamespace(
            VideoCapture=fake, cvtColor=cv2.cvtColor, COLOR_BGR2RGB=cv2.COLOR_BGR2RGB
        )
        monkeypatch.setattr('hrtk.apis.camera.cv2', stand_in)  # films are read with the real one
        monkeypatch.setattr('hrtk.apis.camera.time', fake)
        return fake

    return plug


@pytest.mark.parametrize('end', [KeyboardInterrupt, None])
def test_recording(camera, tmp_path, end):
    fake = camera(6, end)
    count, fps = record(2, tmp_path / 'rec')
    assert (fake.index, fake.released, count, round(fps, 6)) == (2, True, 6, 16)
    names = [f'{t:06d}.jpg' for t in range(6)]
    assert sorted(path.name for path in (tmp_path / 'rec').iterdir()) == names
    for t, name in enumerate(names):
        assert np.abs(cv2.imread(str(tmp_path / 'rec' / name)).astype(int) - picture(t)).mean() < 2
    with pytest.raises(InputError, match='holds a recording already'):
        record(2, tmp_path / 'rec')


def test_recording_for_some_seconds(camera, tmp_path):
    camera(1000)
    assert record(0, tmp_path, seconds=0.5)[0] == 9


def test_no_camera(camera, tmp_path):
    camera(0)
    with pytest.raises(InputError, match='camera 5 gives no image'):
        record(5, tmp_path / 'rec')


def test_webcam(camera, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake = camera(6)
    made = infer('0', pose2d=Stub())
    assert fake.index == 0 and made.keypoints == Path('work_dirs/infer/camera0/keypoints.json')
    result = np.load(made.results / 'recording_person0.npz')
    assert (
        len(result['rotmat']) == 6
        and result['fps'] == 16
        and result['frame_ids'][5] == '000005.jpg'
    )


def test_webcam_is_not_recorded_in_vain(camera, tmp_path, monkeypatch):
    fake = camera(6)
    monkeypatch.setitem(sys.modules, 'rtmlib', None)
    with pytest.raises(InputError, match=r'hrtk\[pose2d\]'):
        infer(0, output=tmp_path, pose2d='rtmlib')
    with pytest.raises(InputError, match='without --keypoints'):
        infer(0, tmp_path / 'kp.json', output=tmp_path)
    assert fake.given == 0


def test_wrong_config_is_reported_before_the_detection(clip, tmp_path):
    stub = Stub()
    with pytest.raises(InputError, match='no config nowhere.py'):
        infer(clip, pose2d=stub, adapt='nowhere.py', output=tmp_path)
    with pytest.raises(InputError, match='do not fit the config'):
        infer(clip, pose2d=stub, output=tmp_path, cfg_options={'adapter.type.x': 1})
    assert stub.asked == 0


@pytest.mark.parametrize(
    'config, key', [('boa/r18_wild', 'precision'), ('vibe/r18_vibe_wild', 'image.precision')]
)
def test_precision_is_that_of_the_image_network(config, key):
    cfg = load_config(config)
    set_precision(cfg, None)
    assert cfg.to_dict() == load_config(config).to_dict()
    set_precision(cfg, 'bfloat16')
    expected = load_config(config, {f'estimator.{key}': 'bfloat16'})
    assert cfg.to_dict() == expected.to_dict()
    assert ESTIMATORS.build(cfg.estimator).precision == 'bfloat16'


def test_precision_of_a_network_without_one(clip, tmp_path):
    stub = Stub()
    with pytest.raises(InputError, match='LandmarkHMR has no option precision.*--adapt'):
        infer(clip, pose2d=stub, output=tmp_path, precision='bfloat16')
    with pytest.raises(InputError, match="precision is one of .* not 'float16'"):
        infer(clip, pose2d=stub, output=tmp_path, adapt='boa/r18_wild', precision='float16')
    assert stub.asked == 0


def test_device_that_is_not_there(clip, two_people, tmp_path):
    with pytest.raises(InputError, match="'xpu9' cannot be used here.*--device cpu"):
        infer(clip, two_people, output=tmp_path, device='xpu9')


@pytest.mark.parametrize(
    'arguments, code, said',
    [
        (['clip.mp4', '--pose2d', 'rtmlib'], 2, 'hrtk[pose2d]'),
        (['clip.mp4'], 2, 'found nobody in 7 frames; people below a quarter'),
        (['clip.mp4', '--pose2d', 'rtmlb'], 2, "Did you mean 'rtmlib'?"),
        (['nowhere.mp4', '--keypoints', 'kp.json'], 2, 'nowhere.mp4'),
        (
            ['clip.mp4', '--keypoints', 'nowhere.json'],
            2,
            'nowhere.json: there is no such keypoint file',
        ),
        (
            ['clip.mp4', '--keypoints', 'kp.json', '--adapt', 'nowhere.py'],
            2,
            'no config nowhere.py',
        ),
        (['clip.mp4', '--keypoints', 'kp.json', '--export', 'stl'], 2, "no format 'stl'"),
        (
            ['clip.mp4', '--keypoints', 'kp.json', '--max-people', '1', '--export', 'bvh'],
            0,
            'clip_person0.bvh',
        ),
        (['clip.mp4', '--keypoints', 'kp.json', '--fov', '190'], 2, 'not 190.0'),
    ],
)
def test_tool(clip, two_people, tmp_path, monkeypatch, capsys, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'clip.mp4').symlink_to(clip)
    (tmp_path / 'kp.json').symlink_to(two_people)
    monkeypatch.setitem(sys.modules, 'rtmlib', None)
    monkeypatch.setattr(sys, 'argv', ['infer.py', *arguments])
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(ROOT / 'tools/infer.py'), run_name='__main__')
    captured = capsys.readouterr()
    assert exit.value.code == code and said in (captured.err if code else captured.out).replace(
        '\n', ''
    )


def test_without_a_film_nothing_is_drawn(clip, two_people, tmp_path, monkeypatch, capsys):
    frozen = dict(adapt=ROOT / 'configs/source/r18_wild.py', output=tmp_path)
    made = infer(clip, two_people, film=False, **frozen)
    assert made.overlay is None and len(list(made.results.glob('*.npz'))) == 2
    drawn = [path.name for path in tmp_path.rglob('*') if path.suffix in ('.mp4', '.png', '.jpg')]
    assert drawn == []
    words = ['infer', str(clip), '--keypoints', str(two_people), '--no-film']
    words += ['--adapt', str(frozen['adapt']), '--output', str(tmp_path)]
    assert main(words) == 0
    assert str(made.results) in capsys.readouterr().out
    # The results are those of a call with a film, which draws them and computes nothing again.
    stamps = {path: path.stat().st_mtime_ns for path in made.results.glob('*.npz')}
    again = infer(clip, two_people, **frozen)
    assert again.results == made.results and again.overlay.is_file()
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_whom_and_when(clip, two_people, tmp_path):
    """--person, --from and --to as the command takes them; frames keep their numbers."""
    common = [str(clip), '--no-film', '--output', str(tmp_path)]
    main(['infer', *common, '--keypoints', str(two_people), '--person', '1', '--from', '00:00.2'])
    (file,) = tmp_path.glob('results/*/*.npz')
    result = Result.load(file)
    assert file.name == 'clip_person1.npz' and result.keypoints2d[0, :, 0].min() > 99
    assert list(result.frame_ids) == [f'{t:06d}' for t in range(2, FRAMES)]
    stub = Stub()
    made = infer(clip, pose2d=stub, begin='f1', end=0.6, output=tmp_path / 'cut', film=False)
    content = json.loads(made.keypoints.read_text())
    assert stub.asked == 5 and [entry['frame'] for entry in content['frames']] == [1, 2, 3, 4, 5]
    (file,) = made.results.glob('*.npz')
    assert list(Result.load(file).frame_ids) == [f'{t:06d}' for t in range(1, 6)]
    detect(open_footage(clip), stub, made.keypoints, frames=range(1, 6))
    assert stub.asked == 5  # the same frames, nothing is detected again
    for options, message in (
        (dict(person=7), 'there is no person 7; there are 0, 1'),
        (dict(person='tall'), "person is 'tall'; it is the number in the name of a result"),
        (dict(begin='soon'), "--from is 'soon'; write seconds like 3.5"),
        (dict(end=-1), '--to is -1; write'),
        (dict(begin=9), '--from 9 is behind the last frame; there are 7 frames, 0.700 s'),
    ):
        with pytest.raises(InputError, match=message):
            infer(clip, two_people, output=tmp_path / 'wrong', film=False, **options)


@pytest.fixture(scope='module')
def hmr2_file(tmp_path_factory):
    """A Lightning checkpoint of a tiny HMR2 under the official keys, and the sizes of the network."""
    sizes = dict(
        backbone=dict(type='ViT', image_size=(32, 24), patch=8, width=16, depth=2, heads=2),
        head=dict(
            type='TransformerDecoderHead', width=16, depth=1, heads=2, head_width=8, hidden=16
        ),
        resolution=32,
    )
    torch.manual_seed(0)
    state = {}
    for key, value in HMR2(**sizes, body=None).state_dict().items():
        state[key.replace('head.', 'smpl_head.', 1)] = value
    state.update({'smpl.betas': torch.zeros(1, 10), 'discriminator.fc.weight': torch.zeros(2, 2)})
    path = tmp_path_factory.mktemp('hmr2') / 'epoch=35-step=1000000.ckpt'
    torch.save({'state_dict': state, 'epoch': 35}, path)
    return path, {f'estimator.{key}': value for key, value in sizes.items()}


def test_a_model_and_its_file(clip, two_people, tmp_path, hmr2_file, capsys):
    """Poses of SMPL's network on the free body: every result says what that means."""
    path, sizes = hmr2_file
    made = infer(
        clip,
        two_people,
        model='hmr2',
        weights=path,
        output=tmp_path,
        max_people=1,
        film=False,
        cfg_options=sizes,
    )
    (file,) = made.results.glob('*.npz')
    result = Result.load(file)
    assert result.after.betas.abs().max() == 0
    # The points are 30 px wide and 80 px high: HMR2's box is that of the height.
    assert np.allclose(result.boxes[:, 2], 1.2 * np.ptp(BODY[:, 1]), rtol=1e-4)
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert 'poses only, betas 0' in metrics['caveat'] and 'not measured' in metrics['caveat']
    assert 'poses only, betas 0' in ' '.join(capsys.readouterr().out.split())
    run = json.loads((made.results / 'run.json').read_text())
    assert run['config']['dataset']['box_aspect'] == 0.75


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(model='hmr2'), 'model and weights belong together'),
        (dict(weights='hmr2.ckpt'), 'model and weights belong together'),
        (dict(model='hmr3', weights='hmr2.ckpt'), "no image network 'hmr3'.*hmr2"),
        (dict(model='tcmr', weights='hmr2.ckpt'), "no image network 'tcmr'"),
        (dict(model='hmr2', weights='missing.ckpt'), r'missing\.ckpt: no such checkpoint'),
    ],
)
def test_a_model_without_its_file(clip, two_people, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        infer(clip, two_people, output=tmp_path, **options)
