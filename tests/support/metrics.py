"""Reading metrics as Prometheus does."""

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, float]


def samples(text: str) -> Samples:
    """{name and labels, such as `polls_votes_total{outcome="stored"}`: value}."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation or family.type == "unknown", family.name
        for name, labels, value, *_ in family.samples:
            inside = ",".join(f'{label}="{text}"' for label, text in sorted(labels.items()))
            found[f"{name}{{{inside}}}" if inside else name] = value
    return found


def votes(found: Samples) -> dict[str, float]:
    """Ballots by what became of them; none of those of which there are none."""
    prefix, suffix = 'polls_votes_total{outcome="', '"}'
    return {
        name.removeprefix(prefix).removesuffix(suffix): number
        for name, number in found.items()
        if name.startswith(prefix) and number
    }
