"""The hook that draws results: which files, when they are drawn again, and what they show."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import hrtk.engine.output_hook as output_hook
from hrtk.body_models import BodyModel
from hrtk.engine.output_hook import OverlayHook
from hrtk.errors import InputError
from hrtk.registry import HOOKS
from hrtk.results import Result
from hrtk.structures import Keypoints2D, Prediction, Sequence, evenly_spaced
from hrtk.visualization.video import can_write_video

FRAMES = 5


@pytest.fixture(scope='module')
def body() -> BodyModel:
    return BodyModel()


@pytest.fixture
def runner(body: BodyModel, tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(
        model=SimpleNamespace(body=body), work_dir=str(tmp_path), logger=logging.getLogger('test')
    )


def make_sequence(sizes: tuple = ((120, 90),) * FRAMES) -> Sequence:
    frames = [np.full((h, w, 3), 40 * t, np.uint8) for t, (w, h) in enumerate(sizes)]
    points = Keypoints2D(
        torch.full((FRAMES, 17, 2), 45.0), torch.ones(FRAMES, 17), 'coco17', 'annotated'
    )
    boxes = torch.tensor([[60.0, 45, 90]]).repeat(FRAMES, 1)
    return Sequence(
        'people/one',
        frames,
        boxes,
        points,
        frame_ids=tuple(f'cam/{t}.jpg' for t in range(FRAMES)),
        fps=10,
    )


def make_result(sequence: Sequence, scale: float = 0.8) -> Result:
    rotmat = torch.eye(3).repeat(FRAMES, 24, 1, 1)
    rotmat[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    camera = torch.tensor([scale, 0, 0.3]).repeat(FRAMES, 1)
    betas = torch.zeros(FRAMES, 10)
    points = sequence.keypoints2d
    return Result(
        name=sequence.name,
        before=Prediction(rotmat, betas, 0.7 * camera),
        after=Prediction(rotmat, betas, camera),
        boxes=sequence.boxes.numpy(),
        keypoints2d=torch.cat([points.xy, points.confidence[..., None]], -1).numpy(),
        keypoints_source=points.source,
        skeleton=points.skeleton,
        frame_ids=sequence.frame_ids,
        image_size=(120, 90),
        fps=sequence.fps,
        ms_per_frame=1.0,
        before_ms_per_frame=1.0,
    )


def written(folder: str | Path) -> dict[str, bytes]:
    root = Path(folder)
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in root.rglob('*')
        if p.is_file() and p.name[0] != '.'
    }


@pytest.mark.skipif(not can_write_video(), reason='this OpenCV cannot write mp4 videos')
def test_files_of_a_sequence(runner: SimpleNamespace) -> None:
    sequence = make_sequence()
    HOOKS.build(dict(type='OverlayHook', pictures=3)).after_sequence(
        runner, sequence, make_result(sequence)
    )
    assert set(written(runner.work_dir)) == {
        'pictures/people%2Fone/cam%2F0.jpg.png',
        'pictures/people%2Fone/cam%2F2.jpg.png',
        'pictures/people%2Fone/cam%2F4.jpg.png',
        'pictures/people%2Fone.png',
        'videos/people%2Fone.mp4',
    }
    reader = cv2.VideoCapture(str(Path(runner.work_dir) / 'videos' / 'people%2Fone.mp4'))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES and reader.get(
        cv2.CAP_PROP_FPS
    ) == pytest.approx(10)


def test_only_missing_or_changed_results_are_drawn(runner: SimpleNamespace) -> None:
    sequence, hook = make_sequence(), OverlayHook(pictures=2, video=False)
    hook.after_sequence(runner, sequence, make_result(sequence))
    first = written(runner.work_dir)
    sheet = Path(runner.work_dir) / 'pictures' / 'people%2Fone.png'
    sheet.write_bytes(b'mine')
    hook.after_sequence(runner, sequence, make_result(sequence))
    assert sheet.read_bytes() == b'mine'  # nothing was missing
    (Path(runner.work_dir) / 'pictures' / 'people%2Fone' / 'cam%2F4.jpg.png').unlink()
    hook.after_sequence(runner, sequence, make_result(sequence))
    assert written(runner.work_dir) == first
    OverlayHook(pictures='all', video=False).after_sequence(
        runner, sequence, make_result(sequence, scale=0.6)
    )
    changed = written(runner.work_dir)
    assert len(changed) == FRAMES + 1
    assert all(changed[name] != content for name, content in first.items())
    hook.after_sequence(runner, sequence, make_result(sequence))
    assert written(runner.work_dir) == first  # no image of the other result is left


@pytest.mark.skipif(not can_write_video(), reason='this OpenCV cannot write mp4 videos')
def test_images_of_many_sizes_make_one_video(runner: SimpleNamespace) -> None:
    sequence = make_sequence(((120, 90), (90, 120), (200, 90), (64, 64), (121, 91)))
    OverlayHook(pictures=0).after_sequence(runner, sequence, make_result(sequence))
    assert set(written(runner.work_dir)) == {'videos/people%2Fone.mp4'}
    reader = cv2.VideoCapture(str(Path(runner.work_dir) / 'videos' / 'people%2Fone.mp4'))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES


def test_without_a_codec_images_are_numbered(
    runner: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(output_hook, 'can_write_video', lambda: False)
    sequence = make_sequence()
    OverlayHook(pictures=0).after_sequence(runner, sequence, make_result(sequence))
    assert set(written(runner.work_dir)) == {
        f'videos/people%2Fone/{t:06d}.png' for t in range(FRAMES)
    }
    assert 'numbered images' in caplog.text


@pytest.mark.parametrize('pictures', [-1, 'some', 2.5, True])
def test_bad_settings_are_named(pictures: object) -> None:
    with pytest.raises(InputError, match='`pictures`'):
        OverlayHook(pictures=pictures)


def test_evenly_spaced_indices_hold_both_ends() -> None:
    assert (
        evenly_spaced(9, 3) == [0, 4, 8]
        and evenly_spaced(2, 8) == [0, 1]
        and evenly_spaced(1, 1) == [0]
        and evenly_spaced(0, 4) == []
    )
