"""`EndpointJudge`: a judge behind an OpenAI-compatible chat endpoint. Missing is missing; nothing is guessed."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit

from slr_probe.errors import JudgeError
from slr_probe.tasks.thinking import strip_reasoning

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
_PASSING = (408, 409, 425, 429)
"""Of the answers that blame the request (400 to 499), those that may change when it is sent again."""


class _Failed(Exception):
    """No reply came. The message begins with the reason and a colon."""


class _Unreachable(_Failed):
    """The server is down, too slow, or in trouble."""


class _Busy(_Failed):
    """The server answers, and asks to come back later: after `wait` seconds, where it says when."""

    def __init__(self, message: str, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the key and the texts go to the address that the user gave, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Let the redirection be an error."""


class EndpointJudge:
    """Asks a model behind `URL/chat/completions` for a grade from 1 to 10.

    The reply must be that number and nothing else (also `8/10`, `8.` or `**8**`), after any marked reasoning.
    Anything else is asked again, with a reminder; a server that is down, slow, or answers garbage or an error is tried
    again after a pause that doubles, or after as long as it says (`Retry-After`), which is no attempt. Where no attempt
    gives a grade the verdict is None. After `patience` outputs in a row for which the server could not be reached, each
    further one is tried only once, until it answers again. Redirections are not followed.

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
        longest_wait: float = 600.0,
        max_tokens: int = 16,
        temperature: float = 0.0,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe the endpoint; nothing is sent yet.

        Args:
            url: Base address such as `"http://localhost:8000/v1"`. A name and password in it are sent, never recorded.
            model: Name that the server knows the model by.
            instruction: The question, with `{prompt}` and `{text}` where they go; must ask for a number from 1 to 10.
            key: Sent as a bearer token; default: from the environment variable `key_variable`, if set.
            key_variable: Name of that variable.
            timeout: Seconds to wait for one answer.
            attempts: How often an output is tried.
            pause: Seconds before the second attempt; doubles every time.
            patience: Unreachable outputs in a row before only one attempt is made for each.
            longest_wait: Seconds that one output may wait in all for a server that says when to come back.
            max_tokens: Longest reply; a judge that thinks first needs more.
            temperature: Of the judge.
            extra: More fields for the request, such as a seed; None leaves a field out.

        Raises:
            JudgeError: An address that is not http(s), an instruction without its places, or a number out of range.
        """
        address, user = _without_user(url)
        if "{prompt}" not in instruction or "{text}" not in instruction:
            raise JudgeError("the judge's instruction must hold {prompt} and {text}")
        if timeout <= 0 or attempts < 1 or pause < 0 or patience < 1 or max_tokens < 1:
            raise JudgeError("timeout must be above 0; attempts, patience and max_tokens at least 1; pause 0 or more")
        self.url, self.model, self.instruction = address.rstrip("/"), model, instruction
        self.name = f"{model} at {self.url}"
        self.failures: Counter[str] = Counter()
        self.last_failure = ""
        key = key if key is not None else user or os.environ.get(key_variable)
        self._authorization = key if key is None or key == user else f"Bearer {key}"
        self._timeout, self._attempts, self._pause, self._patience = timeout, attempts, pause, patience
        self._longest_wait = longest_wait
        options = {"max_tokens": max_tokens, "temperature": temperature, **(extra or {})}
        self._options = {name: value for name, value in options.items() if value is not None}
        self._unreachable = 0
        self._lock = threading.Lock()

    def __call__(self, prompt: str, text: str, /) -> float | None:
        """The grade of one output, from 1 to 10; None where none could be had.

        Raises:
            JudgeError: The server refuses the request itself (its address, model, key or a field), or redirects it;
                trying again would not help.
        """
        values = {"prompt": prompt, "text": text}
        question = re.sub(r"\{(prompt|text)\}", lambda match: values[match[1]], self.instruction)
        messages = [{"role": "user", "content": question}]
        grade, answered, reached = None, False, False
        for attempt in range(self._attempts if self._unreachable < self._patience else 1):
            if attempt and not answered:
                time.sleep(self._pause * 2 ** (attempt - 1))
            try:
                reply = self._ask_in_time(messages)
            except _Failed as error:
                answered = False
                reached = reached or isinstance(error, _Busy)
                self._note(str(error).partition(":")[0], str(error))
                continue
            answered = reached = True
            grade = read_grade(reply)
            if grade is not None:
                break
            self._note("no grade in the reply", f"no grade in the reply {reply[:200]!r}")
            messages = [*messages[:1], {"role": "assistant", "content": reply}, {"role": "user", "content": _AGAIN}]
        with self._lock:
            self._unreachable = 0 if reached else self._unreachable + 1
        return grade

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

    def _ask_in_time(self, messages: list[dict[str, str]]) -> str:
        """The text of one reply, waited for as long as the server says."""
        waited = 0.0
        while True:
            try:
                return self._ask(messages)
            except _Busy as error:
                wait = error.wait
                if wait is None or waited + wait > self._longest_wait:
                    raise
                self._note("asked to wait", str(error))
                time.sleep(wait)
                waited += max(wait, 0.1)

    def _ask(self, messages: list[dict[str, str]]) -> str:
        """The text of one reply."""
        body = json.dumps({"model": self.model, "messages": messages, **self._options}).encode()
        data = self._send(body)
        try:
            message = json.loads(data.decode("utf-8"))["choices"][0]["message"]
            return _content(message["content"])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise _Unreachable(f"garbage: {data[:200]!r}") from error

    def _send(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        request = urllib.request.Request(f"{self.url}/chat/completions", body, headers, method="POST")
        try:
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=self._timeout) as response:
                return bytes(response.read(_LARGEST))
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from error
        except TimeoutError as error:
            raise _Unreachable(f"timeout: no answer in {self._timeout} s") from error
        except urllib.error.URLError as error:
            slow = isinstance(error.reason, TimeoutError)
            raise _Unreachable(f"{'timeout' if slow else 'down'}: {error.reason}") from error
        except (OSError, HTTPException) as error:
            raise _Unreachable(f"down: {error!r}") from error

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        """What an answer other than 200 means."""
        said = error.read(500).decode("utf-8", "replace")
        wait = _seconds(error.headers.get("Retry-After"))
        if error.code == 429 or (error.code == 503 and wait is not None):
            return _Busy(f"status {error.code}: {said}", wait)
        problem = f"the judge at {self.url} answers {error.code} for model {self.model!r}: {said}"
        if 300 <= error.code < 400:
            target = urlsplit(error.headers.get("Location") or "").hostname or "another address"
            return JudgeError(f"{problem}; it redirects to {target}, which is not followed: give the address itself")
        if 400 <= error.code < 500 and error.code not in _PASSING:
            return JudgeError(f"{problem}; check address, model and key, and the fields of the request (extra=...)")
        return _Unreachable(f"status {error.code}: {said}")


def read_grade(reply: str) -> float | None:
    """The grade in a reply that is a number from 1 to 10 and nothing else, after marked reasoning; None otherwise.

    Examples:
        >>> read_grade(" 8/10. "), read_grade("8 of 9 people"), read_grade("11")
        (8.0, None, None)
        >>> read_grade("<think>7, or 8?</think> **8**")
        8.0
    """
    match = _NUMBER.fullmatch(strip_reasoning(reply).strip("*_ \n"))
    grade = float(match[1]) if match else 0.0
    return grade if 1 <= grade <= 10 else None


def _content(content: Any) -> str:
    """A message's text, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return str(content or "")


def _without_user(url: str) -> tuple[str, str | None]:
    """The address without a name and password, and what these are sent as.

    Raises:
        JudgeError: The address is not one of http(s).
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number
        valid = False
    if not valid:
        shown = re.sub(r"//[^/]*@", "//...@", url)
        raise JudgeError(f"the judge's address must start with http:// or https://, then a host; got {shown!r}")
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    sent = base64.b64encode(unquote(user).encode()).decode()
    return parts._replace(netloc=host).geturl(), f"Basic {sent}"


def _seconds(header: str | None) -> float | None:
    """How long `Retry-After` says to wait, which is a number of seconds or a date; None where it does not say."""
    if header is None:
        return None
    try:
        return max(0.0, float(int(header)))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
