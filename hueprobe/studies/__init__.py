"""Runs over whole memories, resumable cell by cell, that leave tables behind."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CONTROLS": ".controls",
        "ComparisonSettings": ".comparison_settings",
        "MemoryReport": ".memory_report",
        "ObserveSettings": ".memory_report",
        "accuracy_grid": ".accuracy_cells",
        "network_centre": ".observing",
        "observe_memory": ".observing",
        "run_comparison": ".comparison",
        "run_self_test": ".observing",
        "write_comparison": ".comparison_report",
        "write_report": ".report",
    },
)
