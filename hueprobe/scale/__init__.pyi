from .build import build_layer_parts as build_layer_parts
from .build import build_part as build_part
from .folders import part_path as part_path
from .joining import join as join
from .part import Part as Part
from .state import PartState as PartState
from .state import parts_of as parts_of
