from .evaluation import evaluate as evaluate
from .grid import AccuracyCell as AccuracyCell
from .grid import AccuracyGrid as AccuracyGrid
from .grid import accuracy_cell as accuracy_cell
from .votes import query_votes as query_votes
