from .match_units import MatchUnits as MatchUnits
from .match_units import influence_interval as influence_interval
from .match_units import ratio_interval as ratio_interval
