"""Chat templates: the text of a conversation, rendered by the same Jinja as transformers."""

from __future__ import annotations

import datetime
import json
from typing import Any, NamedTuple, NoReturn

import jinja2
import jinja2.ext
import jinja2.sandbox

from . import tokenizer_settings
from ..tables.conversation import Conversation, is_answer
from ..errors import DATA, PrepareError, one_line, shown
from .tokenizer_directory import CONFIG, TokenizerDirectory

DAY = datetime.date(2025, 1, 1)
PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""No template: the prompt, and then the answer."""


class Piece(NamedTuple):
    """A part of an example's text; the loss counts the tokens of answers."""

    text: str
    is_answer: bool


class _Generation(jinja2.ext.Extension):
    """The tag {% generation %}, which marks what an assistant says; here it changes nothing."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """The template of a tokenizer directory, and the token that ends an answer."""

    def __init__(self, tokenizer: TokenizerDirectory, is_plain: bool):
        self.folder = tokenizer.path.parent
        self.source = PLAIN if is_plain else self._source(tokenizer.config)
        names = ("bos_token", "eos_token", "pad_token", "unk_token")
        config = {**tokenizer_settings.DEFAULT_TOKENS[tokenizer.kind], **tokenizer.config}
        texts = {name: tokenizer_settings.text_of(config.get(name)) for name in names}
        self.tokens = {name: text for name, text in texts.items() if text}
        if "eos_token" not in self.tokens:
            raise PrepareError(
                f"{shown(self.folder)}/{CONFIG} has no eos_token, which ends an answer; add it"
            )
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, jinja2.ext.loopcontrols],
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        # transformers gives the date of today (strftime_now). Here a corpus does not depend on the
        # day: templates that ask for the function have a date of their own, others get a fixed one.
        if "strftime_now is defined" not in self.source:
            environment.globals["strftime_now"] = DAY.strftime
        try:
            self._template = environment.from_string(self.source)
        except jinja2.TemplateError as error:
            raise self._refused(error) from error

    def _source(self, config: dict[str, Any]) -> str:
        path = self.folder / "chat_template.jinja"
        if path.is_file():
            return path.read_text(encoding="utf-8")
        found = config.get("chat_template")
        if isinstance(found, list):
            found = {entry["name"]: entry["template"] for entry in found}.get("default")
        if not isinstance(found, str):
            raise PrepareError(
                f"{shown(self.folder)} has no chat template; give --template plain for prompts that"
                " are followed by their answers",
                DATA,
            )
        return found

    def _refused(self, error: Exception) -> PrepareError:
        return PrepareError(
            f"{shown(self.folder)}: the chat template cannot be rendered: {one_line(error)}", DATA
        )

    def _render(self, messages: Conversation, is_prompt: bool) -> str:
        try:
            return self._template.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=is_prompt,
                **self.tokens,
            )
        except (jinja2.TemplateError, LookupError, TypeError, ValueError) as error:
            raise self._refused(error) from error

    def pieces(self, messages: Conversation) -> list[Piece]:
        """The text of a conversation in pieces: in turn the text before an answer, and the answer.

        The template renders the messages before an answer for a model that is to give it, and then
        those with the answer. The difference, up to the token that ends it, is the answer. The last
        answer gets that token if the template writes none. Raises PrepareError if a later message
        changes the text before it.
        """
        made: list[Piece] = []
        done, end = "", self.tokens["eos_token"]
        answers = [place for place, message in enumerate(messages) if is_answer(message)]
        for place in answers:
            prompt = self._render(messages[:place], True)
            whole = self._render(messages[: place + 1], False)
            if not whole.startswith(prompt):
                raise PrepareError(
                    f"{shown(self.folder)}: the chat template puts something else before an answer"
                    " than before a reply; give --template plain",
                    DATA,
                )
            if not prompt.startswith(done):
                raise PrepareError(
                    f"{shown(self.folder)}: the chat template renders an answer in another way once"
                    " a message follows it; make a row of each answer, or give --template plain",
                    DATA,
                )
            answer = whole[len(prompt) :]
            has_end = end in answer
            if has_end:
                answer = answer[: answer.rindex(end) + len(end)]
            made.append(Piece(prompt[len(done) :], False))
            done = prompt + answer
            if not has_end and (self.source == PLAIN or place == answers[-1]):
                answer += end
            made.append(Piece(answer, True))
        return made


def _to_json(value: Any, **options: Any) -> str:
    """Unlike Jinja's own, it escapes nothing for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=options.get("indent"))


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
