"""The network that finds the landmarks of one person: MediaPipe's ``pose_landmark_full``."""

from __future__ import annotations

from typing import NamedTuple, Optional

from torch import Tensor, nn

from hrtk.errors import OptionError, suggestion
from hrtk.models.blazepose.blocks import (
    Backbone,
    Convolution,
    Levels,
    Separable,
    SeparableResidual,
    enlarge,
)
from hrtk.models.checkpoints import load_weights

SIDE = 256  # px of its input
WIDTHS = (24, 32, 64, 88, 144)
LANDMARKS = 33
POINTS = 39  # landmarks and six auxiliary points
FEATURES = 288  # channels of the map before the heads
CELLS = 4  # of that map, 2x2
# The parts behind each cut.
HEADS = ('landmarks.', 'world.', 'flag.')
CUTS = {'heads': HEADS, 'tower': ('tower.', *HEADS)}


class LandmarkOutput(NamedTuple):
    """The raw output of :class:`LandmarkNetwork` for B crops.

    Attributes:
        landmarks: (B, 39, 5) x, y and z, px of the crop, and the logits of visibility and presence. z is relative to
            the middle of the hips and negative towards the camera. The first 33 are the landmarks of the skeleton
            ``blazepose33``. Point 33 is the middle of the hips, and point 34 lies above it on a circle around the
            whole body; both define the region of the next frame. The other four are not used.
        world: (B, 39, 3) metres about the middle of the hips in the axes of the crop, x right, y down, z away.
        flag: (B,) logit of a person being there.
        features: (B, 288, 2, 2) the maps before the heads.
        heatmap: (B, 39, 64, 64) logits, or None if they were not asked for.
        mask: (B, 256, 256) logits of the foreground, or None if they were not asked for.
    """

    landmarks: Tensor
    world: Tensor
    flag: Tensor
    features: Tensor
    heatmap: Optional[Tensor] = None
    mask: Optional[Tensor] = None

    def cpu(self) -> LandmarkOutput:
        """Returns the same values in host memory."""
        values = {name: value.cpu() for name, value in self._asdict().items() if value is not None}
        return self._replace(**values)


class LandmarkNetwork(nn.Module):
    """Crops of people to landmarks in 2D and 3D.

    A backbone, a tower of residual blocks down to 2x2 cells, and three linear heads. Heat maps and the mask are decoded
    from the backbone's levels. The network is cut in two, ``forward(x) == from_trunk(trunk(x))`` without heat maps and
    mask, which need the levels before the cut.

    Args:
        cut: ``'heads'``, before the linear heads, features (B, 288, 2, 2); or ``'tower'``, before the tower, maps
            (B, 864, 8, 8).
        weights: ``'open:blazepose'``, a path to a checkpoint, or None for random ones.

    Raises:
        InputError: there is no such cut, or the weights are missing, unreadable or those of another network.
    """

    ignored_keys = ('detector.',)

    def __init__(self, cut: str = 'heads', weights: Optional[str] = None) -> None:
        super().__init__()
        if cut not in CUTS:
            raise OptionError(f'LandmarkNetwork: there is no cut {cut!r}. {suggestion(cut, CUTS)}')
        self.cut = cut
        self.backbone = Backbone(WIDTHS)
        self.tower = _tower(self.backbone.out_channels)
        self.landmarks = nn.Linear(CELLS * FEATURES, 5 * POINTS)
        self.world = nn.Linear(CELLS * FEATURES, 3 * POINTS)
        self.flag = nn.Linear(CELLS * FEATURES, 1)
        self.pyramid = _Pyramid(self.backbone.out_channels)
        self.heatmap = Convolution(_Pyramid.channels, POINTS, relu=False)
        self.mask = _MaskDecoder()
        if weights is not None:
            load_weights(self, weights)

    def forward(self, images: Tensor, heatmap: bool = False, mask: bool = False) -> LandmarkOutput:
        """Maps crops to landmarks.

        Args:
            images: (B, 3, 256, 256) RGB in [0, 1].
            heatmap: compute the heat maps.
            mask: compute the mask.
        """
        levels = self.backbone(images)
        output = self.read(self.tower(levels.stride32))
        if not heatmap and not mask:
            return output
        pyramid = self.pyramid(levels)
        if heatmap:
            output = output._replace(heatmap=self.heatmap(pyramid))
        if mask:
            output = output._replace(mask=self.mask(pyramid, levels.stride2))
        return output

    def trunk(self, images: Tensor) -> Tensor:
        """Runs the layers before the cut: (B, 3, 256, 256) RGB in [0, 1] -> maps."""
        maps = self.backbone(images).stride32
        if self.cut == 'heads':
            maps = self.tower(maps)
        return maps

    def from_trunk(self, maps: Tensor) -> LandmarkOutput:
        """Runs the layers behind the cut."""
        if self.cut == 'tower':
            maps = self.tower(maps)
        return self.read(maps)

    def behind_trunk(self, name: str) -> bool:
        """Returns whether :meth:`from_trunk` uses the parameter of this name."""
        return name.startswith(CUTS[self.cut])

    def read(self, features: Tensor) -> LandmarkOutput:
        """Runs the heads: (B, 288, 2, 2) -> landmarks, world landmarks and flags."""
        rows = features.flatten(1)
        landmarks = self.landmarks(rows).unflatten(1, (POINTS, 5))
        world = self.world(rows).unflatten(1, (POINTS, 3))
        return LandmarkOutput(landmarks, world, self.flag(rows)[:, 0], features)

    @staticmethod
    def official_key(key: str) -> str:
        """Removes the prefix that the keys have in the file with both networks."""
        return key.removeprefix('landmark_network.')


class _Pyramid(nn.Module):
    """The levels added top-down to one map of stride 4.

    Args:
        top: channels of the last level.
    """

    channels = 48

    def __init__(self, top: int) -> None:
        super().__init__()
        stride4, stride8, _, stride16, _ = WIDTHS
        self.top = Separable(top, self.channels)
        self.lateral16 = Separable(stride16, self.channels)
        self.lateral8 = Separable(stride8, self.channels)
        self.lateral4 = Separable(stride4, self.channels)

    def forward(self, levels: Levels) -> Tensor:
        """The levels -> (B, 48, 64, 64)."""
        maps = enlarge(self.top(levels.stride32)) + self.lateral16(levels.stride16)
        maps = enlarge(maps) + self.lateral8(levels.stride8)
        return enlarge(maps) + self.lateral4(levels.stride4)


class _MaskDecoder(nn.Module):
    """The map of stride 4 and the level of stride 2 to a mask of the input's size."""

    channels = 8

    def __init__(self) -> None:
        super().__init__()
        channels = self.channels
        self.reduce = Separable(_Pyramid.channels, channels)
        self.lateral2 = Separable(16, channels)
        self.blocks2 = nn.Sequential(SeparableResidual(channels), SeparableResidual(channels))
        self.blocks1 = nn.Sequential(SeparableResidual(channels), SeparableResidual(channels))
        self.logits = Convolution(channels, 1, 3, relu=False)

    def forward(self, pyramid: Tensor, stride2: Tensor) -> Tensor:
        """(B, 48, H / 4, W / 4) and (B, 16, H / 2, W / 2) -> (B, H, W) logits."""
        maps = enlarge(self.reduce(pyramid)) + self.lateral2(stride2)
        maps = self.blocks1(enlarge(self.blocks2(maps)))
        return self.logits(maps)[:, 0]


def _tower(inputs: int) -> nn.Sequential:
    """(B, inputs, 8, 8) -> (B, 288, 2, 2)."""
    tower = nn.Sequential(Separable(inputs, FEATURES))
    for count in (4, 5):
        tower.append(SeparableResidual(FEATURES, halve=True))
        for _ in range(count):
            tower.append(SeparableResidual(FEATURES))
    return tower
