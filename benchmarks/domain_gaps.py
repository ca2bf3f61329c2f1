"""The domain gaps of BOA's Table 1: ``python benchmarks/domain_gaps.py configs/source/spin_3dpw.py [CONFIG ...]``.

Prints focal length, sum of bone lengths and camera distance of the data set of every config, mean and standard
deviation over its valid frames, below the values of the paper. The paper's camera height is left out: the paper does
not say over which ground it is measured, and the ground truth of the data sets here has no floor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hrtk.apis import load_config
from hrtk.body_models.gendered import GenderedBodies
from hrtk.evaluation.domains import DomainStatistics, Spread, domain_statistics
from hrtk.registry import DATASETS

# Guan et al., CVPR 2021, Table 1.
PAPER = {
    'H3.6M (paper)': DomainStatistics(0, Spread(1146.8, 2.0), Spread(3.9, 0.1), Spread(5.2, 0.8)),
    '3DPW (paper)': DomainStatistics(0, Spread(1962.2, 1.5), Spread(3.7, 0.1), Spread(3.5, 0.7)),
    '3DHP (paper)': DomainStatistics(0, Spread(1497.9, 2.8), Spread(3.7, 0.1), Spread(3.8, 0.8)),
}


def main(arguments: list[str] | None = None) -> dict[str, DomainStatistics]:
    """Prints the table and returns the statistics of every config."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', help='adapt configs; their data sets are measured')
    found = {}
    for name in parser.parse_args(arguments).configs:
        cfg = load_config(name)
        files = cfg.evaluator.get('bodies')
        bodies = None
        if files is not None:
            bodies = GenderedBodies(files)
        dataset = DATASETS.build(cfg.dataset)
        sequences = (dataset[index] for index in range(len(dataset)))
        found[Path(name).stem] = domain_statistics(sequences, bodies)
    table = Table('', 'frames', 'focal length, px', 'bone length, m', 'camera distance, m')
    for label, row in {**PAPER, **found}.items():
        frames = str(row.frames) if row.frames else ''
        table.add_row(label, frames, *[_text(value) for value in row[1:]])
    Console().print(table)
    return found


def _text(value: Spread | None) -> str:
    if value is None:
        return ''
    return f'{value.mean:.1f} ± {value.deviation:.1f}'


if __name__ == '__main__':
    main()
