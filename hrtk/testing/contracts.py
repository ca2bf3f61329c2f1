"""Contracts: promises that a class of a plugin makes, each with a check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hrtk.errors import InputError

Check = Callable[[Any], Iterator[str]]


class BrokenContract(AssertionError):
    """A plugin's class does not do what hrtk relies on; the message names the promise and where it is documented."""


@dataclasses.dataclass(frozen=True)
class Contract:
    """One promise.

    Attributes:
        name: of the contract, for ``skip``.
        promise: one sentence.
        where: the page or docstring that documents it.
        check: takes the subject and yields a complaint for every breach.
    """

    name: str
    promise: str
    where: str
    check: Check


class Contracts(dict[str, Contract]):
    """Contracts by name, in the order of their checks."""

    def add(self, promise: str, where: str) -> Callable[[Check], Check]:
        """Returns a decorator that adds a check; the name of its function names the contract."""

        def register(check: Check) -> Check:
            name = check.__name__.strip('_')
            self[name] = Contract(name, promise, where, check)
            return check

        return register

    def examine(self, subject: Any, title: str, skip: Iterable[str] = ()) -> None:
        """Checks all contracts in order and stops at the first that is broken.

        Args:
            subject: the argument of the checks.
            title: the class in messages.
            skip: names of contracts that are left out.

        Raises:
            BrokenContract: a contract is broken, or its check raised an error.
            InputError: ``skip`` names no contract.
        """
        unknown = sorted(set(skip) - set(self))
        if unknown:
            raise InputError(f'there is no contract {unknown[0]!r}; they are {", ".join(self)}')
        for contract in self.values():
            if contract.name in skip:
                continue
            try:
                complaint = next(iter(contract.check(subject)), None)
            except Exception as error:
                message = _message(contract, title, f'{type(error).__name__}: {error}')
                raise BrokenContract(message) from error
            if complaint is not None:
                raise BrokenContract(_message(contract, title, complaint))


def _message(contract: Contract, title: str, complaint: str) -> str:
    return (
        f'{title} breaks the contract {contract.name!r}: {contract.promise}.\n  found: {complaint}\n'
        f'  documented in {contract.where}'
    )
