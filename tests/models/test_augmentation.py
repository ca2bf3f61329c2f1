"""Random changes of crops and of clips."""

import torch

from hrtk.models.augmentation import distort


def test_the_frames_of_a_clip_get_the_same_change(monkeypatch):
    monkeypatch.setattr(torch, 'randn_like', torch.zeros_like)
    random = torch.Generator().manual_seed(0)
    images = 40 + 150 * torch.rand(64, 3, 24, 24, generator=random)
    torch.manual_seed(1)
    single = distort(images, 1.0)
    torch.manual_seed(1)
    clips = distort(images[:, None].repeat(1, 4, 1, 1, 1), 1.0)
    assert not torch.equal(single, images)
    for frame in range(4):
        assert torch.equal(clips[:, frame], single)


def test_a_third_of_the_crops_lose_a_patch_of_one_colour():
    torch.manual_seed(3)
    images = torch.full((900, 3, 40, 40), 128.0)
    changed = distort(images, 1.0)
    assert changed.min() >= 0 and changed.max() <= 255
    # Noise of at most 12 moves no pixel by 100 from its crop's median, a patch of another colour does.
    median = changed.flatten(2).median(-1).values[..., None, None]
    lost = ((changed - median).abs() > 100).any(1).flatten(1).any(1)
    assert 0.1 < lost.float().mean() < 1 / 3
    assert torch.equal(distort(images, 0.0), images)
