"""Parsing of metrics in the Prometheus text format."""

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, float]


def samples(text: str) -> Samples:
    """Return {name and labels, such as `polls_votes_total{outcome="stored"}`: value}."""
    values = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation or family.type == "unknown", family.name
        for name, labels, value, *_ in family.samples:
            joined = ",".join(f'{label}="{text}"' for label, text in sorted(labels.items()))
            values[f"{name}{{{joined}}}" if joined else name] = value
    return values


def votes(metrics: Samples) -> dict[str, float]:
    """Return {outcome: ballots} without zeros."""
    prefix, suffix = 'polls_votes_total{outcome="', '"}'
    return {
        name.removeprefix(prefix).removesuffix(suffix): number
        for name, number in metrics.items()
        if name.startswith(prefix) and number
    }
