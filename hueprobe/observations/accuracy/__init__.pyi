from .evaluation import evaluate as evaluate
from .grid import AccuracyGrid as AccuracyGrid
from .grid import AccuracyRun as AccuracyRun
from .grid import accuracy_claim as accuracy_claim
from .grid import accuracy_run as accuracy_run
from .votes import query_votes as query_votes
