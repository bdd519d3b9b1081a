"""Signs that a policy collapses, cheap enough to be looked for after every update."""

from collections.abc import Mapping


def collapse_signs(metrics: Mapping[str, float], first: Mapping[str, float]) -> list[str]:
    """Compare an update's metrics with the first update's.

    Args:
        metrics: with distinct2, entropy (nats a token) and kl_k1 (nats a sequence, mean over the update).
        first: the same of the first update.

    Returns:
        A sentence for each sign: n-grams half as diverse as at first, a fifth of the entropy, or a mean k1 under -0.1,
        which sampling and log-probabilities of one policy cannot give in the long run.
    """
    distinct2, entropy, k1 = metrics["distinct2"], metrics["entropy"], metrics["kl_k1"]
    signs = []
    if distinct2 < 0.5 * first["distinct2"]:
        signs.append(f"distinct-2 fell from {first['distinct2']:.2f} to {distinct2:.2f}: the texts repeat each other")
    if entropy < 0.2 * first["entropy"]:
        signs.append(f"entropy fell from {first['entropy']:.2f} to {entropy:.2f} nats a token: the policy is nearly deterministic")
    if k1 < -0.1:
        signs.append(f"k1 is {k1:.2f}: actions are not drawn from the distribution they are scored with")
    return signs
