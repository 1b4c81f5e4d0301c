"""What a client would rather have: headers that weigh alternatives (RFC 9110, section 12.4)."""


def preferences(header: str) -> dict[str, float]:
    """The alternatives of an Accept... header in lower case with their weights, the most wanted first.

    What is refused (weight 0) or weighed with nonsense is left out.
    """
    weighed: dict[str, float] = {}
    for alternative in header.lower().split(","):
        value, *parameters = (part.strip() for part in alternative.split(";"))
        weight = _weight(parameters)
        if value and weight > 0:
            weighed.setdefault(value, weight)
    return dict(sorted(weighed.items(), key=lambda item: -item[1]))


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0
            return weight if 0 <= weight <= 1 else 0
    return 1
