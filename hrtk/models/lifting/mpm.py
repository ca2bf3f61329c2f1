"""MPM: Zhang et al., "MPM: A Unified 2D-3D Human Pose Representation via Masked Pose Modeling".

2D and 3D poses are embedded by separate encoders and then share every layer. Stage I is trained to reconstruct hidden
joints and frames of either; stage II lifts 2D to 3D from its weights. Networks are built as released, which differs
from the paper in sizes; the paper's Table 5 belongs to another network than the released one.
"""

from __future__ import annotations

import math
from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import InputError, OptionError
from hrtk.models.checkpoints import (
    LoadReport,
    find_weights,
    load_official,
    load_weights,
    read_checkpoint,
)
from hrtk.models.lifting.masking import Masks
from hrtk.models.lifting.transformer import (
    StridedTransformer,
    Transformer,
    UnbiasedNorm,
    random_embedding,
)
from hrtk.registry import LIFTERS

COORDINATES = {'2d': 2, '3d': 3}
SLOPE = 0.2  # of LeakyReLU
DECODERS = ('strided', 'stage1')
SPECIAL_STRIDES = {9: (1, 3, 3), 351: (3, 9, 13)}


class Pointwise(nn.Conv1d):
    """A convolution of kernel size one, applied to rows (N, inputs) instead of to channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """(N, inputs) -> (N, outputs)."""
        return F.linear(rows, self.weight[..., 0], self.bias)


class PoseEncoder(nn.Module):
    """One layer for the coordinates of a pose: (N, J * D) -> (N, width), joint after joint."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.fc_1 = Pointwise(inputs, width)
        self.bn_1 = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """(N, inputs) -> (N, width)."""
        return self.dropout(F.leaky_relu(self.bn_1(self.fc_1(rows)), SLOPE))


class ResidualMLP(nn.Module):
    """Two layers of equal width with a shortcut."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.w1 = Pointwise(width, width)
        self.w2 = Pointwise(width, width)
        self.batch_norm1 = nn.BatchNorm1d(width)
        self.batch_norm2 = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """(N, width) -> (N, width)."""
        inner = self.dropout(F.leaky_relu(self.batch_norm1(self.w1(rows)), SLOPE))
        return rows + self.dropout(F.leaky_relu(self.batch_norm2(self.w2(inner)), SLOPE))


class SpatialMLP(nn.Module):
    """The layers that 2D and 3D poses share before the attention over frames: (N, width) -> (N, channels)."""

    def __init__(self, width: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(ResidualMLP(width, dropout))
        self.fc_2 = Pointwise(width, channels)

    def forward(self, rows: Tensor) -> Tensor:
        """(N, width) -> (N, channels)."""
        return self.fc_2(self.layers(rows))


def pose_head(channels: int, joints: int, coordinates: int) -> nn.Sequential:
    """Returns the layers from features to the coordinates of a pose: (N, channels) -> (N, J, D)."""
    return nn.Sequential(
        nn.BatchNorm1d(channels),
        Pointwise(channels, joints * coordinates),
        nn.Unflatten(1, (joints, coordinates)),
    )


class _SharedLayers(nn.Module):
    """The layers of both stages: the 2D encoder and the layers behind it, under the released names."""

    def __init__(
        self,
        frames: int,
        joints: int,
        channels: int,
        hidden: int,
        layers: int,
        heads: int,
        dropout: float,
        mlp_dropout: float,
        embedding_std: float,
    ) -> None:
        super().__init__()
        if channels % heads:
            raise OptionError(
                f'{type(self).__name__}: channels={channels} is no multiple of heads={heads}'
            )
        if not embedding_std >= 0:
            raise OptionError(
                f'{type(self).__name__}: embedding_std={embedding_std}: expected a standard deviation, '
                f'1 as released or e.g. 0.02'
            )
        self.frames = frames
        self.joints = joints
        self.encoder2d = PoseEncoder(2 * joints, 2 * channels, mlp_dropout)
        self.shared_layers_spatial = SpatialMLP(2 * channels, channels, mlp_dropout)
        self.shared_layers_temporal = Transformer(
            layers, channels, hidden, heads, dropout, frames, embedding_std
        )

    def _embed(self, poses: Tensor, encoder: PoseEncoder) -> Tensor:
        """(B, F, J, D) -> (B, F, C) tokens with position embeddings, before the attention over frames."""
        rows = encoder(poses.flatten(2).flatten(0, 1))
        tokens = self.shared_layers_spatial(rows).unflatten(0, poses.shape[:2])
        return self.shared_layers_temporal.add_positions(tokens)

    def _check(self, poses: Tensor, kind: str) -> None:
        if kind not in COORDINATES:
            raise OptionError(
                f'{type(self).__name__}: poses are {" or ".join(map(repr, COORDINATES))}, not {kind!r}'
            )
        shape = (self.frames, self.joints, COORDINATES[kind])
        if poses.ndim != 4 or poses.shape[1:] != shape:
            raise OptionError(
                f'{type(self).__name__}: poses are {tuple(poses.shape)}, expected '
                f'(B, {", ".join(map(str, shape))}): build it with the frames and joints of the data'
            )

    @staticmethod
    def official_key(key: str) -> str:
        """Renames a released key (``Transformer_reduce.model.norm.a_2`` -> ``reduce.norm.a_2``)."""
        key = key.replace('Transformer_reduce.', 'reduce.').replace('.model.', '.')
        key = key.replace('.sublayer.0.norm.', '.norms.0.')
        return key.replace('.sublayer.1.norm.', '.norms.1.')


@LIFTERS.register_module()
class MPMStage1(_SharedLayers):
    """Reconstructs hidden joints and frames of 2D or 3D poses, in the same dimension or, lifting, in the other.

    The defaults are the released network for Human3.6M (four blocks; three for several data sets at once), whose
    checkpoints load under their own key names. With ``decoder_layers=2`` it is the released network of completion.

    Args:
        frames: F, length of a window.
        joints: J.
        channels: C, width of a frame's token; the encoders are twice as wide.
        hidden: width inside the feed-forward layers.
        layers: shared blocks.
        decoder_layers: blocks of either decoder.
        heads: of the attention.
        dropout: in the blocks.
        mlp_dropout: in encoders and the shared spatial layers.
        embedding_std: standard deviation of the position embeddings and of the token of hidden frames before training;
            1 as released, where they outweigh the features of the poses at first; 0.02 is usual for transformers.
        weights: a path to a checkpoint, ``'open:<name>'``, or None for random ones.

    Raises:
        InputError: the weights are missing, unreadable or those of another network; C is no multiple of the heads.
    """

    def __init__(
        self,
        frames: int = 243,
        joints: int = 17,
        channels: int = 256,
        hidden: int = 512,
        layers: int = 4,
        decoder_layers: int = 1,
        heads: int = 8,
        dropout: float = 0.1,
        mlp_dropout: float = 0.1,
        embedding_std: float = 1.0,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__(
            frames, joints, channels, hidden, layers, heads, dropout, mlp_dropout, embedding_std
        )
        self.encoder3d = PoseEncoder(3 * joints, 2 * channels, mlp_dropout)
        self.encoder_LN = UnbiasedNorm(channels)
        self.dec_pos_embedding = random_embedding(frames, channels, embedding_std)
        self.temporal_mask_token = random_embedding(1, channels, embedding_std)
        for kind, coordinates in COORDINATES.items():
            token = nn.Parameter(torch.randn(1, 1, coordinates))
            decoder = Transformer(decoder_layers, channels, hidden, heads, dropout)
            setattr(self, f'spatial_mask_token{kind}', token)
            setattr(self, f'decoder{kind}', decoder)
            setattr(self, f'fcn_dec{kind}', pose_head(channels, joints, coordinates))
        if weights is not None:
            load_weights(self, weights)

    def forward(
        self,
        poses: Tensor,
        kind: str = '2d',
        masks: Masks | Sequence[Tensor] | None = None,
        target: Optional[str] = None,
    ) -> Tensor:
        """Reconstructs poses (Eq. 5).

        In training, hidden frames contribute to the batch statistics of the encoders, as released.

        Args:
            poses: (B, F, J, 2) normalised image coordinates, the width being [-1, 1], or (B, F, J, 3) metres from
                the root, whose row is zero. The values of hidden joints do not matter.
            kind: of the poses, ``'2d'`` or ``'3d'``.
            masks: hidden joints and frames; also as (joints, frames) of :meth:`Masks.of`; None hides nothing.
            target: dimension of the result; default that of the poses, ``'3d'`` lifts 2D poses.

        Returns:
            (B, F, J, 2) or (B, F, J, 3), all joints and frames, in the units of ``poses``.

        Raises:
            InputError: an unknown kind, or shapes that are not those of the network.
        """
        self._check(poses, kind)
        if masks is not None and not isinstance(masks, Masks):
            masks = Masks.of(*masks)
        if masks is not None:
            masks = masks.to(poses.device)
        tokens = self.encode(poses, kind, masks)
        return self.decode(tokens, target or kind, masks)

    def encode(self, poses: Tensor, kind: str, masks: Optional[Masks] = None) -> Tensor:
        """(B, F, J, D) -> (B, V, C) normalised tokens of the visible frames."""
        if masks is not None:
            self._check_masks(masks, poses)
            token = getattr(self, f'spatial_mask_token{kind}')
            poses = torch.where(masks.joints[..., None], token, poses)
        tokens = self._embed(poses, getattr(self, f'encoder{kind}'))
        if masks is not None:
            tokens = tokens.gather(1, _token_indices(masks.visible, tokens))
        return self.encoder_LN(self.shared_layers_temporal(tokens))

    def decode(self, tokens: Tensor, target: str, masks: Optional[Masks] = None) -> Tensor:
        """(B, V, C) tokens of :meth:`encode` -> (B, F, J, D) poses of all frames.

        Raises:
            InputError: an unknown target.
        """
        if target not in COORDINATES:
            raise InputError(
                f'MPMStage1: target is {" or ".join(map(repr, COORDINATES))}, not {target!r}'
            )
        if masks is not None:
            hidden = self.temporal_mask_token.to(tokens.dtype).expand(len(tokens), self.frames, -1)
            tokens = hidden.scatter(1, _token_indices(masks.visible, tokens), tokens)
        decoder = getattr(self, f'decoder{target}')
        head = getattr(self, f'fcn_dec{target}')
        decoded = decoder(tokens + self.dec_pos_embedding)
        return head(decoded.flatten(0, 1)).unflatten(0, decoded.shape[:2])

    def _check_masks(self, masks: Masks, poses: Tensor) -> None:
        batch, frames, joints = masks.joints.shape
        if (frames, joints) != poses.shape[1:3] or batch not in (1, len(poses)):
            raise InputError(
                f'MPMStage1: masks of {tuple(masks.joints.shape)} do not fit poses of '
                f'{tuple(poses.shape)}: expected (B or 1, F, J)'
            )


@LIFTERS.register_module()
class MPMStage2(_SharedLayers):
    """Lifts 2D poses to 3D: all frames with a linear head, the middle one with a decoder that strides to it.

    The defaults are the released network, whose checkpoints load under their own key names.

    Args:
        frames, joints, channels, hidden, layers, heads, dropout, embedding_std: as of :class:`MPMStage1`.
        mlp_dropout: in the encoder and the shared spatial layers, higher than in stage I.
        strides: of the decoder's blocks, whose product is F; default threes, (1, 3, 3) for 9 and (3, 9, 13) for 351
            frames.
        decoder: of the middle frame: ``'strided'``, or ``'stage1'``, the light 3D decoder of stage I, which Table A
            compares.
        encoder_norm: whether tokens enter the decoder through the norm that ends the encoder of stage I; without it, as
            released, the decoder gets features of another scale than stage I has trained.
        pretrained: checkpoint of stage I to start from, see :meth:`start_from`.
        weights: a path to a checkpoint of stage II, ``'open:<name>'``, or None.

    Raises:
        InputError: strides that do not reduce a window to one frame; weights that are missing, unreadable or those of
            another network; C is no multiple of the heads.
    """

    def __init__(
        self,
        frames: int = 243,
        joints: int = 17,
        channels: int = 256,
        hidden: int = 512,
        layers: int = 4,
        heads: int = 8,
        dropout: float = 0.1,
        mlp_dropout: float = 0.2,
        strides: Optional[Sequence[int]] = None,
        decoder: str = 'strided',
        encoder_norm: bool = False,
        embedding_std: float = 1.0,
        pretrained: Optional[str] = None,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__(
            frames, joints, channels, hidden, layers, heads, dropout, mlp_dropout, embedding_std
        )
        if decoder not in DECODERS:
            raise OptionError(
                f'MPMStage2: decoder is {" or ".join(map(repr, DECODERS))}, not {decoder!r}'
            )
        self.strided = decoder == 'strided'
        if self.strided:
            self.reduce = StridedTransformer(
                checked_strides(strides, frames),
                channels,
                hidden,
                heads,
                dropout,
                frames,
                embedding_std,
            )
            self.fcn = pose_head(channels, joints, 3)
        else:  # under the keys of stage I, whose checkpoint fills them
            self.dec_pos_embedding = random_embedding(frames, channels, embedding_std)
            self.decoder3d = Transformer(1, channels, hidden, heads, dropout)
            self.fcn_dec3d = pose_head(channels, joints, 3)
        # Under the key of stage I, whose checkpoint fills it.
        self.encoder_LN: nn.Module = nn.Identity()
        if encoder_norm:
            self.encoder_LN = UnbiasedNorm(channels)
        self.fcn_1 = pose_head(channels, joints, 3)
        if pretrained is not None:
            self.start_from(pretrained)
        if weights is not None:
            load_weights(self, weights)

    def start_from(self, weights: str) -> LoadReport:
        """Copies the 2D encoder, the shared layers and the kept norm from a checkpoint of stage I.

        Returns:
            The report: missing are the decoder and both heads, unexpected the layers that only stage I has.

        Raises:
            InputError: the file is missing or unreadable, or its sizes differ; the network is left as it was.
        """
        path = find_weights(weights)
        return load_official(self, read_checkpoint(path), name=str(path))

    def forward(self, keypoints2d: Tensor) -> dict[str, Tensor]:
        """Lifts windows (Eq. 8).

        Args:
            keypoints2d: (B, F, J, 2) normalised image coordinates, the width being [-1, 1].

        Returns:
            ``joints3d_seq`` (B, F, J, 3) of all frames and ``joints3d`` (B, 1, J, 3) of the middle one, frame
            ``F // 2``, both in metres from the root, camera axes. The root's own row is a prediction near zero, which
            the released evaluation overwrites with zero.

        Raises:
            InputError: another shape.
        """
        self._check(keypoints2d, '2d')
        tokens = self.shared_layers_temporal(self._embed(keypoints2d, self.encoder2d))
        tokens = self.encoder_LN(tokens)
        all_frames = self.fcn_1(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
        if self.strided:
            middle = self.fcn(self.reduce(tokens).flatten(0, 1))[:, None]
        else:
            decoded = self.decoder3d(tokens + self.dec_pos_embedding)
            middle = self.fcn_dec3d(decoded[:, self.frames // 2])[:, None]
        return dict(joints3d_seq=all_frames, joints3d=middle)


def checked_strides(strides: Optional[Sequence[int]], frames: int) -> tuple[int, ...]:
    """Returns the strides, or the released ones of a window of this many frames for None.

    Raises:
        InputError: they do not reduce the window to one frame, or none are known.
    """
    if strides is None:
        strides = default_strides(frames)
    strides = tuple(strides)
    if math.prod(strides) != frames or len(strides) < 3:
        raise OptionError(
            f'MPMStage2: strides={strides} of frames={frames}: expected three or more whose product '
            f'is the number of frames'
        )
    return strides


def default_strides(frames: int) -> tuple[int, ...]:
    """Returns the released strides of a window of this many frames.

    Raises:
        InputError: the number is neither a power of three from 9 on nor 351.
    """
    if frames in SPECIAL_STRIDES:
        return SPECIAL_STRIDES[frames]
    count = round(math.log(max(frames, 1), 3))
    if count < 3 or 3**count != frames:
        raise InputError(
            f'frames={frames}: strides are known for 9, 27, 81, 243 and 351 frames; set `strides` for '
            f'others, three or more whose product is the number of frames'
        )
    return (3,) * count


def _token_indices(frames: Tensor, tokens: Tensor) -> Tensor:
    """(B or 1, V) frames -> (B, V, C) indices for gather and scatter."""
    return frames[..., None].expand(len(tokens), -1, tokens.shape[-1])
