"""How often the tests of observations 3 and 4 reject on random pseudo-classes of a memory."""

from hueprobe.memory.store import Memory
from hueprobe.observations.verdicts.selftest import RejectionRate, blocked_tests, match_tests, self_test
from hueprobe.progress import named_pass
from hueprobe.studies.observing.settings import ObserveSettings
from hueprobe.studies.observing.subject import Subject


def run_self_test(
    memory: Memory, *, settings: ObserveSettings | None = None, n_draws: int, progress: bool = False
) -> tuple[RejectionRate, ...]:
    """Assign the memory's images to random pseudo-classes and count how often each test rejects.

    Rates near the nominal 5 % show that the tests of observations 3 and 4 keep their level on this memory.

    Parameters
    ----------
    memory : Memory
        Memory to test on.
    settings : ObserveSettings, optional
        K, searcher, exclusion, weighting and seed; `ObserveSettings()` by default.
    n_draws : int
        Number of random assignments.
    progress : bool, default=False
        Whether to show progress bars.

    Returns
    -------
    tuple of RejectionRate
        One per test.

    See Also
    --------
    hueprobe.observations.verdicts.self_test : The same for other tests.

    Examples
    --------
    >>> rates = hp.studies.run_self_test(memory, n_draws=2)
    >>> rates[0].test, rates[0].n
    ('3 rho, same less other', 2)
    """
    settings = settings or ObserveSettings()
    subject = Subject(settings=settings, memory=memory, progress=progress)
    labels, groups = memory.image_class, memory.images.groups
    with named_pass(memory.path.name):
        tests = match_tests(subject.matches, weighting=settings.weighting)
        with named_pass("matches"):
            rates = self_test(
                labels, tests, n_draws=n_draws, seed=settings.seed, groups=groups, progress=progress
            )
        tests = blocked_tests(subject.matches_of_blocks, weighting=settings.weighting)
        with named_pass("class positions"):
            return rates + self_test(
                labels, tests, n_draws=n_draws, seed=settings.seed, strata=subject.block_of_image,
                groups=groups, progress=progress,
            )  # fmt: skip
