"""Studies over whole memories and of trained networks, resumable, that leave tables behind."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CONTROLS": "hueprobe.observations.table",
        "ComparisonSettings": ".comparison.settings",
        "LossRun": ".comparison.loss_run",
        "LossCurves": ".comparison.loss_comparison",
        "LossSummary": ".comparison.loss_comparison",
        "MeasureSummary": ".comparison.trained_networks",
        "MemoryReport": ".observing.report",
        "ObserveSettings": ".observing.settings",
        "TrainedObservation": ".comparison.trained_networks",
        "accuracy_grid": ".observing.accuracy_runs",
        "compare_curves": ".comparison.loss_comparison",
        "compare_losses": ".comparison.loss_comparison",
        "compare_observed": ".comparison.loss_comparison",
        "network_center": ".observing.memories",
        "Report": ".observing.report",
        "observe": ".observing.memories",
        "observe_memory": ".observing.memories",
        "run_comparison": ".comparison.study",
        "run_self_test": ".observing.memories",
        "write_comparison": ".comparison.report",
    },
)
