"""What the configs of the kills import: sequences of noise."""

from hrtk.datasets.base import SequenceDataset
from hrtk.registry import DATASETS
from hrtk.testing import coloured_sequence


@DATASETS.register_module(force=True)
class NoisyTracks(SequenceDataset):
    """Sequences of noise in changing colours."""

    def __init__(self, lengths):
        self.lengths = tuple(lengths)

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, index):
        return coloured_sequence(f'track {index}', self.lengths[index], 64, index)
