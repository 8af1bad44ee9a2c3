"""Properties of the HTTP/1.1 readers: the cut of the bytes, and what other readers understand."""

from hypothesis import given
from hypothesis import strategies as st

from http_messages import (
    EVERYWHERE,
    Message,
    cut,
    cuts,
    damaged,
    pipelines,
    requests,
    responses,
)
from http_readings import forwarded, read_requests, read_responses
from sasgate.http1 import Framing, HeadLimits, RequestHead
from strict_http import Read, read_by_h11, read_strictly


_TIGHT = HeadLimits(size=120, fields=3)


def joined(messages: list[Message]) -> bytes:
    return b"".join(message.raw for message in messages)


def streams() -> st.SearchStrategy[bytes]:
    return damaged(pipelines().map(joined))


class TestRequests:
    @given(pipelines(), cuts())
    def test_valid_requests_are_read_as_they_were_meant(
        self, messages: list[Message], places: list[int]
    ) -> None:
        reading = read_requests(cut(joined(messages), places))
        heads = [head for head in reading.heads if isinstance(head, RequestHead)]
        assert [(head.method, head.target) for head in heads] == [each.line for each in messages]
        assert reading.bodies == [each.body for each in messages]
        assert reading.ends == "whole"

    @given(streams(), cuts())
    def test_the_cut_of_the_bytes_makes_no_difference(self, raw: bytes, places: list[int]) -> None:
        assert read_requests(cut(raw, places)).meaning == read_requests([raw]).meaning

    @given(streams(), cuts())
    def test_nor_does_it_near_the_limits_of_a_head(self, raw: bytes, places: list[int]) -> None:
        whole = read_requests([raw], _TIGHT)
        assert read_requests(cut(raw, places), _TIGHT).meaning == whole.meaning

    @given(st.binary(max_size=200), cuts())
    def test_any_bytes_are_read_or_refused(self, raw: bytes, places: list[int]) -> None:
        assert read_requests(cut(raw, places)).meaning == read_requests([raw]).meaning

    @given(requests(), st.data())
    def test_a_request_is_not_whole_before_its_last_byte(
        self, message: Message, data: st.DataObject
    ) -> None:
        length = data.draw(st.integers(1, len(message.raw) - 1))
        reading = read_requests(cut(message.raw[:length], EVERYWHERE))
        # Only an empty line before a request may be taken for nothing at all.
        assert reading.ends == "waiting" or message.raw[:length] == b"\r\n"

    @given(streams())
    def test_what_is_passed_on_means_the_same_to_two_other_readers(self, raw: bytes) -> None:
        """S40: nobody behind the gateway sees another request than it judged."""
        reading = read_requests([raw])
        for head, body in zip(reading.heads, reading.bodies, strict=True):
            assert isinstance(head, RequestHead)
            whole = head.framing is Framing.NONE or reading.ends == "whole"
            if whole or head is not reading.heads[-1]:
                _understood_alike(head, body)


def _understood_alike(head: RequestHead, body: bytes) -> None:
    sent = forwarded(head, body, extra=b"X-SSL-Client-CN: sas\r\n")
    (strict,) = read_strictly(sent)
    assert (strict.method, strict.target, strict.body) == (head.method, head.target, body)
    assert strict.values(b"x-ssl-client-cn")[-1] == b"sas"
    (other,) = read_by_h11(sent)
    assert _comparable(other) == _comparable(strict)


def _comparable(read: Read) -> object:
    return read.method, read.target, sorted(read.fields), read.body


class TestResponses:
    @given(st.lists(responses(), min_size=1, max_size=3), cuts())
    def test_valid_responses_are_read_as_they_were_meant(
        self, messages: list[Message], places: list[int]
    ) -> None:
        reading = read_responses(cut(joined(messages), places))
        assert reading.bodies == [each.body for each in messages]
        assert reading.ends == "whole"

    @given(damaged(st.lists(responses(), min_size=1, max_size=3).map(joined)), cuts())
    def test_the_cut_of_the_bytes_makes_no_difference(self, raw: bytes, places: list[int]) -> None:
        assert read_responses(cut(raw, places)).meaning == read_responses([raw]).meaning

    @given(damaged(st.lists(responses(), min_size=1, max_size=3).map(joined)), cuts())
    def test_nor_does_it_near_the_limits_of_a_head(self, raw: bytes, places: list[int]) -> None:
        whole = read_responses([raw], limits=_TIGHT)
        assert read_responses(cut(raw, places), limits=_TIGHT).meaning == whole.meaning

    @given(damaged(responses().map(lambda message: message.raw)), cuts())
    def test_nor_for_an_answer_to_head(self, raw: bytes, places: list[int]) -> None:
        assert read_responses(cut(raw, places), b"HEAD").meaning == (
            read_responses([raw], b"HEAD").meaning
        )

    @given(st.binary(max_size=200), cuts())
    def test_any_bytes_are_read_or_refused(self, raw: bytes, places: list[int]) -> None:
        assert read_responses(cut(raw, places)).meaning == read_responses([raw]).meaning
