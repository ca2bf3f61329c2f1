"""Runs every benchmark of speed and writes a table of ratios: ``python benchmarks/all.py [--only NAME ...]``.

The table, ``speed.md`` and ``speed.json`` in ``benchmarks/results``, is written after every benchmark. The same call
resumes: what was finished on the same commit, machine and versions is kept. A benchmark that fails, or whose data are
not there, is a row that says so. ``--quick`` measures the tiniest sizes, to see that everything runs; its times mean
nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import importlib
import io
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Optional

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import measuring  # noqa: E402

from hrtk.engine.versions import versions  # noqa: E402
from hrtk.files import write_text_atomically  # noqa: E402
from hrtk.reading import read_json  # noqa: E402

COMPARED = (
    'dynaboa/r18_wild',
    'boa/r18_wild',
    'boa/r18_until',
    'track_fit/r18_clip',
    'smplify/r18_clip',
)
UNITS = ('avx512_bf16', 'amx_bf16')  # flags of processors that compute in bfloat16


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A module of this folder with ``main(arguments)``, which calls :func:`measuring.record`.

    Attributes:
        name: of the module.
        arguments: of a whole measurement.
        quick: of the smallest one; None: it cannot be made small enough.
        needs: a path from the root of the repository without which it cannot run.
        source: where that path comes from.
    """

    name: str
    arguments: tuple[str, ...] = ()
    quick: Optional[tuple[str, ...]] = None
    needs: Optional[str] = None
    source: str = ''


BENCHMARKS = (
    Benchmark(
        'bilevel_step', (), ('--net', 'tiny', '--order', 'first', '--frames', '1', '--check', '0')
    ),
    Benchmark(
        'dynamic_step', (), ('--net', 'tiny', '--extra', '0', '--frames', '1', '--check', '0')
    ),
    Benchmark(
        'precision', (), ('--net', 'tiny', '--batch', '1', '--order', 'first', '--repeat', '1')
    ),
    Benchmark('pre_adapt', (), ('--nets', 'tiny', '--epochs', '1')),
    Benchmark('mpm', ('--frames', '27', '243'), None),
    Benchmark('log_ratio', (), None),
    Benchmark('ahead', (), ('--frames', '3', '--repeat', '1')),
    Benchmark('body_model', (), ('--batch', '1', '--repeat', '1')),
    Benchmark('rasteriser', (), ('--sizes', '24', '--repeat', '1')),
    Benchmark('silhouette', (), ('--sizes', '32', '--batches', '1', '--repeat', '1')),
    Benchmark('topology', (), ('--size', '32', '--batch', '1', '--repeat', '1')),
    Benchmark('drawing', (), ('--heights', '48', '--repeat', '1')),
    Benchmark('landmark_hmr', (), None),
    Benchmark('blazepose', ('speed',), ('speed', '--repeat', '1')),
    Benchmark('start', (), None),
    Benchmark('infer_clip', (), None, 'data/real4/videos', 'docs/en/real4.md'),
    Benchmark(
        'error_against_time',
        (*COMPARED, '--cfg-options', 'dataset.sequences=1', 'dataset.frames=12'),
        ('source/r18_wild', '--cfg-options', 'dataset.sequences=1', 'dataset.frames=2'),
    ),
    Benchmark('live', ('--sequences', '1', '--frames', '40'), None),
)


def machine() -> dict[str, str]:
    """What the times depend on."""
    flags = ''
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            key, _, value = line.partition(':')
            if key.strip() == 'model name':
                name = value.strip()
            elif key.strip() == 'flags':
                flags = value
    units = [unit for unit in UNITS if unit in flags.split()]
    return {
        'processor': name,
        'cores': str(os.cpu_count()),
        'bfloat16 units': ', '.join(units) or 'none',
        'commit': commit(),
        **versions(),
    }


def commit() -> str:
    """The commit of the working tree, with a mark if files differ from it."""
    found = []
    for command in (
        ('rev-parse', '--short=12', 'HEAD'),
        ('status', '--porcelain', '-uno', '--', 'hrtk', 'configs'),
    ):
        try:
            done = subprocess.run(
                ('git', *command), cwd=HERE, capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return 'unknown'
        found.append(done.stdout.strip())
    if found[1]:
        return f'{found[0]} with changes'
    return found[0]


def measure(benchmark: Benchmark, arguments: Optional[tuple[str, ...]]) -> dict[str, Any]:
    """Runs a benchmark in this process.

    Returns:
        Its ``rows``, or why there are none: ``problem``; also ``command`` and ``date``.
    """
    record: dict[str, Any] = {'date': datetime.date.today().isoformat(), 'rows': []}
    if benchmark.needs is not None and not (HERE.parent / benchmark.needs).exists():
        return {**record, 'problem': f'not run: {benchmark.needs} is missing ({benchmark.source})'}
    if arguments is None:
        return {**record, 'problem': 'left out of the quick run: it cannot be made small enough'}
    record['command'] = ' '.join(('python', f'benchmarks/{benchmark.name}.py', *arguments))
    measuring.ROWS.clear()
    start = time.process_time()
    try:
        importlib.import_module(benchmark.name).main(list(arguments))
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        record['problem'] = f'failed: {type(error).__name__}: {error}'.splitlines()[0]
    else:
        if not measuring.ROWS:
            record['problem'] = 'failed: it recorded no row'
    record['rows'] = [dataclasses.asdict(row) for row in measuring.ROWS]
    record['seconds'] = round(time.process_time() - start, 1)
    return record


def table(content: dict[str, Any]) -> str:
    """The table as Markdown."""
    text = io.StringIO()
    print(
        '# Speed\n\nWritten by `python benchmarks/all.py`; [README.md](../README.md) explains the columns.\n',
        file=text,
    )
    for key, value in content['machine'].items():
        print(f'* {key}: {value}', file=text)
    print('\n| what | times faster | this | reference | against | floor |', file=text)
    print('| --- | --- | --- | --- | --- | --- |', file=text)
    for name, record in content['benchmarks'].items():
        for values in record['rows']:
            print(line(measuring.Row(**values)), file=text)
        if 'problem' in record:
            print(f'| `{name}` | {record["problem"].replace("|", "/")} | | | | |', file=text)
    print('\n| benchmark | date | command |\n| --- | --- | --- |', file=text)
    for name, record in content['benchmarks'].items():
        print(f'| {name} | {record["date"]} | `{record.get("command", "not run")}` |', file=text)
    return text.getvalue()


def line(row: measuring.Row) -> str:
    """A row of the table."""
    ratio = '–'
    reference = '–'
    floor = '–'
    if row.ratio is not None:
        ratio = f'{row.ratio:.2f}'
        reference = f'{row.reference:.4g} {row.unit}'
    if row.floor is not None:
        floor = f'{row.floor:.4g} {row.unit}, {row.this / row.floor:.2f}'
    against = row.against if row.ratio is not None else ''
    return (
        f'| {row.name} | {ratio} | {row.this:.4g} {row.unit} | {reference} | {against} | {floor} |'
    )


def finished(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The benchmarks of an earlier call under the same conditions that have no problem."""
    if not path.is_file():
        return {}
    stored = read_json(path, kind=dict)
    if any(stored.get(key) != content[key] for key in ('machine', 'quick')):
        return {}
    return {name: one for name, one in stored['benchmarks'].items() if 'problem' not in one}


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs what is missing; returns 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument('--only', nargs='+', choices=names, default=names)
    parser.add_argument('--quick', action='store_true', help='the tiniest sizes')
    parser.add_argument('--out', type=Path, default=HERE / 'results', help='folder (%(default)s)')
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {'machine': machine(), 'quick': args.quick, 'benchmarks': {}}
    kept = finished(args.out / 'speed.json', content)
    for benchmark in BENCHMARKS:
        if benchmark.name not in args.only:
            record: dict[str, Any] = {'date': '', 'rows': [], 'problem': 'not run: --only'}
        else:
            record = {'date': '', 'rows': [], 'problem': 'not run yet'}
        content['benchmarks'][benchmark.name] = kept.get(benchmark.name, record)
    for benchmark in BENCHMARKS:
        if benchmark.name in kept or benchmark.name not in args.only:
            continue
        print(f'--- {benchmark.name}', flush=True)
        chosen = benchmark.quick if args.quick else benchmark.arguments
        content['benchmarks'][benchmark.name] = measure(benchmark, chosen)
        write_text_atomically(args.out / 'speed.json', json.dumps(content, indent=1) + '\n')
        write_text_atomically(args.out / 'speed.md', table(content))
    problems = [one.get('problem', '') for one in content['benchmarks'].values()]
    return int(any(problem.startswith('failed') for problem in problems))


if __name__ == '__main__':
    sys.exit(main())
