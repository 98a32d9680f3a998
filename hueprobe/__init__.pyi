from . import activations as activations
from . import datasets as datasets
from . import images as images
from . import memory as memory
from . import observations as observations
from . import plots as plots
from . import search as search
from . import stats as stats
from . import studies as studies
from . import training as training
from .activations import load_backbone as load_backbone
from .classification import Classification as Classification
from .classifier import KernelDensityClassifier as KernelDensityClassifier
from .errors import HueprobeError as HueprobeError
from .errors import HueprobeWarning as HueprobeWarning
from .grid import Grid as Grid
from .matches import Matches as Matches
from .matches import read_matches as read_matches
from .memory import Memory as Memory
from .memory import build_memories as build_memories
from .memory import build_memory as build_memory
from .memory import memory_from_arrays as memory_from_arrays
from .memory import open_memory as open_memory
from .pooled_classifier import PooledClassifier as PooledClassifier
from .search import open_searcher as open_searcher
from .studies.observing.memories import observe as observe

__version__: str
