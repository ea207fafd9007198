import pytest

from slr_probe.errors import TaskError
from slr_probe.tasks.replies import Replies, Reply


def test_a_reply_is_read_where_it_was_given():
    reply = Reply([1, 2], [7, 8, 9])
    assert (reply.read, reply.given, reply.token_ids) == ((0, 1, 2), (7, 8, 9), (1, 2, 7, 8))
    beyond = Reply((1, 2), (7, 8), read=(0, 2))
    assert (beyond.given, beyond.token_ids) == ((7, None), (1, 2, 7, 8))
    assert Reply((1, 2), (7, 8), read=(0,)).token_ids == (1, 2)


def test_replies_know_their_true_ends():
    replies = Replies((Reply((1,), (7, 5)), Reply((1,), (7, 8)), Reply((1,), (7, 5), read=(0, 2))), (5, 6, 5))
    assert replies.true_ends == [(0, 1)]
    assert (replies.positions, replies.ends) == (3, (5, 6))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Reply((), (1,)), "tokens in its prompt"),
        (lambda: Reply((1,), ()), "of its own"),
        (lambda: Reply((1,), (2, 3), read=(0, 3)), "from 0 to 2"),
        (lambda: Reply((1,), (2, 3), read=(1, 0)), "in order"),
        (lambda: Reply((1,), (2, 3), read=(-1,)), "from 0 to 2"),
        (lambda: Replies((), (1,)), "at least one reply"),
        (lambda: Replies((Reply((1,), (2,)),), ()), "one end token"),
        (lambda: Replies(((1, 2),), (1,)), "sequence of Reply"),
    ],
)
def test_what_is_no_reply(make, words):
    with pytest.raises(TaskError, match=words):
        make()
