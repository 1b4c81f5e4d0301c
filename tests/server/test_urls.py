from typing import Any

import pytest

from polls.config.settings import Config, Postgres
from polls.server.sockets import CannotListen, listening
from polls.server.urls import ready_message


def config(host: str, **settings: Any) -> Config:
    return Config(postgres=Postgres(), host=host, port=0, **settings)


def test_on_all_addresses_the_message_includes_the_url_for_phones() -> None:
    settings = config("0.0.0.0")

    with listening(settings) as sockets:
        port = sockets[0].getsockname()[1]
        assert ready_message(settings, sockets, lambda: "192.168.1.7") == (
            f"polls is ready at http://127.0.0.1:{port}, "
            f"for phones on the same network at http://192.168.1.7:{port} (press Ctrl-C to stop)"
        )


def test_without_a_network_the_message_has_no_url_for_phones() -> None:
    settings = config("0.0.0.0")

    with listening(settings) as sockets:
        assert "phone" not in ready_message(settings, sockets, lambda: None)


@pytest.mark.parametrize("host", ["::", "::1"])
def test_an_ipv6_address_is_in_brackets(host: str) -> None:
    settings = config(host)
    try:
        with listening(settings) as sockets:
            assert ready_message(settings, sockets).startswith("polls is ready at http://[::1]:")
    except CannotListen as error:
        assert "Cannot assign requested address" in str(error)  # noqa: PT017 - a machine without IPv6
