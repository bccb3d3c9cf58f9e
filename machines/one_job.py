"""What is to be done with a picture: a workflow, where it comes in and goes out, and what is set in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .workflow_file import (
    Prompt,
    Setting,
    Workflow,
    find_load,
    find_save,
    for_one_picture,
    texts,
    to_prompt,
    with_settings,
)


@dataclass(frozen=True)
class Job:
    """A workflow and the answers that the command line gave: one for every picture that goes through it.

    Attributes:
        load, save: the nodes that are meant (id, title, or for `save` its file name prefix); None for the only one.
        settings: inputs that are given other values.
    """

    workflow: Workflow
    load: str | None = None
    save: str | None = None
    settings: tuple[Setting, ...] = ()

    def canonical(self) -> Any:
        """What of it decides about the result, for the work key."""
        settings = [[one.node, one.input, one.value] for one in self.settings]
        return [self.workflow.canonical(), self.load, self.save, settings]

    def texts(self) -> Iterator[str]:
        """Every text in it: names of models and files are among them."""
        yield from texts([self.workflow.canonical(), [one.value for one in self.settings]])

    def prepare(self, object_info: dict[str, Any]) -> PreparedJob:
        """The prompt of this job on a server with these nodes.

        Raises WorkflowError where the workflow cannot be converted, a node is not known, or `load`, `save` or a setting does not fit.
        """
        prompt = with_settings(to_prompt(self.workflow, object_info), self.settings)
        saved = None if self.workflow.is_prompt else self.workflow.saved
        return PreparedJob(prompt, find_load(prompt, self.load), find_save(prompt, self.save), saved)


@dataclass(frozen=True)
class PreparedJob:
    """A prompt, the nodes where the picture comes in and goes out, and the editor's file where that is what it came from."""

    prompt: Prompt
    load: str
    save: str
    saved: dict[str, Any] | None

    @property
    def save_kind(self) -> str:
        """The kind of the node that saves."""
        return self.prompt[self.save]["class_type"]

    def for_picture(self, picture: str, prefix: str) -> Prompt:
        """The prompt for one picture, under the name that the server has it by, with a place of its own for the result."""
        return for_one_picture(self.prompt, self.load, self.save, picture, prefix)
