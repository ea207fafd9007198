"""The endpoint judge against a real HTTP server that runs the embedded model, and against all ways to fail."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from slr_probe import ModelPair
from slr_probe.errors import JudgeError
from slr_probe.generation import Sampling, generate
from slr_probe.judges import EndpointJudge, judge_all
from slr_probe.judges.endpoint import INSTRUCTION, read_grade

QUESTION = "Pick a number from 1 to 10. {prompt} {text}"


class Server:
    """A chat-completions server; `answers` decides, request by request, what it does."""

    def __init__(self, answer):
        self.requests, outer = [], self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, body, dict(self.headers)))
                status, data, *headers = answer(len(outer.requests), body)
                self.send_response(status)
                for header in headers:
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(data if isinstance(data, bytes) else reply(data))

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_):  # a client that gave up waiting
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def reply(content):
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    running = []

    def start(answer):
        running.append(Server(answer))
        return running[-1]

    yield start
    for server in running:
        server.close()


def judge(server, **options):
    return EndpointJudge(server.url, "tiny", **{"pause": 0.0, "timeout": 5.0, **options})


def test_a_real_model_behind_the_server(serve):
    """The grade is what the embedded model wrote, or missing where that is no number."""
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
    wrote = []

    def answer(count, body):
        content = body["messages"][0]["content"]
        sampling = Sampling(temperature=1.0, max_tokens=body["max_tokens"], seed=count)
        wrote.append(generate(pair, [("q", content)], ["tuned"], samples=1, sampling=sampling)["tuned"].texts[0][0])
        return 200, wrote[-1]

    server = serve(answer)
    for k in range(6):
        before = len(wrote)
        grade = judge(server, instruction=QUESTION, attempts=2, max_tokens=8)("One?", f"{k}")
        read = [read_grade(text) for text in wrote[before:]]
        assert read[:-1] == [None] * (len(read) - 1)
        assert grade == read[-1]
        assert grade is not None or len(read) == 2
    assert any(read_grade(text) is not None for text in wrote)


def test_what_is_sent(serve):
    server = serve(lambda count, body: (200, "7"))
    one = judge(server, key="secret", temperature=0.2, max_tokens=4, extra={"seed": 5})
    assert one("Write {text} now", "{prompt} {braces}") == 7.0
    path, body, headers = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    question = INSTRUCTION.replace("{prompt}", "\0", 1).replace("{text}", "{prompt} {braces}", 1)
    assert body["messages"] == [{"role": "user", "content": question.replace("\0", "Write {text} now")}]
    assert body["model"] == "tiny"
    assert {"temperature": 0.2, "max_tokens": 4, "seed": 5}.items() <= body.items()
    assert "secret" not in repr(one) + json.dumps(one.describe())
    assert one.name == f"tiny at {server.url}"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ((500, b"out of memory"), "status 500"),
        ((429, b"slow down"), "status 429"),
        ((200, b"<html>"), "garbage"),
        ((200, b"\xff\xfe"), "garbage"),
        ((200, b"[]"), "garbage"),
        ((200, b'{"choices": []}'), "garbage"),
        ((200, "I think it is rather good"), "no grade in the reply"),
        ((200, "11"), "no grade in the reply"),
        ((200, ""), "no grade in the reply"),
    ],
)
def test_failures_are_tried_again_and_then_missing(serve, bad, reason):
    recovering = judge(serve(lambda count, body: bad if count < 3 else (200, "9")))
    assert recovering("p", "t") == 9.0
    assert recovering.failures == {reason: 2}
    server = serve(lambda count, body: bad)
    failing = judge(server, attempts=3)
    assert failing("p", "t") is None
    assert len(server.requests) == 3
    assert failing.describe()["failures"] == {reason: 3}
    assert failing.last_failure.startswith(reason)
    verdicts = judge_all(lambda p, t: 5.0 if t == "good" else failing(p, t), ["p", "p"], ["good", "bad"])
    assert verdicts[0] == 5.0
    assert math.isnan(verdicts[1])


def test_nonsense_is_answered_with_a_reminder(serve):
    server = serve(lambda count, body: (200, "Great!" if count == 1 else "8/10"))
    assert judge(server)("p", "t") == 8.0
    messages = server.requests[1][1]["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == "Great!"


def test_slow(serve):
    release = threading.Event()

    def answer(count, body):
        if count < 3:
            release.wait(10)
        return 200, "6"

    one = judge(serve(answer), timeout=0.2)
    assert one("p", "t") == 6.0
    assert one.failures == {"timeout": 2}
    release.set()


def test_down(serve, monkeypatch):
    server = serve(lambda count, body: (200, "5"))
    server.close()
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    one = EndpointJudge(server.url, "tiny", attempts=4, pause=1.0, patience=2)
    assert [one("p", str(i)) for i in range(4)] == [None] * 4
    assert pauses == [1.0, 2.0, 4.0] * 2  # patience has run out: the others are tried once
    assert one.failures == {"down": 10}
    monkeypatch.undo()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_wrong_key_or_model_is_an_error_at_once(serve, status):
    server = serve(lambda count, body: (status, b"no such model"))
    with pytest.raises(JudgeError, match=f"answers {status} for model 'tiny': no such model"):
        judge(server)("p", "t")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed_and_the_key_stays(serve, status):
    other = serve(lambda count, body: (200, "9"))
    server = serve(lambda count, body: (status, b"", ("Location", f"{other.url}/chat/completions")))
    with pytest.raises(JudgeError, match="which is not followed: give the address itself"):
        judge(server, key="secret")("p", "t")
    assert len(server.requests) == 1
    assert other.requests == []


def test_as_long_as_the_server_says_is_waited_and_is_no_attempt(serve, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    headers = [("Retry-After", "7"), ("Retry-After", soon), ("Retry-After", "2")]
    server = serve(lambda count, body: (429, b"", headers[count - 1]) if count < 4 else (200, "8"))
    one = judge(server, attempts=1)
    assert one("p", "t") == 8.0
    assert pauses[0] == 7
    assert 25 < pauses[1] <= 30
    assert pauses[2] == 2
    assert one.failures == {"asked to wait": 3}


def test_nobody_waits_for_ever(serve, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    server = serve(lambda count, body: (429, b"later", ("Retry-After", "40")))
    one = judge(server, attempts=1, longest_wait=100)
    assert [one("p", str(i)) for i in range(6)] == [None] * 6  # a server that answers is not out of reach
    assert pauses == [40, 40] * 6
    assert one.last_failure == "status 429: later"


def test_a_field_that_the_server_refuses_can_be_left_out(serve):
    server = serve(lambda count, body: (400, b"no max_tokens") if "max_tokens" in body else (200, "8"))
    with pytest.raises(JudgeError, match="no max_tokens"):
        judge(server)("p", "t")
    assert judge(server, extra={"max_tokens": None, "max_completion_tokens": 9})("p", "t") == 8.0
    assert "max_tokens" not in server.requests[-1][1]


def test_a_password_in_the_address_is_sent_and_never_recorded(serve):
    server = serve(lambda count, body: (200, "8"))
    one = EndpointJudge(server.url.replace("//", "//me:s%40cret@"), "tiny")
    assert one("p", "t") == 8.0
    assert server.requests[0][2]["Authorization"] == "Basic " + base64.b64encode(b"me:s@cret").decode()
    assert "cret" not in json.dumps(one.describe()) + repr(one) + one.name + one.url
    with pytest.raises(JudgeError) as error:
        EndpointJudge("ftp://me:secret@host", "tiny")
    assert "secret" not in str(error.value)


def test_parts_of_a_message_are_one_reply(serve):
    parts = [{"type": "thinking", "thinking": "7?"}, {"type": "text", "text": "8"}, {"type": "text", "text": "/10"}]
    assert judge(serve(lambda count, body: (200, reply(parts))))("p", "t") == 8.0


def test_many_at_a_time(serve):
    def answer(count, body):
        time.sleep(0.02)
        return 200, body["messages"][0]["content"].rpartition("/")[2]

    server = serve(answer)
    grades = [str(1 + i % 10) for i in range(40)]
    texts = [f"{i}/{grade}" for i, grade in enumerate(grades)]
    found = judge_all(judge(server, instruction="{prompt}{text}"), ["p"] * 40, texts, workers=8)
    np.testing.assert_array_equal(found, [float(grade) for grade in grades])
    judge_all(judge(server, instruction="{prompt}{text}"), ["p"] * 4, ["1/1"] * 4)
    assert len(server.requests) == 41  # equal questions are asked once


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        *[("7", 7.0), (" 10\n", 10.0), ("8.5", 8.5), ("8/10", 8.0), ("3 out of 10", 3.0), ("9.", 9.0), ("1", 1.0)],
        *[("**8**", 8.0), ("<think>7?</think>\n\n8", 8.0), ("<think></think>8/10", 8.0), ("<think>8", None)],
        *[(text, None) for text in ("0", "10.5", "-3", "7 or 8", "Score: 7", "seven", "", "7/100", "1e1", "NaN")],
    ],
)
def test_reading_grades(text, grade):
    assert read_grade(text) == grade


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"url": "localhost:8000"}, "http://"),
        ({"url": "file:///etc/passwd"}, "http://"),
        ({"instruction": "Grade {text}"}, r"\{prompt\} and \{text\}"),
        ({"attempts": 0}, "attempts"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_bad_settings(options, why):
    with pytest.raises(JudgeError, match=why):
        EndpointJudge(**{"url": "http://localhost", "model": "m", **options})


def test_any_callable_is_a_judge():
    found = judge_all(lambda prompt, text: None if not text else len(text), ["p"] * 4, ["abc", "", "a", "abc"])
    np.testing.assert_array_equal(found, [3, np.nan, 1, 3])
    assert math.isnan(judge_all(lambda p, t: float("nan"), ["p"], ["t"])[0])
    for bad in ("7", True, [1]):
        with pytest.raises(JudgeError, match="returns a number"):
            judge_all(lambda p, t, bad=bad: bad, ["p"], ["t"])
    with pytest.raises(JudgeError, match="one prompt for each text"):
        judge_all(lambda p, t: 1, ["p"], [])
    with pytest.raises(ZeroDivisionError):  # what a judge raises is not hidden
        judge_all(lambda p, t: 1 / 0, ["p"], ["t"])
