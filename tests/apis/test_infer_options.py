"""The options of infer: webcams, precision, devices, people, stretches, and networks by name."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from infer_parts import BODY, FRAMES, ROOT, Stub, picture

from hrtk.apis.adaptation import load_config
from hrtk.apis.camera import record
from hrtk.apis.detect import detect
from hrtk.apis.infer import infer, set_precision
from hrtk.cli.main import main
from hrtk.datasets.own.footage import open_footage
from hrtk.errors import InputError
from hrtk.models.estimators import HMR2
from hrtk.registry import ESTIMATORS
from hrtk.results import Result


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


def test_wrong_config_is_reported_before_the_detection(drawn_clip, tmp_path):
    stub = Stub()
    with pytest.raises(InputError, match='no config nowhere.py'):
        infer(drawn_clip, pose2d=stub, adapt='nowhere.py', output=tmp_path)
    with pytest.raises(InputError, match='do not fit the config'):
        infer(drawn_clip, pose2d=stub, output=tmp_path, cfg_options={'adapter.type.x': 1})
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


def test_precision_of_a_network_without_one(drawn_clip, tmp_path):
    stub = Stub()
    with pytest.raises(InputError, match='LandmarkHMR has no option precision.*--adapt'):
        infer(drawn_clip, pose2d=stub, output=tmp_path, precision='bfloat16')
    with pytest.raises(InputError, match="precision is one of .* not 'float16'"):
        infer(drawn_clip, pose2d=stub, output=tmp_path, adapt='boa/r18_wild', precision='float16')
    assert stub.asked == 0


def test_device_that_is_not_there(drawn_clip, two_people, tmp_path):
    with pytest.raises(InputError, match="'xpu9' cannot be used here.*--device cpu"):
        infer(drawn_clip, two_people, output=tmp_path, device='xpu9')


@pytest.mark.parametrize(
    'arguments, code, said',
    [
        (['clip.mp4', '--pose2d', 'rtmlib'], 2, 'hrtk[pose2d]'),
        (['clip.mp4'], 2, 'found nobody in 7 frames; people below an eighth'),
        (['clip.mp4', '--pose2d', 'rtmlb'], 2, "Did you mean 'rtmlib'?"),
        (['nowhere.mp4', '--keypoints', 'kp.json'], 2, 'nowhere.mp4'),
        (  # not the config's fault
            ['clip.mp4', '--keypoints', 'nowhere.json', '--adapt', 'boa/r18_wild'],
            2,
            'error: nowhere.json: there is no such keypoint file',
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
def test_tool(drawn_clip, two_people, tmp_path, monkeypatch, capsys, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'clip.mp4').symlink_to(drawn_clip)
    (tmp_path / 'kp.json').symlink_to(two_people)
    monkeypatch.setitem(sys.modules, 'rtmlib', None)
    monkeypatch.setattr(sys, 'argv', ['infer.py', *arguments])
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(ROOT / 'tools/infer.py'), run_name='__main__')
    captured = capsys.readouterr()
    assert exit.value.code == code and said in (captured.err if code else captured.out).replace(
        '\n', ''
    )


def test_without_a_film_nothing_is_drawn(drawn_clip, two_people, tmp_path, monkeypatch, capsys):
    frozen = dict(adapt=ROOT / 'configs/source/r18_wild.py', output=tmp_path)
    made = infer(drawn_clip, two_people, film=False, **frozen)
    assert made.overlay is None and len(list(made.results.glob('*.npz'))) == 2
    drawn = [path.name for path in tmp_path.rglob('*') if path.suffix in ('.mp4', '.png', '.jpg')]
    assert drawn == []
    words = ['infer', str(drawn_clip), '--keypoints', str(two_people), '--no-film']
    words += ['--adapt', str(frozen['adapt']), '--output', str(tmp_path)]
    assert main(words) == 0
    assert str(made.results) in capsys.readouterr().out
    # The results are those of a call with a film, which draws them and computes nothing again.
    stamps = {path: path.stat().st_mtime_ns for path in made.results.glob('*.npz')}
    again = infer(drawn_clip, two_people, **frozen)
    assert again.results == made.results and again.overlay.is_file()
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_whom_and_when(drawn_clip, two_people, tmp_path):
    """--person, --from and --to as the command takes them; frames keep their numbers."""
    common = [str(drawn_clip), '--no-film', '--output', str(tmp_path)]
    main(['infer', *common, '--keypoints', str(two_people), '--person', '1', '--from', '00:00.2'])
    (file,) = tmp_path.glob('results/*/*.npz')
    result = Result.load(file)
    assert file.name == 'clip_person1.npz' and result.keypoints2d[0, :, 0].min() > 99
    assert list(result.frame_ids) == [f'{t:06d}' for t in range(2, FRAMES)]
    stub = Stub()
    made = infer(drawn_clip, pose2d=stub, begin='f1', end=0.6, output=tmp_path / 'cut', film=False)
    content = json.loads(made.keypoints.read_text())
    assert stub.asked == 5 and [entry['frame'] for entry in content['frames']] == [1, 2, 3, 4, 5]
    (file,) = made.results.glob('*.npz')
    assert list(Result.load(file).frame_ids) == [f'{t:06d}' for t in range(1, 6)]
    detect(open_footage(drawn_clip), stub, made.keypoints, frames=range(1, 6))
    assert stub.asked == 5  # the same frames, nothing is detected again
    for options, message in (
        (dict(person=7), 'there is no person 7; there are 0, 1'),
        (dict(person='tall'), "person is 'tall'; it is the number in the name of a result"),
        (dict(begin='soon'), "--from is 'soon'; write seconds like 3.5"),
        (dict(end=-1), '--to is -1; write'),
        (dict(begin=9), '--from 9 is behind the last frame; there are 7 frames, 0.700 s'),
    ):
        with pytest.raises(InputError, match=message):
            infer(drawn_clip, two_people, output=tmp_path / 'wrong', film=False, **options)


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


def test_a_model_and_its_file(drawn_clip, two_people, tmp_path, hmr2_file, capsys):
    """Poses of SMPL's network on the free body: every result says what that means."""
    path, sizes = hmr2_file
    made = infer(
        drawn_clip,
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
def test_a_model_without_its_file(drawn_clip, two_people, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        infer(drawn_clip, two_people, output=tmp_path, **options)
