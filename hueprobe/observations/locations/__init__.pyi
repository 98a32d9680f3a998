from .blocks import block_labels as block_labels
from .blocks import default_blocks as default_blocks
from .blocks import search_blocks as search_blocks
from .maps import Locations as Locations
from .maps import measure as measure
from .positions import class_positions as class_positions
from .positions import naive_rayleigh as naive_rayleigh
from .replicate_test import blocked_replicate_test as blocked_replicate_test
