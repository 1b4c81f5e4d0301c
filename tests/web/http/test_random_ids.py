"""Random ids: unique, also across a fork."""

import os
import re

from polls.web.http.random_ids import RandomIds


def test_ids_have_the_given_number_of_digits_and_are_unique() -> None:
    ids = RandomIds(32)

    created = [ids.new() for _ in range(2000)]

    assert len(set(created)) == 2000
    assert all(re.fullmatch("[0-9a-f]{32}", created_id) for created_id in created)


def test_a_forked_child_creates_other_ids_than_its_parent() -> None:
    ids = RandomIds(32)
    ids.new()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ids.new().encode())
        os._exit(0)
    os.close(writing)

    with os.fdopen(reading) as pipe:
        child_id = pipe.read()
    os.waitpid(child, 0)

    assert len(child_id) == 32
    assert child_id not in {ids.new() for _ in range(2000)}
