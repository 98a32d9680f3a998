from .hue import Hue as Hue
from .hue import measure as measure
from .relations import angle_relation as angle_relation
from .relations import energy_position as energy_position
