"""The motion prior of VIBE: a critic that is trained to tell recorded motion from predicted motion."""

from __future__ import annotations

from typing import Optional

from torch import Tensor, nn

from hrtk.errors import InputError
from hrtk.models.checkpoints import find_weights, load_official, read_checkpoint, require_match
from hrtk.registry import MODELS

BODY_POSE = 69  # axis-angle of joints 1..23
WRAPPER = 'disc_motion_state_dict'


@MODELS.register_module()
class MotionDiscriminator(nn.Module):
    """Clips of body poses to one score each: 1 for recorded motion, 0 for a network's prediction.

    Kocabas et al., VIBE, 2020, section 3.3: recurrent units over the poses, and learnt attention that sums their
    states over time. It is trained by least squares: ``(D(real) - 1)^2 + D(fake)^2`` for the critic, ``(D(fake) -
    1)^2`` for the network that predicts motion. The defaults are the released critic, whose weights load under their
    own key names, also from a generator's checkpoint, which holds them under ``disc_motion_state_dict``. The released
    code loses the batch axis for a batch of one; this class does not.

    Args:
        hidden: width of the recurrent units.
        layers: recurrent layers.
        attention: width of the attention's layers.
        dropout: in the attention, in training mode only.
        weights: a path to a checkpoint, or None for random ones.

    Raises:
        InputError: the weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        hidden: int = 1024,
        layers: int = 2,
        attention: int = 1024,
        dropout: float = 0.2,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__()
        self.gru = nn.GRU(BODY_POSE, hidden, num_layers=layers, batch_first=True)
        self.attention = nn.Sequential(
            nn.Linear(hidden, attention),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(attention, attention),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(attention, 1),
            nn.Tanh(),
            nn.Dropout(dropout),
        )
        self.fc = nn.Linear(hidden, 1)
        if weights is not None:
            self._load(weights)

    def forward(self, body_pose: Tensor) -> Tensor:
        """Scores motions.

        Args:
            body_pose: (B, T, 69) axis-angle of joints 1..23 in radians, without global orientation.

        Returns:
            (B, 1) scores, unbounded.

        Raises:
            InputError: another shape.
        """
        if body_pose.ndim != 3 or body_pose.shape[2] != BODY_POSE:
            raise InputError(
                f'MotionDiscriminator: body_pose is {tuple(body_pose.shape)}, expected (B, T, '
                f'{BODY_POSE}): axis-angle of joints 1..23, without global orientation'
            )
        states = self.gru(body_pose)[0]
        weights = self.attention_weights(states)
        return self.fc((weights[..., None] * states).sum(1))

    def attention_weights(self, states: Tensor) -> Tensor:
        """(B, T, hidden) recurrent states -> (B, T) weights that sum to one."""
        return self.attention(states).squeeze(2).softmax(1)

    def _load(self, weights: str) -> None:
        path = find_weights(weights)
        content = read_checkpoint(path)
        report = load_official(self, content.get(WRAPPER, content), str(path))
        require_match(self, path, report.missing_keys, report.unexpected_keys)

    @staticmethod
    def official_key(key: str) -> str:
        """Renames a released key (``attention.attention.0.weight`` -> ``attention.0.weight``)."""
        return key.replace('attention.attention.', 'attention.', 1)
