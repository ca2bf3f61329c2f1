"""Named evaluation protocols: which joints are compared, relative to what, and on whose body.

Two numbers may be compared only if their protocols have the same name; it is printed with every table.
"""

from __future__ import annotations

import dataclasses
import difflib

from hrtk.structures import InputError


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a prediction is compared with the truth.

    Attributes:
        name: what tables print.
        summary: the same in words.
        joints: the compared joints, a list of :mod:`hrtk.body_models.skeletons`.
        root: name of the joint that both sides are moved to the origin by, in ``root_skeleton``.
        root_skeleton: list that holds the root.
        align_vertices: PVE compares vertices relative to the root; if False, relative to the body's own origin.
        genders: whose betas a ground truth may hold. Scoring the betas of another body would be silently wrong.
    """

    name: str
    summary: str
    joints: str = 'lsp14'
    root: str = 'pelvis_mocap'
    root_skeleton: str = 'h36m17'
    align_vertices: bool = True
    genders: tuple[str, ...] = ('neutral',)


_PROTOCOLS: dict[str, Protocol] = {}


def register_protocol(protocol: Protocol) -> Protocol:
    """Makes a protocol known by its name.

    Raises:
        ValueError: another protocol has this name.
    """
    if _PROTOCOLS.setdefault(protocol.name, protocol) != protocol:
        raise ValueError(f'there is another evaluation protocol called {protocol.name!r}')
    return protocol


def get_protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        InputError: nobody registered it; near names are listed.
    """
    if name not in _PROTOCOLS:
        near = difflib.get_close_matches(name, _PROTOCOLS, n=3, cutoff=0.5)
        hint = f'Did you mean {" or ".join(map(repr, near))}?' if near else f'Known: {", ".join(sorted(_PROTOCOLS))}.'
        raise InputError(f'there is no evaluation protocol {name!r}. {hint}')
    return _PROTOCOLS[name]


register_protocol(Protocol('open', 'LSP-14 joints of the H36M regressor, pelvis-aligned, neutral body'))
