"""Random names: unique, also across a fork."""

import os
import re

from polls.web.http.random_names import RandomNames


def test_names_have_the_given_number_of_digits_and_are_unique() -> None:
    names = RandomNames(32)

    created = [names.new() for _ in range(2000)]

    assert len(set(created)) == 2000
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in created)


def test_a_forked_child_creates_other_names_than_its_parent() -> None:
    names = RandomNames(32)
    names.new()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, names.new().encode())
        os._exit(0)
    os.close(writing)

    with os.fdopen(reading) as pipe:
        child_name = pipe.read()
    os.waitpid(child, 0)

    assert len(child_name) == 32
    assert child_name not in {names.new() for _ in range(2000)}
