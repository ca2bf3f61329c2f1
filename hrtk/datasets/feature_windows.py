"""FeatureWindows: what a temporal network learns from, image features of sixteen frames and the middle one's labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.arrays import read_or_make
from hrtk.datasets.open_stream.cache import cache_key, cache_root
from hrtk.geometry.boxes import normalise
from hrtk.registry import DATASETS, ESTIMATORS
from hrtk.structures import InputError
from hrtk.teachers import window_indices

LABELS = ('rotmat', 'betas', 'camera', 'keypoints2d')
BATCH = 64  # crops at once


@DATASETS.register_module()
class FeatureWindows(Dataset):
    """One window around every frame of labelled tracks, seen through a frozen image network.

    Features are computed when the set is first built and kept on disk (``HRTK_CACHE``) under the hashes of the tracks
    and of the network's weights; another network costs one forward pass over the crops, not their drawing.

    An item is a dict: ``features`` (1, 16, F), or (2, 16, F) where ``mirror`` adds those of the mirrored crops, and the
    middle frame's ``rotmat`` (24, 3, 3), ``betas`` (10,), ``camera`` (3,) and ``keypoints2d`` (24, 2).

    Args:
        tracks: config of an :class:`~hrtk.datasets.open_tracks.OpenTracks`, or of a set with its items and ``key``.
        estimator: config of the image network, with weights.
        border: see :func:`hrtk.teachers.window_indices`.
        mirror: whether to add the features of the mirrored crops.

    Raises:
        InputError: a network or set cannot be built, or the border is unknown.
    """

    def __init__(self, tracks: dict, estimator: dict, border: str = 'clamp', mirror: bool = False) -> None:
        self.tracks = DATASETS.build(tracks)
        self.windows = window_indices(self.tracks.frames, border)
        self.features, self.labels = self._load(ESTIMATORS.build(dict(estimator)).eval(), mirror)

    def __len__(self) -> int:
        return len(self.tracks) * self.tracks.frames

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        track, frame = divmod(index, self.tracks.frames)
        if not 0 <= track < len(self.tracks):
            raise IndexError(index)
        return dict(features=self.features[track][:, self.windows[frame]],
                    **{name: values[track, frame] for name, values in self.labels.items()})

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the tracks."""
        return self.tracks.fingerprint()

    def _load(self, estimator: torch.nn.Module, mirror: bool) -> tuple[Tensor, dict[str, Tensor]]:
        key = cache_key('features', self.tracks.key, len(self.tracks), estimator.fingerprint()['weights'], mirror)
        stored = read_or_make(cache_root() / f'{key}.npz', lambda: self._compute(estimator, mirror))
        return stored.pop('features'), stored

    @torch.inference_mode()
    def _compute(self, estimator: torch.nn.Module, mirror: bool) -> dict[str, Tensor]:
        """Features (N, 1 or 2, T, F) and labels (N, T, ...) of all tracks."""
        features, labels = [], {name: [] for name in LABELS}
        for index in range(len(self.tracks)):
            track = self.tracks[index]
            image = torch.cat([track['image'], track['image'].flip(3)]) if mirror else track['image']
            if image.shape[-1] != estimator.resolution:
                raise InputError(f'FeatureWindows: the tracks have crops of {image.shape[-1]} px and the estimator '
                                 f'takes {estimator.resolution}; set the `resolution` of the tracks')
            found = torch.cat([estimator(normalise(part.float())).features for part in image.split(BATCH)])
            features.append(found.unflatten(0, (-1, self.tracks.frames)))
            for name, values in labels.items():
                values.append(track[name])
        return dict(features=torch.stack(features), **{name: torch.stack(values) for name, values in labels.items()})
