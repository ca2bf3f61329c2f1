"""What temporal networks learn from: image features of labelled tracks, and the windows around their frames."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.arrays import cached_tensors
from hrtk.datasets.open_stream.cache import cache_key, cache_root
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.registry import DATASETS, ESTIMATORS
from hrtk.teachers import window_indices

LABELS = ('rotmat', 'betas', 'camera', 'keypoints2d')
BATCH = 64  # crops at once


class TrackFeatures(Dataset):
    """Labelled tracks seen through a frozen image network.

    Features are computed when the set is first built and kept on disk (``HRTK_CACHE``) under the hashes of the tracks
    and of the network's weights; another network costs one forward pass over the crops, not their drawing.

    Args:
        tracks: config of an
            :class:`~hrtk.datasets.open_stream.tracks.OpenTracks`, or of a set with its items and ``key``.
        estimator: config of the image network, with weights.
        mirror: whether to add the features of the mirrored crops.

    Attributes:
        features: (N, 1, T, F) of N tracks of T frames, or (N, 2, T, F) where ``mirror`` adds those of the mirrored
            crops.
        labels: ``rotmat`` (N, T, 24, 3, 3), ``betas`` (N, T, 10), ``camera`` (N, T, 3) and ``keypoints2d``
            (N, T, 24, 2).

    Raises:
        InputError: a network or set cannot be built.
    """

    def __init__(self, tracks: dict, estimator: dict, mirror: bool = False) -> None:
        self.tracks = DATASETS.build(tracks)
        self.features, self.labels = self._load(ESTIMATORS.build(dict(estimator)).eval(), mirror)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the tracks."""
        return self.tracks.fingerprint()

    def _load(self, estimator: torch.nn.Module, mirror: bool) -> tuple[Tensor, dict[str, Tensor]]:
        key = cache_key(
            'features',
            self.tracks.key,
            len(self.tracks),
            estimator.fingerprint()['weights'],
            mirror,
        )
        stored = cached_tensors(
            cache_root() / f'{key}.npz', lambda: self._compute(estimator, mirror)
        )
        return stored.pop('features'), stored

    @torch.inference_mode()
    def _compute(self, estimator: torch.nn.Module, mirror: bool) -> dict[str, Tensor]:
        """Features (N, 1 or 2, T, F) and labels (N, T, ...) of all tracks."""
        features, labels = [], {name: [] for name in LABELS}
        for index in range(len(self.tracks)):
            track = self.tracks[index]
            image = (
                torch.cat([track['image'], track['image'].flip(3)]) if mirror else track['image']
            )
            if image.shape[-1] != estimator.resolution:
                raise InputError(
                    f'{type(self).__name__}: the tracks have crops of {image.shape[-1]} px and the '
                    f'estimator takes {estimator.resolution}; set the `resolution` of the tracks'
                )
            found = torch.cat(
                [estimator(normalise(part.float())).features for part in image.split(BATCH)]
            )
            features.append(found.unflatten(0, (-1, self.tracks.frames)))
            for name, values in labels.items():
                values.append(track[name])
        return dict(
            features=torch.stack(features),
            **{name: torch.stack(values) for name, values in labels.items()},
        )


@DATASETS.register_module()
class FeatureWindows(TrackFeatures):
    """One window around every frame of labelled tracks.

    An item is a dict: ``features`` (1, 16, F), or (2, 16, F) where ``mirror`` adds those of the mirrored crops, and the
    middle frame's ``rotmat`` (24, 3, 3), ``betas`` (10,), ``camera`` (3,) and ``keypoints2d`` (24, 2).

    Args:
        tracks: see :class:`TrackFeatures`.
        estimator: see :class:`TrackFeatures`.
        border: see :func:`hrtk.teachers.window_indices`.
        mirror: see :class:`TrackFeatures`.

    Raises:
        InputError: a network or set cannot be built, or the border is unknown.
    """

    def __init__(
        self, tracks: dict, estimator: dict, border: str = 'clamp', mirror: bool = False
    ) -> None:
        super().__init__(tracks, estimator, mirror)
        self.windows = window_indices(self.tracks.frames, border)

    def __len__(self) -> int:
        return len(self.tracks) * self.tracks.frames

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        track, frame = divmod(index, self.tracks.frames)
        if not 0 <= track < len(self.tracks):
            raise IndexError(index)
        return dict(
            features=self.features[track][:, self.windows[frame]],
            **{name: values[track, frame] for name, values in self.labels.items()},
        )


@DATASETS.register_module()
class FeatureClips(TrackFeatures):
    """Clips of labelled tracks, every frame with its labels.

    An item is a dict: ``features`` (1, L, F), or (2, L, F) where ``mirror`` adds those of the mirrored crops,
    ``rotmat`` (L, 24, 3, 3), ``betas`` (L, 10), ``camera`` (L, 3) and ``keypoints2d`` (L, 24, 2).

    Args:
        tracks: see :class:`TrackFeatures`.
        estimator: see :class:`TrackFeatures`.
        frames: L, 16 in VIBE.
        stride: frames between the beginnings of clips of a track.
        mirror: see :class:`TrackFeatures`.

    Raises:
        InputError: a network or set cannot be built, or no clip fits into a track.
    """

    def __init__(
        self,
        tracks: dict,
        estimator: dict,
        frames: int = 16,
        stride: int = 16,
        mirror: bool = False,
    ) -> None:
        super().__init__(tracks, estimator, mirror)
        if min(frames, stride) < 1 or frames > self.tracks.frames:
            raise InputError(
                f'FeatureClips: frames and stride are positive and no clip is longer than a track of '
                f'{self.tracks.frames} frames, not {frames} and {stride}'
            )
        self.frames, self.starts = frames, range(0, self.tracks.frames - frames + 1, stride)

    def __len__(self) -> int:
        return len(self.tracks) * len(self.starts)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        track, place = divmod(index, len(self.starts))
        if not 0 <= track < len(self.tracks):
            raise IndexError(index)
        clip = slice(self.starts[place], self.starts[place] + self.frames)
        return dict(
            features=self.features[track][:, clip],
            **{name: values[track, clip] for name, values in self.labels.items()},
        )
