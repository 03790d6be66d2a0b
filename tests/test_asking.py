"""Asking a scripted server that is slow, full, broken, and at times in order."""

from __future__ import annotations

import email.utils
import itertools
import logging
import threading

import answering
import pytest
import tiny
from answering import Step, said
from asking_help import NOON, SETTINGS, Slept, ask, first, number, requests, text_of

from ruie import asking, endpoint
from ruie.backends import Request, Settings
from ruie.cli import UserError
from ruie.endpoint import Endpoint
from ruie.replies import FILTERED


@pytest.mark.parametrize("chat", [False, True])
def test_answers_come_in_the_order_of_the_requests(tmp_path, chat):
    def script(request, before):
        i = number(request)
        return said(f" {i}: a \nb", reason="length" if i == 2 else "stop", chat=chat)

    settings = Settings("endpoint", "m", max_new=9, chat=chat, seed=5)
    answers, server = ask(tmp_path, script, 5, settings=settings)
    # what stands after the stop string is cut, also where the server has not stopped
    assert [a.text for a in answers] == [f"{i}: a" for i in range(5)]
    assert [a.finish_reason for a in answers] == ["stop", "stop", "length", "stop", "stop"]
    assert {(a.used, a.prompt_tokens, a.completion_tokens, a.error) for a in answers} == {
        (0, 7, 3, None)
    }
    assert {path for path, _, _ in server.asked} == {
        "/v1/chat/completions" if chat else "/v1/completions"
    }
    assert sorted(server.times) == [text_of(i) for i in range(5)]
    where = Endpoint(server.url)
    assert all(
        request == endpoint.body(where, settings, answering.prompt_of(request))
        for _, _, request in server.asked
    )
    assert all("authorization" not in headers for _, headers, _ in server.asked)


def test_no_more_than_concurrency_at_a_time(tmp_path):
    arrived = threading.Semaphore(0)

    def script(request, before):
        arrived.release()  # the second to come lets the first go
        arrived.acquire(timeout=5)
        return said("None")

    _, server = ask(tmp_path, script, 12, concurrency=3)
    assert 1 <= server.most <= 3
    assert sum(server.times.values()) == 12


def test_a_prompt_that_comes_twice_is_asked_once(tmp_path):
    with answering.serving(first()) as server:
        answers = asking.answer(Endpoint(server.url), SETTINGS, [*requests(2), *requests(2)],
                                tmp_path / "journal")  # fmt: skip
    assert len(answers) == 4
    assert set(server.times.values()) == {1}


BUSY = Step(429, {"error": {"message": "slow down"}}, {"Retry-After": "7"})
DATE = email.utils.formatdate(NOON + 30, usegmt=True)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (BUSY, "HTTP 429"),
        (Step(500, b"oops"), "HTTP 500"),
        (Step(503), "HTTP 503"),
        (Step(408), "HTTP 408"),
        (Step(409), "HTTP 409"),
        (Step(200, b"<html>busy</html>"), "invalid JSON"),
        (Step(200, b'{"choices": [{"text": "per'), "invalid JSON"),
        (Step(200, b"[" * 100_000), "invalid JSON"),
        (Step(200, b"\xff\xfe"), "invalid JSON"),
        (Step(200, b"[]"), "answer of another form"),
        (Step(200, {"choices": []}), "answer of another form"),
        (Step(200, {"choices": [{"message": None}]}), "answer of another form"),
        (Step(200, {"error": {"message": "no room"}}), "answer of another form"),
        (said("per", reason="insufficient_system_resource"), "broken off"),
        (Step(200, said("None").body, ends="cut"), "connection"),
        (Step(200, b"no gzip at all", {"Content-Encoding": "gzip"}), "connection"),
    ],
)  # fmt: skip
def test_what_may_pass_is_asked_again(tmp_path, caplog, fault, kind):
    caplog.set_level(logging.INFO, "ruie")
    (answer,), server = ask(tmp_path, first(fault, fault))
    assert (answer.text, answer.error) == ("None", None)
    assert server.times == {text_of(0): 3}
    assert f"retries: 2 {kind}" in caplog.text


def test_what_hangs_is_asked_again(tmp_path, caplog):
    """A try may take half of what is left: here 1 s of real time, the response never comes."""
    caplog.set_level(logging.INFO, "ruie")
    hung = Step(200, said("None").body, ends="hang")
    (answer,), server = ask(tmp_path, first(hung), deadline=2.1)
    assert (answer.text, server.times[text_of(0)]) == ("None", 2)
    assert "retries: 1 time-out" in caplog.text


def test_pauses_grow_with_jitter(tmp_path):
    slept = Slept()
    (answer,), server = ask(tmp_path, first(then=Step(500, b"oops")), slept=slept, tries=8,
                            deadline=1e6)  # fmt: skip
    assert (answer.text, answer.finish_reason) == ("", "error")
    assert answer.error == "HTTP 500, given up after 8 of 8 tries; oops"
    # after the n-th try: between half of 2^n seconds and the whole, 60 at most
    assert len(slept.pauses) == 7
    for pause, whole in zip(slept.pauses, [2, 4, 8, 16, 32, 60, 60], strict=True):
        assert whole / 2 <= pause <= whole
    assert slept.pauses[5] != slept.pauses[6]


@pytest.mark.parametrize(
    ("value", "pause"),
    [("7", 7), ("2.5", 2.5), (DATE, 30), ("Sun, 01 Jan 2023 00:00:00 GMT", 0), ("soon", 0),
     ("-5", 0), ("nan", 0), ("Mon, 99 Foo 99999999 99:99:99 GMT", 0), ("", 0)],
)  # fmt: skip
def test_retry_after_is_waited_for(tmp_path, value, pause):
    slept = Slept()
    ask(tmp_path, first(Step(429, b"", {"Retry-After": value})), slept=slept)
    # never less than our own first pause, which is 1 to 2 s
    (slept_for,) = slept.pauses
    assert slept_for == pause if pause > 2 else 1 <= slept_for <= 2


@pytest.mark.parametrize("value", ["100", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_beyond_the_deadline_is_an_error_at_once(tmp_path, value):
    slept = Slept()
    (answer,), server = ask(tmp_path, first(Step(429, b"", {"Retry-After": value})), slept=slept,
                            deadline=90)  # fmt: skip
    assert answer.error == (
        "HTTP 429, given up after 1 of 6 tries: the deadline of 90 s leaves no time for another"
    )
    assert (slept.pauses, server.times[text_of(0)]) == ([], 1)


def test_the_deadline_holds_for_all_tries(tmp_path):
    slept = Slept()
    (answer,), server = ask(tmp_path, first(then=BUSY), slept=slept, tries=50, deadline=30)
    # pauses of 7 s as asked, of 7 or 8, and then of 8 to 16: the first three are 22 s at least
    assert sum(slept.pauses) < 30
    assert len(slept.pauses) in (2, 3)
    assert server.times[text_of(0)] == len(slept.pauses) + 1
    assert "leaves no time for another; slow down" in answer.error


def unanswered(reason="stop", **elsewhere):
    """An empty text, and what the model said in another field."""
    message = {"content": " \n", **elsewhere}
    return Step(body={"choices": [{"message": message, "finish_reason": reason}]})


@pytest.mark.parametrize(
    ("step", "reason", "error"),
    [
        (said("Sorry", reason="content_filter"), "content_filter", FILTERED),
        (said(None, reason="content_filter"), "content_filter", FILTERED),
        (Step(400, {"error": {"code": "content_filter", "message": "no"}}), "content_filter",
         FILTERED),
        (Step(400, {"error": {"message": "Content Exists Risk"}}), "content_filter", FILTERED),
        (Step(403, {"error": {"message": "requires moderation"}}), "content_filter", FILTERED),
        (Step(400, {"error": {"message": "too\nlong"}}), "error", "HTTP 400: too long"),
        (Step(422, b"not JSON"), "error", "HTTP 422: not JSON"),
        (Step(400, {"error": "plain"}), "error", "HTTP 400: plain"),
        (Step(413, b"x" * 9999), "error", "HTTP 413: " + "x" * 299 + "…"),
        (said(None), "stop", "the answer holds no text (finish_reason stop)"),
        (said(None, reason="length"), "length",
         "the answer holds no text (finish_reason length)"),
        (said(["a"]), "stop", "the answer holds no text (finish_reason stop)"),
        (unanswered(refusal="I cannot"), "stop", "the answer holds no text (finish_reason stop)"),
        (unanswered("length", reasoning_content="Hmm,"), "length",
         "the answer holds no text (finish_reason length)"),
        (unanswered(reasoning="Hmm,"), "stop", "the answer holds no text (finish_reason stop)"),
    ],
)  # fmt: skip
def test_what_concerns_one_request_is_its_error(tmp_path, step, reason, error):
    def script(request, before):
        return step if answering.prompt_of(request) == text_of(1) else said("None")

    answers, server = ask(tmp_path, script, 3)
    assert [a.text for a in answers] == ["None", "", "None"]
    assert [a.error for a in answers] == [None, error, None]
    assert answers[1].finish_reason == reason
    assert set(server.times.values()) == {1}


def test_an_empty_text_and_nothing_elsewhere_is_an_answer(tmp_path):
    (answer,), _ = ask(tmp_path, lambda *_: unanswered(refusal=None, reasoning=""))
    assert (answer.text, answer.error) == ("", None)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 301, 302, 307])
def test_what_every_request_would_get_ends_the_run(tmp_path, status):
    other = Step(status, {"error": {"message": "no"}}, {"Location": "http://127.0.0.1:9/v1"})

    def script(request, before):
        return said("None") if answering.prompt_of(request) == text_of(0) else other

    with answering.serving(script) as server:
        where = Endpoint(server.url, concurrency=2)
        with pytest.raises(UserError, match=f"^{server.url}: HTTP {status}: ") as caught:
            asking.answer(where, SETTINGS, requests(40), tmp_path / "journal", Slept().times)
        # those in flight beside it, at most
        assert sum(server.times.values()) <= 4
    assert "\n" not in str(caught.value)


def test_a_server_that_is_gone_ends_the_run(tmp_path):
    with answering.serving(first()) as server:
        url = server.url
    with pytest.raises(UserError) as caught:
        asking.answer(Endpoint(url, concurrency=2), SETTINGS, requests(40), tmp_path / "journal",
                      Slept().times)  # fmt: skip
    assert "16 requests in a row came to nothing, the last by connection" in str(caught.value)


def test_an_answer_between_failures_lets_the_run_go_on(tmp_path):
    numbers = itertools.count()

    def script(request, before):
        return said("None") if next(numbers) % 15 == 14 else Step(500)

    answers, _ = ask(tmp_path, script, 40, concurrency=1, tries=1)
    assert sum(a.error is not None for a in answers) == 38  # all but the 15th and the 30th


def test_counts_that_make_no_sense_are_replaced(tmp_path, caplog):
    caplog.set_level(logging.INFO, "ruie")
    steps = [
        None, [], {}, {"prompt_tokens": -1}, {"prompt_tokens": 2**31}, {"prompt_tokens": True},
        {"prompt_tokens": "7", "prompt_tokens_details": []}, {"completion_tokens": 10**30},
    ]  # fmt: skip

    def script(request, before):
        i = number(request)
        step = said("None \ud800")
        step.body["usage"] = steps[i]
        step.body["choices"][0]["finish_reason"] = None
        return step

    answers, _ = ask(tmp_path, script, len(steps))
    # 34 bytes of prompt and 6 of answer, 3 a token
    assert len(text_of(0)) == 34
    assert {(a.prompt_tokens, a.completion_tokens) for a in answers} == {(12, 2)}
    assert {(a.text, a.finish_reason) for a in answers} == {("None ?", "unknown")}
    assert "by the server's count 0 prompt tokens" in caplog.text
    assert f"{len(steps)} answers without a count" in caplog.text


@pytest.mark.parametrize(
    ("prices", "cost"),
    # 10 answers of 7 prompt tokens, 4 of them cached, and 3 new ones; prices of a million
    [((), ""), ((100.0, 1000.0), "cost 0.0370"), ((100.0, 1000.0, 10.0), "cost 0.0334")],
)
def test_tokens_and_cost_are_summed(tmp_path, caplog, prices, cost):
    caplog.set_level(logging.INFO, "ruie")
    ask(tmp_path, first(), 10, prices=prices)
    assert (
        "70 prompt tokens (40 of them cached) and 30 completion tokens"
        + (f"; {cost}" if cost else "") + "; 0 answers"
    ) in caplog.text  # fmt: skip


def budget(tmp_path, max_input, tokenizer=None):
    samples = ["Input: a.\nOutput: None"] * 3
    with answering.serving(first()) as server:
        where = Endpoint(server.url, tokenizer=tokenizer)
        settings = Settings("endpoint", "m", max_input=max_input)
        found = asking.answer(where, settings, [Request("Do it.", samples, "Input: b.\nOutput:")],
                              tmp_path / str(max_input))  # fmt: skip
    return found[0], server


def test_the_budget_drops_whole_demonstrations(tmp_path):
    # 6 + 17 bytes and a blank line, 24 for each demonstration with its own: 25, 49, 73, 97 bytes
    for used, tokens in enumerate([9, 17, 25, 33]):
        assert budget(tmp_path, tokens)[0].used == used
        assert budget(tmp_path, tokens - 1)[0].used == max(used - 1, 0)
    # an estimate refuses nothing
    answer, server = budget(tmp_path, 2)
    assert (answer.error, len(server.asked)) == (None, 1)
    exact = str(tiny.causal(tmp_path / "llama"))
    answer, server = budget(tmp_path, 3, exact)
    assert (answer.finish_reason, server.asked) == ("error", [])
    assert "over the 3 allowed" in answer.error


def test_answers_are_kept_and_errors_asked_again(tmp_path, caplog):
    caplog.set_level(logging.INFO, "ruie")

    def bad(request, before):
        if answering.prompt_of(request) == text_of(1):
            return Step(400, b"odd")
        return said(answering.prompt_of(request)[-10:])

    script = {"now": bad}
    with answering.serving(lambda *given: script["now"](*given)) as server:
        where, path = Endpoint(server.url), tmp_path / "journal"
        old = asking.answer(where, SETTINGS, requests(3), path)
        with open(path, "ab") as file:  # torn, of another form, no JSON, and odd fields
            file.write(b'[]\n{"key": 3, "reply": {}}\nx\n{"key": "a", "reply"')
        script["now"] = first()
        new = asking.answer(where, SETTINGS, requests(3), path)
        assert [a.error for a in new] == [None, None, None]
        assert (new[0], new[1].text, new[2]) == (old[0], "None", old[2])
        assert server.times == {text_of(0): 1, text_of(1): 2, text_of(2): 1}
        assert "3 requests, 2 of them answered before" in caplog.text
        assert "4 lines could not be read" in caplog.text
        # another setting is another request, and a torn line has harmed nothing
        assert asking.answer(where, SETTINGS, requests(3), path) == new
        assert sum(server.times.values()) == 4
        asking.answer(where, Settings("endpoint", "m", max_new=10, seed=5), requests(3), path)
        assert sum(server.times.values()) == 7
