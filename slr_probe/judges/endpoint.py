"""`EndpointJudge`: a judge behind an OpenAI-compatible chat endpoint. Missing is missing; nothing is guessed."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from slr_probe.errors import JudgeError

INSTRUCTION = """You grade a text that was written in reply to a request.

Request:
{prompt}

Text:
{text}

How good is the text as a reply: does it do what is asked, is it coherent, and is it well written? Do not reward or \
punish it for being unusual. Answer with one whole number from 1 (useless) to 10 (excellent) and nothing else."""
"""The question that is asked; its wording is ours."""

_AGAIN = "Answer with one number from 1 to 10 and nothing else."
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*10|out of 10)?\s*\.?\s*")
_LARGEST = 1 << 20
_WRONG = (401, 403, 404, 405)


class _Unreachable(Exception):
    """No answer came, or one that says that the server cannot answer now."""


class EndpointJudge:
    """Asks a model behind `URL/chat/completions` for a grade from 1 to 10.

    The reply must be that number and nothing else (also `8/10` or `8.`). Anything else is asked again, with a reminder;
    a server that is down, slow, or answers garbage or an error is tried again after a pause that doubles. Where no
    attempt gives a grade the verdict is None. After `patience` outputs in a row for which the server could not be
    reached, each further one is tried only once, until it answers again.

    Attributes:
        name: Model and address, recorded with every score.
        failures: How many attempts failed, by reason.
        last_failure: What the last failed attempt said.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        instruction: str = INSTRUCTION,
        key: str | None = None,
        key_variable: str = "OPENAI_API_KEY",
        timeout: float = 60.0,
        attempts: int = 4,
        pause: float = 1.0,
        patience: int = 5,
        max_tokens: int = 16,
        temperature: float = 0.0,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Describe the endpoint; nothing is sent yet.

        Args:
            url: Base address such as `"http://localhost:8000/v1"`.
            model: Name that the server knows the model by.
            instruction: The question, with `{prompt}` and `{text}` where they go; must ask for a number from 1 to 10.
            key: Sent as a bearer token; default: from the environment variable `key_variable`, if set.
            key_variable: Name of that variable.
            timeout: Seconds to wait for one answer.
            attempts: How often an output is tried.
            pause: Seconds before the second attempt; doubles every time.
            patience: Unreachable outputs in a row before only one attempt is made for each.
            max_tokens: Longest reply.
            temperature: Of the judge.
            extra: More fields for the request, such as a seed.

        Raises:
            JudgeError: An address that is not http(s), an instruction without its places, or a number out of range.
        """
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise JudgeError(f"the judge's address must start with http:// or https://; got {url!r}")
        if "{prompt}" not in instruction or "{text}" not in instruction:
            raise JudgeError("the judge's instruction must hold {prompt} and {text}")
        if timeout <= 0 or attempts < 1 or pause < 0 or patience < 1 or max_tokens < 1:
            raise JudgeError("timeout must be above 0; attempts, patience and max_tokens at least 1; pause 0 or more")
        self.url, self.model, self.instruction = url.rstrip("/"), model, instruction
        self.name = f"{model} at {self.url}"
        self.failures: Counter[str] = Counter()
        self.last_failure = ""
        self._key = key if key is not None else os.environ.get(key_variable)
        self._timeout, self._attempts, self._pause, self._patience = timeout, attempts, pause, patience
        self._options = {"max_tokens": max_tokens, "temperature": temperature, **(extra or {})}
        self._unreachable = 0
        self._lock = threading.Lock()

    def __call__(self, prompt: str, text: str, /) -> float | None:
        """The grade of one output, from 1 to 10; None where none could be had.

        Raises:
            JudgeError: The server says that address, model or key are wrong; trying again would not help.
        """
        values = {"prompt": prompt, "text": text}
        question = re.sub(r"\{(prompt|text)\}", lambda match: values[match[1]], self.instruction)
        messages = [{"role": "user", "content": question}]
        reached = False
        for attempt in range(self._attempts if self._unreachable < self._patience else 1):
            if attempt and not reached:
                time.sleep(self._pause * 2 ** (attempt - 1))
            try:
                reply = self._ask(messages)
            except _Unreachable as error:
                reached = False
                self._note(str(error).partition(":")[0], str(error))
                continue
            reached = True
            with self._lock:
                self._unreachable = 0
            grade = read_grade(reply)
            if grade is not None:
                return grade
            self._note("no grade in the reply", f"no grade in the reply {reply[:200]!r}")
            messages = [*messages[:1], {"role": "assistant", "content": reply}, {"role": "user", "content": _AGAIN}]
        if not reached:
            with self._lock:
                self._unreachable += 1
        return None

    def describe(self) -> dict[str, Any]:
        """What was asked of which model, and how often it failed, to be saved with scores (never the key)."""
        request = {"name": self.name, "instruction": self.instruction, **self._options}
        return {**request, "failures": dict(self.failures), "last_failure": self.last_failure}

    def __repr__(self) -> str:
        return f"EndpointJudge({self.name!r})"

    def _note(self, reason: str, detail: str) -> None:
        with self._lock:
            self.failures[reason] += 1
            self.last_failure = detail

    def _ask(self, messages: list[dict[str, str]]) -> str:
        """The text of one reply."""
        body = json.dumps({"model": self.model, "messages": messages, **self._options}).encode()
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(f"{self.url}/chat/completions", body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                data = response.read(_LARGEST)
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", "replace")
            if error.code in _WRONG:
                problem = f"the judge at {self.url} answers {error.code} for model {self.model!r}: {said}"
                raise JudgeError(f"{problem}; check address, model and key") from error
            raise _Unreachable(f"status {error.code}: {said}") from error
        except TimeoutError as error:
            raise _Unreachable(f"timeout: no answer in {self._timeout} s") from error
        except urllib.error.URLError as error:
            slow = isinstance(error.reason, TimeoutError)
            raise _Unreachable(f"{'timeout' if slow else 'down'}: {error.reason}") from error
        except (OSError, HTTPException) as error:
            raise _Unreachable(f"down: {error!r}") from error
        try:
            return str(json.loads(data.decode("utf-8"))["choices"][0]["message"]["content"] or "")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise _Unreachable(f"garbage: {data[:200]!r}") from error


def read_grade(reply: str) -> float | None:
    """The grade in a reply that is a number from 1 to 10 and nothing else; None otherwise.

    Examples:
        >>> read_grade(" 8/10. "), read_grade("8 of 9 people"), read_grade("11")
        (8.0, None, None)
    """
    match = _NUMBER.fullmatch(reply)
    grade = float(match[1]) if match else 0.0
    return grade if 1 <= grade <= 10 else None
