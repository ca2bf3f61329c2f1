"""Promises that a class of a plugin makes, and what is raised when it breaks one."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Iterable, Iterator

from hrtk.errors import InputError

Check = Callable[[Any], Iterator[str]]


class BrokenContract(AssertionError):
    """A plugin's class does not do what hrtk relies on; the message names the promise and where it is documented."""


@dataclasses.dataclass(frozen=True)
class Contract:
    """One promise.

    Attributes:
        name: to leave it out by.
        promise: what is promised, one sentence.
        where: the page or docstring that says so.
        check: takes what is examined and yields a complaint for everything that is wrong.
    """

    name: str
    promise: str
    where: str
    check: Check


class Contracts(dict[str, Contract]):
    """Contracts by name, in the order in which they are examined."""

    def add(self, promise: str, where: str) -> Callable[[Check], Check]:
        """Decorates a check, whose function's name is the contract's."""

        def register(check: Check) -> Check:
            name = check.__name__.strip('_')
            self[name] = Contract(name, promise, where, check)
            return check

        return register

    def examine(self, subject: Any, title: str, skip: Iterable[str] = ()) -> None:
        """Goes through all contracts up to the first that is broken.

        Args:
            subject: what the checks take.
            title: who is examined.
            skip: names of contracts that are left out.

        Raises:
            BrokenContract: one is broken, or something was raised while it was examined.
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
                raise BrokenContract(
                    _text(contract, title, f'{type(error).__name__}: {error}')
                ) from error
            if complaint is not None:
                raise BrokenContract(_text(contract, title, complaint))


def _text(contract: Contract, title: str, complaint: str) -> str:
    return (
        f'{title} breaks the contract {contract.name!r}: {contract.promise}.\n  found: {complaint}\n'
        f'  documented in {contract.where}'
    )
