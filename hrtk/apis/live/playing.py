"""``live``: bodies of the people in front of a camera, shown while they move."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.apis.live.budget import RunningCost, check_budget
from hrtk.apis.live.cameras import Camera, RecordedCamera, Source
from hrtk.apis.live.people import LivePerson
from hrtk.apis.live.runner import StreamingRunner
from hrtk.apis.live.screens import Film, Page, Screen, Window, draw
from hrtk.apis.live.setup import streaming_runner
from hrtk.errors import InputError

SHOWS = ('auto', 'window', 'page', 'none')


@dataclasses.dataclass
class LiveReport:
    """What a live run did.

    Attributes:
        latencies: seconds from a frame to its bodies, drawing included, of every frame.
        steps: mean number of steps per person, of every frame with people.
        dropped: number of frames that came while another one was at work.
        budget: seconds, or None.
    """

    latencies: list[float] = dataclasses.field(default_factory=list)
    steps: list[float] = dataclasses.field(default_factory=list)
    dropped: int = 0
    budget: Optional[float] = None

    @property
    def within(self) -> Optional[float]:
        """Share of frames within the budget; None without budget or frames."""
        if self.budget is None or not self.latencies:
            return None
        return float(np.mean(np.array(self.latencies) <= self.budget))

    def __str__(self) -> str:
        if not self.latencies:
            return 'no frame'
        median = 1000 * float(np.median(self.latencies))
        text = f'{len(self.latencies)} frames, {self.dropped} dropped, {median:.0f} ms per frame (median)'
        if self.steps:
            text += f', {np.mean(self.steps):.1f} steps per person'
        if self.within is not None and self.budget is not None:
            text += f', {100 * self.within:.1f} % within {1000 * self.budget:.0f} ms'
        return text


def play(
    runner: StreamingRunner,
    camera: Source,
    screens: Sequence[Screen],
    seconds: Optional[float] = None,
    on_frame: Optional[Callable[[float, list[LivePerson]], None]] = None,
) -> LiveReport:
    """Pushes the newest frame of a camera again and again, and shows the bodies, until the camera or the user ends it.

    Args:
        runner: predicts; what drawing takes is left of its budget.
        camera: gives frames.
        screens: show them; none draws nothing.
        seconds: by the times of the frames; None for no limit. Ctrl-C also ends it.
        on_frame: called with the time of a frame and its people.
    """
    report = LiveReport(budget=runner.budget)
    body = copy.deepcopy(runner.estimator.required_body).cpu()  # pictures are drawn on the CPU
    drawing = RunningCost()
    first: Optional[float] = None
    wanted = True
    try:
        while wanted:
            news = camera.read()
            if news is None:
                break
            image, time = news
            if first is None:
                first = time
            if seconds is not None and time - first >= seconds:
                break
            start = runner.clock()
            people = runner.push(image, time)
            begin = runner.clock()
            if screens:
                drawn = draw(image, people, body)
                wanted = all([screen.show(drawn, people, time) for screen in screens])
                drawing.add(runner.clock() - begin)
                runner.reserve = drawing.expected
            report.latencies.append(runner.clock() - start)
            if people:
                report.steps.append(float(np.mean([each.effort.steps for each in people])))
            if on_frame is not None:
                on_frame(time, people)
    except KeyboardInterrupt:
        pass  # the user ends it
    finally:
        report.dropped = camera.dropped
        camera.close()
        for screen in screens:
            screen.close()
    return report


def live(
    footage: str | Path | int,
    adapt: Any = None,
    *,
    budget: Optional[float] = None,
    show: str = 'auto',
    record: Optional[str | Path] = None,
    state: Optional[str | Path] = None,
    max_people: Optional[int] = None,
    fps: Optional[float] = None,
    seconds: Optional[float] = None,
    pose2d: Any = 'blazepose',
    device: Optional[str] = None,
    cfg_options: Optional[dict[str, Any]] = None,
    say: Callable[[str], None] = print,
) -> LiveReport:
    """Shows the bodies of the people in front of a camera, and adapts to them.

    Args:
        footage: index of a webcam; or a video, or a folder of images with ``fps``, played at its own rate.
        adapt: an adapt config; None is the bundled start model without adaptation.
        budget: milliseconds from a frame to its bodies on the screen, which chooses the steps of every frame; None
            takes those of the config.
        show: ``'window'``, ``'page'`` (viser), ``'none'``, or ``'auto'``: a window where there is a display.
        record: the film that is written at the end, ``.mp4``.
        state: file of the adapted weights and everything else; read at the start if it exists, written at the end.
        max_people: 1 by default.
        fps: of images, or of a camera that does not say it.
        seconds: length; None runs until Ctrl-C, Q in the window, or the end of the file.
        pose2d, device, cfg_options: as in :func:`hrtk.apis.infer.infer`.
        say: prints a line.

    Raises:
        InputError: there is no camera or display, or an option is wrong.
    """
    check_budget(budget)
    if max_people is None:
        max_people = 1
    if record is not None and Path(record).suffix.lower() != '.mp4':
        raise InputError(f'{record}: the film of a live run ends in .mp4')
    camera = _open_camera(footage, fps)
    try:
        options = dict(pose2d=pose2d, device=device or 'cpu', cfg_options=cfg_options)
        runner = streaming_runner(
            adapt, fps=camera.fps, budget=budget, max_people=max_people, **options
        )
        if state is not None and Path(state).exists():
            runner.load(state)
            runner.restart_clock()
            say(f'continuing from {state}')
        screens = _screens(show, record, camera.fps, runner, say)
    except BaseException:
        camera.close()
        raise
    report = play(runner, camera, screens, seconds)
    if state is not None:
        runner.save(state)
    say(str(report))
    return report


def _open_camera(footage: str | Path | int, fps: Optional[float]) -> Source:
    """A webcam, or a recording that is played at its own rate; ``fps`` replaces the rate."""
    camera: Source
    if isinstance(footage, int):
        camera = Camera(footage)
    else:
        camera = RecordedCamera(footage, fps)
    if fps is not None:
        camera.fps = fps
    return camera


def _screens(
    show: str,
    record: Optional[str | Path],
    fps: float,
    runner: StreamingRunner,
    say: Callable[[str], None],
) -> list[Screen]:
    """The window or page, and the film.

    Raises:
        InputError: nothing can show the bodies, and nothing records them.
    """
    if show not in SHOWS:
        raise InputError(f'show is one of {", ".join(SHOWS)}, not {show!r}')
    screens: list[Screen] = []
    if show == 'page':
        page = Page(copy.deepcopy(runner.estimator.required_body).cpu())
        say(f'{page.viewer.url} (Ctrl-C to stop)')
        screens.append(page)
    elif show == 'window':
        screens.append(Window())
    elif show == 'auto':
        try:
            screens.append(Window())
        except InputError as error:
            if record is None:
                raise
            say(str(error))
    if record is not None:
        screens.append(Film(record, fps))
    return screens
