from .claims import CLAIMS as CLAIMS
from .claims import Claim as Claim
from .documents import verdicts_from_json as verdicts_from_json
from .documents import verdicts_json as verdicts_json
from .findings import Finding as Finding
from .rules import Verdict as Verdict
from .selftest import self_test as self_test
