"""Content negotiation: headers that weigh alternatives (RFC 9110, section 12.4)."""

MAX_LENGTH = 500  # characters; browsers send a fifth of it
_MAX_ALTERNATIVES = 30


def preferences(header: str) -> dict[str, float]:
    """Return {alternative in lower case: weight} of an Accept... header, the highest weight first.

    Leaves out alternatives with weight 0 or an invalid weight, and those beyond MAX_LENGTH and _MAX_ALTERNATIVES.
    """
    weights: dict[str, float] = {}
    for alternative in header[:MAX_LENGTH].lower().split(",")[:_MAX_ALTERNATIVES]:
        value, *parameters = (part.strip() for part in alternative.split(";"))
        weight = _weight(parameters)
        if value and weight > 0:
            weights.setdefault(value, weight)
    return dict(sorted(weights.items(), key=lambda item: -item[1]))


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
