"""Lists the classes that configs can name, with the package that provides each.

Example: hrtk list adapters losses
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from hrtk.apis.console import output_console
from hrtk.apis.listing import Registered, list_registered

ON_INTERRUPT = 'nothing was changed'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'registries', nargs='*', metavar='REGISTRY', help='e.g. adapters losses (default: all)'
    )
    parser.add_argument(
        '--plugin', metavar='NAME', help='only classes of this distribution, e.g. hrtk-example'
    )
    parser.add_argument('--json', action='store_true', help='JSON, for programs')


def run(args: argparse.Namespace) -> int:
    classes = list_registered(args.registries, args.plugin)
    if args.json:
        print(json.dumps([dataclasses.asdict(item) for item in classes], indent=1))
    else:
        print_table(classes)
    return 0


def print_table(classes: Sequence[Registered]) -> None:
    """Prints one row per class; the registry's name stands in the first of its rows."""
    table = Table()
    for column in ('registry', 'type', 'what', 'from'):
        table.add_column(column, overflow='fold')
    previous = ''
    for item in classes:
        registry = '' if item.registry == previous else item.registry
        table.add_row(registry, item.name, escape(item.summary), item.origin)
        previous = item.registry
    output_console().print(table)
