"""Observations 1-5 as numbers: results in, results out, no files."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AccuracyCell": ".accuracy",
        "AccuracyGrid": ".accuracy",
        "CLAIMS": ".claim_table",
        "Interval": ".intervals",
        "accuracy_cell": ".accuracy",
        "accuracy_claim": ".claims",
        "angle_relation": ".relations",
        "block_labels": ".blocks",
        "blocked_replicate_test": ".replicates",
        "class_positions": ".positions",
        "compare_paired": ".paired",
        "conditional": ".conditional_matches",
        "conditional_claims": ".claims",
        "content_or_position": ".content",
        "default_blocks": ".blocks",
        "energy": ".energy_maps",
        "energy_claims": ".claims",
        "energy_position": ".relations",
        "evaluate": ".evaluation",
        "hue": ".activation_hue",
        "hue_claim": ".claims",
        "location_claims": ".claims",
        "locations": ".match_locations",
        "naive_rayleigh": ".positions",
        "query_votes": ".votes",
        "search_blocks": ".blocks",
        "self_test": ".selftest",
        "verdicts_json": ".verdicts",
    },
)
