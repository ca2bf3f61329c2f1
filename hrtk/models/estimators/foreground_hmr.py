"""ForegroundHMR: an image network whose features are fused with those of a foreground map."""

from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import OptionError
from hrtk.models.checkpoints import load_pretrained, load_weights
from hrtk.models.estimators.hmr import HMR
from hrtk.models.segmentation import FUSIONS, foreground_map
from hrtk.models.segmentation.ocr import THRESHOLD
from hrtk.registry import BACKBONES, ESTIMATORS, SEGMENTERS
from hrtk.structures import Prediction

SEGMENTER = 'segmenter'
MODULES = ('backbone', 'head', 'reducer', 'fusion')
# Key prefixes of the modules that a plain HMR does not have.
FOREGROUND_KEYS = ('segmenter.', 'reducer.', 'fusion.')


@ESTIMATORS.register_module()
class ForegroundHMR(HMR):
    """HMR on features ``f_p * F_d(F_s(x))`` (few-shot adaptation thesis, section 3.6, Eq. 4 and 5).

    A segmenter F_s predicts the foreground, a second backbone F_d maps the foreground map to a vector, and both
    feature vectors are fused before the regressor. The segmenter is trained beforehand and is always frozen. The fused
    features are those of the prediction, so :class:`~hrtk.models.estimators.video_hmr.VideoHMR` accepts this as its
    image network.

    Args:
        segmenter: config of F_s, with weights; default HRNet-W48-OCR, random.
        reducer: config of F_d, which receives the map as three equal channels; default a ResNet-50.
        fusion: ``'mul'``, as written, or ``'gate'``, which equals the network without the map before training; see
            :mod:`hrtk.models.segmentation.fusion`.
        size: side of the segmenter's input, px, 520 in the thesis; None for the crops as they are.
        threshold: foreground probabilities below it are set to 0.
        frozen: which of ``backbone``, ``head``, ``reducer`` and ``fusion`` are not trained and stay in evaluation mode.
            VIBE, which the thesis extends, works on stored image features: its backbone is not trained either.
        start: weights of a plain :class:`HMR` for backbone and head; None for random ones.
        weights: of this network, after training; a file without a frozen module leaves that module unchanged.
        backbone, head, resolution, body, precision: of :class:`HMR`.

    Raises:
        InputError: an option has an unknown value, or weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        segmenter: Optional[dict] = None,
        reducer: Optional[dict] = None,
        fusion: str = 'mul',
        size: Optional[int] = None,
        threshold: float = THRESHOLD,
        frozen: Sequence[str] = ('backbone',),
        start: Optional[str] = None,
        weights: Optional[str] = None,
        backbone: Optional[dict] = None,
        head: Optional[dict] = None,
        resolution: int = 224,
        body: Optional[dict] = dict(type='BodyModel'),
        precision: str = 'float32',
    ) -> None:
        super().__init__(backbone, head, resolution, body, None, precision)
        if fusion not in FUSIONS:
            raise OptionError(f'ForegroundHMR: fusion is one of {tuple(FUSIONS)}, not {fusion!r}')
        if not set(frozen) <= set(MODULES):
            raise OptionError(f'ForegroundHMR: frozen is a list of {MODULES}, not {list(frozen)}')
        if not 0 <= threshold < 1:
            raise OptionError(f'ForegroundHMR: threshold is a probability, not {threshold}')
        self.segmenter = SEGMENTERS.build(segmenter or dict(type='HRNetOCR'))
        self.reducer = BACKBONES.build(reducer or dict(type='ResNet', depth=50))
        self.fusion = FUSIONS[fusion](self.backbone.out_channels, self.reducer.out_channels)
        self.size = size
        self.threshold = threshold
        self.frozen = (SEGMENTER, *frozen)
        if start is not None:
            load_pretrained(self, start, FOREGROUND_KEYS)
        if weights is not None:
            load_weights(self, weights, tuple(f'{name}.' for name in self.frozen))
        for module in self._frozen_modules():
            module.requires_grad_(False)
        self.train(self.training)

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, R, R) normalised crops -> B predictions, fused features included."""
        with self._autocast(images):
            features = self.backbone(images)
            foreground = self.reducer(self.foreground(images).expand(-1, 3, -1, -1))
        dtype = self.head.init_pose.dtype
        return self._regress(self.fusion(features.to(dtype), foreground.to(dtype)))

    @torch.no_grad()
    def foreground(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) normalised crops -> (B, 1, R, R) foreground probabilities, 0 below the threshold."""
        resized = images
        if self.size is not None:
            resized = F.interpolate(images, (self.size, self.size), mode='bilinear')
        return foreground_map(self.segmenter(resized).main, images.shape[-2:], self.threshold)

    def train(self, mode: bool = True) -> ForegroundHMR:
        """Sets the mode of the modules that are not frozen."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of everything besides the images that the predictions depend on."""
        fusion = f'{type(self.fusion).__name__}, {self.size} px, from {self.threshold:g}'
        return {**super().fingerprint(), 'fusion': fusion}

    def _frozen_modules(self) -> list[nn.Module]:
        # nn.Module calls train() during construction too, before `frozen` is set.
        return [getattr(self, name) for name in getattr(self, 'frozen', ())]

    def _has_cut(self) -> bool:
        return False  # the segmenter needs the images

    @staticmethod
    def official_key(key: str) -> str:
        """Renames SPIN's flat key; segmenter, reducer and fusion have no other names."""
        if key.startswith(FOREGROUND_KEYS):
            return key
        return HMR.official_key(key)
