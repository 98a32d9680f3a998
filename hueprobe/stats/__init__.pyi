from . import circular as circular
from .hulls import hull_distances as hull_distances
from .intervals import Interval as Interval
from .paired import compare_paired as compare_paired
