"""Cookies beside those of other programs, and of another polls, on the same host."""

from http.cookies import SimpleCookie

from aiohttp import ClientSession, CookieJar

from polls.config.settings import Site
from tests.conftest import CreatePoll
from tests.web.conftest import PASSWORD, Serve, add_account


async def test_two_polls_on_two_ports_of_a_host_do_not_share_sessions_and_ballots(
    serve: Serve, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No")
    sites = [await serve(), await serve()]
    await add_account(sites[0], "ada")
    sign_in = {"username": "ada", "password": PASSWORD}

    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        for choice, site in enumerate(sites, start=1):
            await browser.post(site.make_url("/admin/login"), data=sign_in)
            await browser.post(site.make_url("/poll/1/vote"), data={"choice": str(choice)})

        for choice, site in enumerate(sites, start=1):
            assert (await browser.get(site.make_url("/admin/"), allow_redirects=False)).status == 200
            page = await (await browser.get(site.make_url("/poll/1"))).text()
            assert f'value="{choice}" checked' in page
        await browser.post(sites[0].make_url("/admin/logout"))
        assert (await browser.get(sites[1].make_url("/admin/"), allow_redirects=False)).status == 200


async def test_cookies_of_other_programs_are_left_alone(serve: Serve, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    site = await serve()
    await add_account(site, "ada")
    theirs = dict.fromkeys(("voter", "ballot", "session", "flash", "language"), "a" * 32)
    site.session.cookie_jar.update_cookies(theirs, site.make_url("/"))

    await site.post("/poll/1/vote", data={"choice": "1"})
    await site.get("/language/en")
    await site.post("/admin/login", data={"username": "ada", "password": PASSWORD})
    await site.post("/admin/polls/selected")

    cookies = {cookie.key: cookie.value for cookie in site.session.cookie_jar}
    assert {name: cookies[name] for name in theirs} == theirs
    assert all(name.startswith("polls_") for name in cookies.keys() - theirs.keys())


async def test_the_public_url_names_the_port_of_cookies(serve: Serve, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    for url, name in [
        ("https://polls.example.org", "polls_ballot"),
        ("http://polls.example.org:8443", "polls_ballot_8443"),
        ("http://[2001:db8::1]", "polls_ballot"),
    ]:
        site = await serve(site=Site(url=url))
        sent = {"data": {"choice": "1"}, "headers": {"Host": "127.0.0.1:8081"}}
        voted = await site.post("/poll/1/vote", allow_redirects=False, **sent)
        assert name in SimpleCookie("; ".join(voted.headers.getall("Set-Cookie")))
