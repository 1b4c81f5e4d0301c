"""Random names: as long as asked for, never given twice, not even by a process and its child."""

import os
import re

from polls.web.http.random_names import RandomNames


def test_names_have_so_many_digits_and_are_all_different() -> None:
    names = RandomNames(32)

    given = [names.new() for _ in range(2000)]

    assert len(set(given)) == 2000
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in given)


def test_a_forked_child_gives_other_names_than_its_parent() -> None:
    names = RandomNames(32)
    names.new()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, names.new().encode())
        os._exit(0)
    os.close(writing)

    with os.fdopen(reading) as pipe:
        of_child = pipe.read()
    os.waitpid(child, 0)

    assert len(of_child) == 32
    assert of_child not in {names.new() for _ in range(2000)}
