from .conditional import Conditional as Conditional
from .conditional import measure as measure
from .mirrored import content_or_position as content_or_position
