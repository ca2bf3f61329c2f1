"""Lists what configs may name, and who brings it: ``python tools/list.py [REGISTRY ...] [--plugin NAME] [--json]``."""

import argparse
import dataclasses
import json
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hrtk.apis.listing import Registered, list_registered
from hrtk.cli.options import guarded


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Lists what configs may name, and who brings it')
    parser.add_argument(
        'registries', nargs='*', metavar='REGISTRY', help='e.g. adapters losses (default: all)'
    )
    parser.add_argument(
        '--plugin', metavar='NAME', help='only what this distribution brings, e.g. hrtk-example'
    )
    parser.add_argument('--json', action='store_true', help='for programs')
    return parser.parse_args()


def main() -> None:
    """Runs the command."""
    args = parse()
    found = list_registered(args.registries, args.plugin)
    if args.json:
        print(json.dumps([dataclasses.asdict(item) for item in found], indent=1))
    else:
        show(found)


def show(found: list[Registered]) -> None:
    """Prints a table."""
    table, last = Table(), ''
    for column in ('registry', 'type', 'what', 'from'):
        table.add_column(column, overflow='fold')
    for item in found:
        table.add_row(
            '' if item.registry == last else item.registry,
            item.name,
            escape(item.summary),
            item.origin,
        )
        last = item.registry
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == '__main__':
    sys.exit(guarded(main, 'nothing was changed'))
