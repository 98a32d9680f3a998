"""The claims of the paper, the rules of a verdict, and which results speak for which claim."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CLAIMS": ".claims",
        "Claim": ".claims",
        "Finding": ".rules",
        "Verdict": ".rules",
        "accuracy_claim": ".evidence",
        "conditional_claims": ".evidence",
        "energy_claims": ".evidence",
        "hue_claim": ".evidence",
        "location_claims": ".evidence",
        "self_test": ".selftest",
        "verdicts_from_json": ".rules",
        "verdicts_json": ".rules",
    },
)
