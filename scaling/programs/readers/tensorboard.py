"""TensorBoard's event files, by TensorBoard's own reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from scaling.base import fill
from scaling.programs.readers.by_step import BySteps, Value
from scaling.programs.readers.reports import Reports
from scaling.programs.readers.source import Found, Places

if TYPE_CHECKING:
    from pathlib import Path

EVENT_FILES = "*tfevents*"
INSTALL = "TensorBoard's event files need its reader: pip install 'scaling-lab[tensorboard]'"


class TensorBoard:
    """The scalars in all event files below a folder, oldest file first.

    The step is TensorBoard's; with ``step: TAG`` the scalar of that name at the same step.
    """

    name = "the event files"

    def __init__(self, reports: Reports, places: Places) -> None:
        self._load = event_loader()
        self._folder = places.run_dir / fill(reports.where[0], places.values)
        self._files: dict[Path, Any] = {}
        self._steps = BySteps(reports.step)

    def environment(self) -> dict[str, str]:
        """Nothing: the sweep file says where it writes."""
        return {}

    def read(self, *, last: bool) -> Iterable[Found]:
        """New scalars."""
        return self._steps.records(self._values(), last=last)

    def _values(self) -> Iterator[Value]:
        for path in sorted(self._folder.rglob(EVENT_FILES)):
            if path not in self._files:
                self._files[path] = self._load(str(path))
            yield from scalars(self._files[path].Load())


def event_loader() -> Any:
    """TensorBoard's reader of one event file; its ``Load`` gives the events since the last call.

    Raises
    ------
    ValueError
        If TensorBoard is not installed.
    """
    try:
        from tensorboard.backend.event_processing import event_file_loader
    except ImportError as error:
        raise ValueError(f"{INSTALL} ({error})") from None
    return event_file_loader.EventFileLoader


def scalars(events: Iterable[Any]) -> Iterator[Value]:
    """Step, tag and number of each scalar in some events."""
    from tensorboard.util import tensor_util

    for event in events:
        for value in event.summary.value:
            # The loader makes tensors of all scalars, those of old files too.
            if value.metadata.plugin_data.plugin_name == "scalars":
                yield event.step, value.tag, float(tensor_util.make_ndarray(value.tensor))
