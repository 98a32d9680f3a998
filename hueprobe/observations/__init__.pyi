from . import accuracy as accuracy
from . import conditional as conditional
from . import energy as energy
from . import hue as hue
from . import locations as locations
from . import units as units
from . import verdicts as verdicts
from .table import CONTROLS as CONTROLS
