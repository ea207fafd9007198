"""A tokenizer's chat template, the one place where it is applied: whatever it does, it ends soon and stays small."""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from slr_probe.errors import PromptError, foreign, one_line

TODAY = datetime(2024, 7, 26)
"""The day it is for chat templates that ask (our choice): the one that Llama 3.1's names where it is told none."""
SECONDS, MEMORY, LONGEST = 5.0, 256 << 20, 1 << 20
"""What rendering one conversation may take: seconds, bytes of memory, and characters of text. Ours."""
_START = 60.0  # seconds until the process is there; a machine may be busy

Messages = Sequence[Mapping[str, Any]]


class TemplateStopped(PromptError):
    """A chat template that had to be stopped; it is not tried again."""


@dataclass(frozen=True)
class Template:
    """A chat template with all that its text follows from, but for the conversation.

    It sees what transformers lets templates see, but for the date: with `strftime_now` some (Llama 3.2) print that of
    today, so that results would change from day to day. Here it is always `TODAY`.

    Attributes:
        text: The template, in jinja's language.
        tokens: Names and texts of the tokenizer's special tokens.
        own: A tokenizer with code of its own for this (`apply_chat_template` of another class), which is asked itself.
    """

    text: str
    tokens: tuple[tuple[str, str], ...] = ()
    own: Any = None

    @classmethod
    def of(cls, tokenizer: Any) -> Template | None:
        """The chat template of a tokenizer: the only one, or the one named "default"; None where there is none.

        Raises:
            PromptError: There are several and none is called "default", or it is no text.
        """
        template = getattr(tokenizer, "chat_template", None)
        if isinstance(template, Mapping):
            if template and "default" not in template:
                names = ", ".join(map(repr, sorted(map(str, template))))
                raise PromptError(
                    f"the tokenizer has the chat templates {names} and none called 'default'; choose one: "
                    "tokenizer.chat_template = tokenizer.chat_template[NAME]"
                )
            template = template.get("default")
        if template is not None and not isinstance(template, str):
            raise PromptError(f"the chat template must be text; the tokenizer's is {type(template).__name__}")
        if not template:
            return None
        tokens = getattr(tokenizer, "special_tokens_map", {}).items()
        own = tokenizer if _has_own_code(tokenizer) else None
        return cls(template, tuple((name, str(token)) for name, token in tokens), own)

    def __call__(self, messages: Messages, *, open_turn: bool) -> str:
        """The text of messages.

        Args:
            messages: The conversation.
            open_turn: Whether to ask for the opening of the assistant's turn at the end.

        Raises:
            PromptError: The template refuses the messages, or it needs more time, memory or text than it may.
        """
        plain = [dict(message) for message in messages]
        if self.own is not None:
            with foreign(PromptError, "the tokenizer cannot render the conversation"):
                return str(self.own.apply_chat_template(plain, tokenize=False, add_generation_prompt=open_turn))
        values = {
            **dict(self.tokens),
            "messages": plain,
            "tools": None,
            "documents": None,
            "add_generation_prompt": open_turn,
        }
        return _PROCESS.render({"template": self.text, "today": TODAY.isoformat(), "values": values})


def _has_own_code(tokenizer: Any) -> bool:
    from transformers import PreTrainedTokenizerBase

    own = getattr(type(tokenizer), "apply_chat_template", None)
    return own is not None and own is not PreTrainedTokenizerBase.apply_chat_template


@dataclass
class _Process:
    """The process that renders; started when it is first needed, and again after it had to be ended."""

    child: subprocess.Popen[bytes] | None = None
    owner: int = 0  # the process that started it: a fork has a copy of our end of the pipe
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: set[str] = field(default_factory=set)

    def render(self, request: Mapping[str, Any]) -> str:
        """The text that a request asks for; see `slr_probe.pair.prompts.jinja_worker`."""
        with foreign(PromptError, "the conversation is no plain data"):
            line = json.dumps(request).encode() + b"\n"
        with self.lock:
            known = request["template"] in self.stopped
            reply = {} if known else _exchange(self._started(), line, SECONDS)
            if not reply and not known:
                self.end()
                self.stopped.add(str(request["template"]))
        if not reply:
            told = f"it ran for more than {SECONDS:g} s, or out of memory, and was stopped"
            raise TemplateStopped(f"the chat template refuses the prompt ({told})")
        if "text" not in reply:
            raise PromptError(f"the chat template refuses the prompt ({one_line(reply['error'])})")
        return str(reply["text"])

    def _started(self) -> subprocess.Popen[bytes]:
        if self.child is not None and self.owner == os.getpid() and self.child.poll() is None:
            return self.child
        command = [sys.executable, "-P", str(Path(__file__).with_name("jinja_worker.py")), str(MEMORY), str(LONGEST)]
        paths = os.pathsep.join(filter(None, sys.path))
        with foreign(PromptError, "no process for chat templates can be started"):
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
            )
        self.owner = os.getpid()
        if "text" not in _exchange(self.child, b"", _START):
            self.end()
            raise PromptError(f"no process for chat templates can be started with {sys.executable!r}")
        return self.child

    def end(self) -> None:
        """End it, if it is ours."""
        child, self.child = self.child, None
        if child is None or self.owner != os.getpid():
            return
        child.kill()
        child.communicate()


def _exchange(child: subprocess.Popen[bytes], line: bytes, seconds: float) -> dict[str, Any]:
    """Send a line and read one; an empty reply where it does not come in time."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(line)
        child.stdin.flush()
        ready, _, _ = select.select([child.stdout], [], [], seconds)
        reply = child.stdout.readline() if ready else b""
    except OSError:  # it is gone
        reply = b""
    return dict(json.loads(reply)) if reply.endswith(b"\n") else {}


_PROCESS = _Process()
atexit.register(_PROCESS.end)
