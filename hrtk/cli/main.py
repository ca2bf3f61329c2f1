"""``hrtk COMMAND ...``: imports the module of the command from :mod:`hrtk.cli.commands` and runs it."""

from __future__ import annotations

import argparse
import ast
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

from hrtk import interrupts
from hrtk.errors import InputError, memory_shortage, suggestion
from hrtk.files import disk_error, written_error
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
    owns_process = arguments is None
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
        return _run(name, arguments[1:], f'hrtk {name}', owns_process)
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
        The exit code: 0 after success, 2 for bad input, 130 after an interrupt, 143 after SIGTERM, 1 if the reader of
        the output is gone; some commands have further ones.
    """
    return _run(name, arguments, prog, arguments is None)


def _run(
    name: str, arguments: Optional[Sequence[str]], prog: Optional[str], owns_process: bool
) -> int:
    """Runs a command; ``owns_process`` if the process ends with it."""
    note = interrupts.STARTING
    if owns_process:
        interrupts.exit_at_once(note)
        logging.raiseExceptions = (
            False  # a log on a full disk loses lines, without a traceback for each
        )
    try:
        command = importlib.import_module(f'hrtk.cli.commands.{name.replace("-", "_")}')
        parser = argparse.ArgumentParser(
            prog=prog,
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(parser)
        args = parser.parse_args(arguments)
        note = command.ON_INTERRUPT
        with interrupts.raised():
            config = getattr(args, 'config', None) or getattr(args, 'adapt', None)
            code = _exit_code(lambda: command.run(args), _output_folder(args), config)
    except (KeyboardInterrupt, Exception) as error:
        stop = interrupts.cause(error)
        if stop is None:
            raise
        code = interrupts.exit_code(stop)
        _print(f'{interrupts.WORDS[code]}; {note}', 'yellow')
    if owns_process:
        interrupts.exit_at_once(interrupts.ENDED)
    return code


def _output_folder(args: argparse.Namespace) -> str:
    """Where a command writes, for a message about an error that names no file."""
    for name in ('work_dir', 'output', 'folder'):
        value = getattr(args, name, None)
        if isinstance(value, str):
            return value
    return os.curdir


def _exit_code(run: Callable[[], int], output: str, config: Optional[str] = None) -> int:
    """Runs a command; prints one line instead of a traceback for bad input, and for a disk that cannot be written."""
    try:
        code = run()
        sys.stdout.flush()
        return code
    except InputError as error:
        if interrupts.cause(error) is not None:
            raise
        return _report(str(error))
    except BrokenPipeError:
        # e.g. `hrtk list | head`. Python flushes stdout again when it exits, so it needs an open file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, RuntimeError, MemoryError) as error:
        message = _environment(error, output, config)
        if message is None:
            raise
        return _report(message)


def _environment(error: BaseException, output: str, config: Optional[str]) -> Optional[str]:
    """The message about what the machine or a file name does not allow; None for other errors."""
    cause = written_error(error)
    if cause is not None:
        return str(disk_error(cause.filename or output, cause))
    shortage = memory_shortage(error)
    if shortage is not None:
        return f'{shortage}: check the sizes in {config or "the config"} and the options'
    if isinstance(error, OSError) and error.filename is not None:
        return f'{error.filename}: cannot be used ({error.strerror}); check the path'
    return None


def _report(message: str) -> int:
    """Prints a message about bad input and returns the exit code."""
    _print(f'error: {message}', 'red')
    return 2


def _print(message: str, style: str) -> None:
    """Prints one line to stderr."""
    from rich.console import Console  # takes a tenth of a second to import

    # A name of a file that is not UTF-8 cannot be printed as it is.
    message = message.encode('utf-8', 'backslashreplace').decode()
    Console(stderr=True, soft_wrap=True).print(message, style=style, markup=False, highlight=False)


def _summary(path: Path) -> str:
    """The first line of a module's docstring, read without importing the module."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
    return docstring.partition('\n')[0].rstrip('.')


if __name__ == '__main__':  # for `python -m hrtk.apis.cli`, the old name of this module
    sys.exit(main())
