"""Any adapter with and without the gate: ``python benchmarks/gated.py real4/boa_lifter real4/track_fit_lifter``.

Every config is run as it is and inside ``DoNoHarm`` with its default options. Printed are MPJPE and PA-MPJPE, mm,
frozen, ungated and gated, the share of frames that are more than 5 mm worse than frozen, and the shares of frames that
the gate kept, blended and rolled back. Runs are stored under ``--out`` and not repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hrtk.apis import adapt, load_config
from hrtk.cli.options import Options
from hrtk.evaluation.report import GATE


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('configs', nargs='+')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gated'))
    args = parser.parse_args(arguments)
    lines = [measure(name, args.cfg_options, args.out) for name in args.configs]
    print('| | frozen | ungated | gated | worse: ungated, gated | kept, blended, rolled back |')
    print('| --- | --- | --- | --- | --- | --- |')
    print('\n'.join(lines))


def measure(name: str, options: dict[str, Any], out: Path) -> str:
    """Runs a config twice; returns a row in markdown."""
    config = load_config(name, options)
    gated = load_config(config)
    gated.adapter = dict(type='DoNoHarm', adapter=config.adapter.to_dict())
    folder = out / name.replace('/', '_')
    plain = adapt(config, work_dir=folder / 'ungated')
    judged = adapt(gated, work_dir=folder / 'gated')
    method = config.adapter.type
    shares = ', '.join(f'{100 * judged[f"DoNoHarm/{share}"]:.0f}' for share in GATE)
    worse = f'{_worse(plain, method):.0f} %, {_worse(judged, "DoNoHarm"):.0f} %'
    errors = ' | '.join(
        [_errors(plain, 'Source'), _errors(plain, method), _errors(judged, 'DoNoHarm')]
    )
    return f'| {name} | {errors} | {worse} | {shares} % |'


def _errors(metrics: dict[str, float], row: str) -> str:
    return f'{metrics[f"{row}/mpjpe_mm"]:.1f} / {metrics[f"{row}/pa_mpjpe_mm"]:.1f}'


def _worse(metrics: dict[str, float], row: str) -> float:
    return 100 * metrics[f'{row}/worse_share']


if __name__ == '__main__':
    main()
