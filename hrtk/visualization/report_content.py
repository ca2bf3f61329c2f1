"""What a report shows: tables, people with their films, bodies and doubts, and clips with several people."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Sequence

import numpy as np

from hrtk.visualization.doubts import Doubt
from hrtk.visualization.playback import EncodedVideo
from hrtk.visualization.stage import Stage


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts; the first column names the rows, the others hold numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class WorstFrame:
    """A frame with large errors.

    Attributes:
        frame: index of the frame.
        image: (H, W, 3) uint8 RGB.
        text: description of the image.
        error: the error that it was chosen for.
    """

    frame: int
    image: np.ndarray
    text: str
    error: float = float('nan')


@dataclasses.dataclass(frozen=True)
class Person:
    """Where a track of the page appears in a film.

    Attributes:
        track: index of the track in the page.
        at: for every shown frame of the film, the index among the shown frames of the track; -1 where the person is
            absent.
    """

    track: int
    at: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Track:
    """One sequence of F frames; video and meshes may show a subset of them.

    Attributes:
        name: of the sequence.
        frame_ids: F labels.
        shown: indices of the frames that video and meshes show, in order.
        video: of the shown frames.
        video_text: description of the video.
        errors: (F,) errors, NaN where unknown, by name with unit and by role, ``'before'`` or ``'after'``. The worst
            frames are those of the first error.
        meshes: (len(shown), V, 3) metres, y up, pelvis at the origin, by role.
        worst: the worst frames, the worst first.
        doubts: the doubtful frames, with one or more reasons each.
        places: (len(shown), 3) metres, the pelvis in the world of ``stage``, by the roles of ``meshes``.
        stage: floor and camera; None if the bodies have no place.
        others: the other people of the same clip.
    """

    name: str
    frame_ids: Sequence[str]
    shown: Sequence[int]
    video: EncodedVideo
    video_text: str
    errors: dict[str, dict[str, np.ndarray]]
    meshes: dict[str, np.ndarray]
    worst: Sequence[WorstFrame]
    doubts: Sequence[Doubt] = ()
    places: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    stage: Optional[Stage] = None
    others: Sequence[Person] = ()


@dataclasses.dataclass(frozen=True)
class Clip:
    """All people of one clip of F frames at once.

    Attributes:
        name: of the clip.
        frame_ids: F labels.
        shown: indices of the frames that the video shows, in order.
        video: of the shown frames, whole images with the bodies of all people.
        video_text: description of the video.
        error: name and unit of ``errors``.
        errors: (F,) error of every person after adaptation, NaN where the person is absent.
        people: the people that the page has tracks of.
        role: which of their meshes is shown.
        doubts: doubtful frames of every person, counted in the clip.
        worst: the worst frames of all people, the worst first.
        stage: floor and camera.
    """

    name: str
    frame_ids: Sequence[str]
    shown: Sequence[int]
    video: EncodedVideo
    video_text: str
    error: str
    errors: Sequence[np.ndarray]
    people: Sequence[Person]
    role: str
    doubts: Sequence[Sequence[Doubt]]
    worst: Sequence[WorstFrame]
    stage: Stage


@dataclasses.dataclass(frozen=True)
class Page:
    """The content of a report.

    Attributes:
        title: of the page.
        rows: names of the roles that appear, ``'before'``, ``'after'`` and ``'truth'``, e.g.
            ``{'before': 'Source', 'after': 'Bilevel'}``. The page's style has a colour for every role.
        facts: pairs of a name and a text that describe the run.
        tables: of numbers.
        remarks: sentences below the tables.
        tracks: the shown sequences.
        faces: (F, 3) of all meshes.
        clips: the clips of which several tracks are shown.
    """

    title: str
    rows: dict[str, str]
    facts: Sequence[tuple[str, Any]]
    tables: Sequence[Table]
    remarks: Sequence[str]
    tracks: Sequence[Track]
    faces: np.ndarray
    clips: Sequence[Clip] = ()
