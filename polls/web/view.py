"""What our views have in common."""

from aiohttp import web


class View(web.View):
    """A page as a class: a method for each HTTP method. Where there is GET there is HEAD; what lacks answers 405."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "get"):
            cls.head = cls.get  # type: ignore[attr-defined]

    def url(self, name: str, **parts: str) -> str:
        """The address of the route called `name`."""
        return str(self.request.app.router[name].url_for(**parts))


class PollView(View):
    """A page about the poll that its address names."""

    @property
    def address(self) -> str:
        """How the address names the poll."""
        return self.request.match_info["address"]

    @property
    def question_id(self) -> int:
        """The id of the poll's question."""
        return int(self.address)
