"""Access keys."""

import re

from polls.domain.access_keys import PATTERN, hash_of, new_key


def test_a_key_has_130_random_bits() -> None:
    keys = {new_key() for _ in range(1000)}

    assert len(keys) == 1000
    assert all(re.fullmatch(PATTERN, key) for key in keys)
    assert len(set("".join(keys))) == 32, "every letter occurs: 5 bits each"


def test_a_key_has_no_letters_that_look_alike() -> None:
    assert not set("ilou") & set("".join(new_key() for _ in range(200)))


def test_the_hash_is_the_same_for_the_same_key_only() -> None:
    key, other = new_key(), new_key()

    assert hash_of(key) == hash_of(key)
    assert hash_of(key) != hash_of(other)
    assert len(hash_of(key)) == 32
