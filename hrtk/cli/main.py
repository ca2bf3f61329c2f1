"""``hrtk COMMAND ...``: imports the module of the command from :mod:`hrtk.cli.commands` and runs it."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

from rich.console import Console

from hrtk.errors import InputError, suggestion
from hrtk.files import DISK_ERRORS, disk_error
from hrtk.version import __version__

COMMANDS = Path(__file__).with_name('commands')
USAGE = """usage: hrtk COMMAND ...

CONFIG and TABLE are paths, or names of bundled ones: `hrtk adapt boa/r18_wild`.
Several processes: torchrun --nproc-per-node=N -m hrtk.cli adapt CONFIG
"""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs the command that the first argument names.

    Args:
        arguments: the command and its arguments; default: those of the process.

    Returns:
        The exit code of the command; 2 if there is no such command.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    if not arguments or arguments[0] in ('-h', '--help'):
        print(USAGE)
        for name, path in command_files().items():
            print(f'  {name:<22}{_summary(path)}')
        return 0
    name = arguments[0]
    if name == '--version':
        print(f'hrtk {__version__}')
        return 0
    if name.replace('_', '-') not in command_files():
        hint = suggestion(name, command_files())
        print(f'error: there is no command {name!r}. {hint}', file=sys.stderr)
        return 2
    try:
        return run_command(name, arguments[1:], prog=f'hrtk {name}')
    except SystemExit as stop:  # argparse raises it after --help and after a usage error
        if stop.code is None:
            return 0
        if isinstance(stop.code, int):
            return stop.code
        raise


def command_files() -> dict[str, Path]:
    """The files of all commands by name: ``adapt``, ``check-assets``, ..."""
    return {path.stem.replace('_', '-'): path for path in sorted(COMMANDS.glob('[!_]*.py'))}


def run_command(
    name: str, arguments: Optional[Sequence[str]] = None, prog: Optional[str] = None
) -> int:
    """Parses the arguments of a command and runs it.

    Args:
        name: ``'adapt'``, ``'check-assets'`` or ``'check_assets'``, ...
        arguments: default: those of the process.
        prog: the command in the usage line; default: the file name of the script.

    Returns:
        The exit code: 0 after success, 2 for bad input, 130 after an interrupt, 1 if the reader of the output is gone;
        some commands have further ones.
    """
    command = importlib.import_module(f'hrtk.cli.commands.{name.replace("-", "_")}')
    parser = argparse.ArgumentParser(
        prog=prog,
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    args = parser.parse_args(arguments)
    return _exit_code(lambda: command.run(args), command.ON_INTERRUPT)


def _exit_code(run: Callable[[], int], on_interrupt: str) -> int:
    """Runs a command; prints one line instead of a traceback for bad input and interrupts."""
    try:
        code = run()
        sys.stdout.flush()
        return code
    except InputError as error:
        return _report(str(error))
    except KeyboardInterrupt:
        Console(stderr=True).print(f'interrupted; {on_interrupt}', style='yellow')
        return 130
    except BrokenPipeError:
        # e.g. `hrtk list | head`. Python flushes stdout again when it exits, so it needs an open file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in DISK_ERRORS or error.filename is None:
            raise
        return _report(str(disk_error(error.filename, error)))


def _report(message: str) -> int:
    """Prints a message about bad input and returns the exit code."""
    # A name of a file that is not UTF-8 cannot be printed as it is.
    message = message.encode('utf-8', 'backslashreplace').decode()
    Console(stderr=True, soft_wrap=True).print(
        f'error: {message}', style='red', markup=False, highlight=False
    )
    return 2


def _summary(path: Path) -> str:
    """The first line of a module's docstring, read without importing the module."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
    return docstring.partition('\n')[0].rstrip('.')


if __name__ == '__main__':  # for `python -m hrtk.apis.cli`, the old name of this module
    sys.exit(main())
