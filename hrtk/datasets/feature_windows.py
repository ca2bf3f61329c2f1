"""Training data of temporal networks: image features of labelled tracks, in windows or clips."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.arrays import cached_tensors
from hrtk.datasets.open_stream.cache import cache_key, cache_root
from hrtk.errors import InputError, OptionError
from hrtk.geometry.boxes import normalise
from hrtk.models.estimators.base import Estimator
from hrtk.registry import DATASETS, ESTIMATORS
from hrtk.teachers import window_indices

LABELS = ('rotmat', 'betas', 'camera', 'keypoints2d')
BATCH = 64  # crops per forward pass


class TrackFeatures(Dataset):
    """Features of labelled tracks, by a frozen image network.

    Features are computed when the set is first built and cached on disk (``HRTK_CACHE``) under the hashes of the tracks
    and of the network's weights; another network costs one forward pass over the crops, which are not drawn again.

    Args:
        tracks: config of an :class:`~hrtk.datasets.open_stream.tracks.OpenTracks`, or of a set with its items and
            ``key``.
        estimator: config of the image network, with weights.
        mirror: whether to add the features of the mirrored crops.

    Attributes:
        features: (N, 1, T, F) of N tracks of T frames, or (N, 2, T, F) where ``mirror`` adds those of the mirrored
            crops.
        labels: ``rotmat`` (N, T, 24, 3, 3), ``betas`` (N, T, 10), ``camera`` (N, T, 3) and ``keypoints2d``
            (N, T, 24, 2).

    Raises:
        InputError: a network or set cannot be built, or the network takes crops of another resolution.
    """

    def __init__(self, tracks: dict, estimator: dict, mirror: bool = False) -> None:
        self.tracks = DATASETS.build(tracks)
        network: Estimator = ESTIMATORS.build(dict(estimator)).eval()
        self.labels = self._load(network, mirror)
        self.features = self.labels.pop('features')

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the tracks."""
        return self.tracks.fingerprint()

    def _load(self, estimator: Estimator, mirror: bool) -> dict[str, Tensor]:
        """``features`` and the labels, from the cache if possible."""
        weights = estimator.fingerprint()['weights']
        key = cache_key('features', self.tracks.key, len(self.tracks), weights, mirror)
        return cached_tensors(cache_root() / f'{key}.npz', lambda: self._compute(estimator, mirror))

    @torch.inference_mode()
    def _compute(self, estimator: Estimator, mirror: bool) -> dict[str, Tensor]:
        """``features`` (N, 1 or 2, T, F) and the labels (N, T, ...) of all tracks."""
        stacked: dict[str, list[Tensor]] = {name: [] for name in ('features', *LABELS)}
        for index in range(len(self.tracks)):
            track = self.tracks[index]
            crops = track['image']
            if mirror:
                crops = torch.cat([crops, crops.flip(3)])
            if crops.shape[-1] != estimator.resolution:
                raise InputError(
                    f'{type(self).__name__}: the tracks have crops of {crops.shape[-1]} px and the '
                    f'estimator takes {estimator.resolution}; set the `resolution` of the tracks'
                )
            features = torch.cat(
                [estimator(normalise(batch.float())).features for batch in crops.split(BATCH)]
            )
            stacked['features'].append(features.unflatten(0, (-1, self.tracks.frames)))
            for name in LABELS:
                stacked[name].append(track[name])
        return {name: torch.stack(values) for name, values in stacked.items()}

    def _item(self, track: int, frames: Tensor | slice, labelled: int | slice) -> dict[str, Tensor]:
        """Features of some frames of a track, and the labels of some frames."""
        item = {'features': self.features[track][:, frames]}
        for name, values in self.labels.items():
            item[name] = values[track, labelled]
        return item


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
        return self._item(track, self.windows[frame], frame)


@DATASETS.register_module()
class FeatureClips(TrackFeatures):
    """Clips of labelled tracks, every frame with its labels.

    An item is a dict: ``features`` (1, L, F), or (2, L, F) where ``mirror`` adds those of the mirrored crops,
    ``rotmat`` (L, 24, 3, 3), ``betas`` (L, 10), ``camera`` (L, 3) and ``keypoints2d`` (L, 24, 2).

    Args:
        tracks: see :class:`TrackFeatures`.
        estimator: see :class:`TrackFeatures`.
        frames: L, 16 in VIBE.
        stride: frames between the starts of clips of a track.
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
            raise OptionError(
                f'FeatureClips: frames and stride are positive and no clip is longer than a track of '
                f'{self.tracks.frames} frames, not {frames} and {stride}'
            )
        self.frames = frames
        self.starts = range(0, self.tracks.frames - frames + 1, stride)

    def __len__(self) -> int:
        return len(self.tracks) * len(self.starts)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        track, clip = divmod(index, len(self.starts))
        if not 0 <= track < len(self.tracks):
            raise IndexError(index)
        start = self.starts[clip]
        frames = slice(start, start + self.frames)
        return self._item(track, frames, frames)
