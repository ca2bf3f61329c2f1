"""ForegroundHMR: an image network whose features are joined by those of a foreground map."""

from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.models.checkpoints import load_pretrained, load_weights
from hrtk.models.estimators.hmr import HMR
from hrtk.models.segmentation import FUSIONS, foreground_map
from hrtk.models.segmentation.ocr import THRESHOLD
from hrtk.registry import BACKBONES, ESTIMATORS, SEGMENTERS
from hrtk.structures import Prediction

SEGMENTER = 'segmenter'
PARTS = ('backbone', 'head', 'reducer', 'fusion')


@ESTIMATORS.register_module()
class ForegroundHMR(HMR):
    """HMR on features ``f_p * F_d(F_s(x))`` (few-shot adaptation thesis, section 3.6, Eq. 4 and 5).

    A segmenter F_s says where the person is, a second backbone F_d turns its map into a vector, and both join before
    the regressor. The segmenter has been trained before and never learns here. The joined features are those of the
    prediction, so that :class:`~hrtk.models.estimators.video_hmr.VideoHMR` may have this as its image network.

    Args:
        segmenter: config of F_s, with weights; default HRNet-W48-OCR, random.
        reducer: config of F_d, which sees the map three times over; default a ResNet-50.
        fusion: ``'mul'``, as written, or ``'gate'``, which starts as the network without the map; see
            :mod:`hrtk.models.segmentation.fusion`.
        size: px across what the segmenter sees, 520 in the thesis; None for the crops as they are.
        threshold: foreground probabilities below it are 0.
        frozen: which of ``backbone``, ``head``, ``reducer`` and ``fusion`` do not learn and stay in evaluation mode.
            VIBE, which the thesis extends, works on stored image features: its backbone does not learn either.
        start: weights of a plain :class:`HMR` for backbone and head; None for random ones.
        weights: of this network, after training; without a part that is frozen the others' weights are kept.
        backbone, head, resolution, body, precision: of :class:`HMR`.

    Raises:
        InputError: an option has another value, or weights are missing, unreadable or those of another network.
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
            raise InputError(f'ForegroundHMR: fusion is one of {tuple(FUSIONS)}, not {fusion!r}')
        if not set(frozen) <= set(PARTS):
            raise InputError(f'ForegroundHMR: frozen is a list of {PARTS}, not {list(frozen)}')
        if not 0 <= threshold < 1:
            raise InputError(f'ForegroundHMR: threshold is a probability, not {threshold}')
        self.segmenter = SEGMENTERS.build(segmenter or dict(type='HRNetOCR'))
        self.reducer = BACKBONES.build(reducer or dict(type='ResNet', depth=50))
        self.fusion = FUSIONS[fusion](self.backbone.out_channels, self.reducer.out_channels)
        self.size, self.threshold, self.frozen = size, threshold, (SEGMENTER, *frozen)
        if start is not None:
            load_pretrained(
                self, start, tuple(f'{part}.' for part in (SEGMENTER, 'reducer', 'fusion'))
            )
        if weights is not None:
            load_weights(self, weights, tuple(f'{part}.' for part in self.frozen))
        for part in self._frozen_parts():
            part.requires_grad_(False)
        self.train(self.training)

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, R, R) normalised crops -> B predictions, joined features included."""
        with self._autocast(images):
            features = self.backbone(images)
            foreground = self.reducer(self.foreground(images).expand(-1, 3, -1, -1))
        return self._regress(
            self.fusion(*(part.to(self.head.init_pose.dtype) for part in (features, foreground)))
        )

    @torch.no_grad()
    def foreground(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) normalised crops -> (B, 1, R, R) probabilities of the foreground, 0 below the threshold."""
        large = (
            images
            if self.size is None
            else F.interpolate(images, (self.size, self.size), mode='bilinear')
        )
        return foreground_map(self.segmenter(large).main, images.shape[-2:], self.threshold)

    def train(self, mode: bool = True) -> ForegroundHMR:
        """Training mode for those parts that learn."""
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
        return self

    def fingerprint(self) -> dict[str, str]:
        """Hashes of everything that its predictions depend on besides the images."""
        return {
            **super().fingerprint(),
            'fusion': f'{type(self.fusion).__name__}, {self.size} px, from {self.threshold:g}',
        }

    def _frozen_parts(self) -> list[nn.Module]:
        # nn.Module calls train() on whatever is being built, too.
        return [getattr(self, name) for name in getattr(self, 'frozen', ())]

    def _has_cut(self) -> bool:
        return False  # the segmenter needs the pictures

    @staticmethod
    def official_key(key: str) -> str:
        """SPIN's flat key -> ours; segmenter, reducer and fusion have one name."""
        return key if key.startswith((SEGMENTER, 'reducer.', 'fusion.')) else HMR.official_key(key)
